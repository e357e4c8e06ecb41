import Lab
import Primitives
import Simulator
import Testing

@Suite("An emulated link")
struct EmulatedLinkTests {
    static let outside = ["203.0.113.1:0", "203.0.113.2:0"].map { Packets.address($0).ip }

    /// Everything that comes out up to an instant, with the time at which it was due.
    static func drain(
        _ link: inout EmulatedLink<IPPacket>, until end: Instant
    ) -> [(at: Instant, delivery: Delivery<IPPacket>)] {
        var all: [(at: Instant, delivery: Delivery<IPPacket>)] = []
        while let due = link.nextDeadline, due <= end {
            if let delivery = link.nextDelivery(at: due, dueBy: due) { all.append((due, delivery)) }
        }
        return all
    }

    static func packet(_ number: UInt8, size: Int = 1_250) -> IPPacket {
        Packets.udp(payload: [UInt8](repeating: number, count: size - 28))
    }

    @Test func serialisesAndDelays() {
        var link = EmulatedLink<IPPacket>("l", .wifi, seed: 1)
        // 1,250 bytes at 100 Mbit/s take 100 µs.
        for number in 0..<3 { _ = link.enter(Self.packet(UInt8(number)), .outbound, at: .origin) }
        let times = Self.drain(&link, until: .origin + .seconds(1)).map { ($0.at - .origin).microseconds }
        #expect(times == [10_100, 10_200, 10_300])
        #expect(link.nextDeadline == nil)
    }

    @Test func dropsWhatTheQueueDoesNotHold() {
        var link = EmulatedLink<IPPacket>(
            "l", .ideal.with { ($0.rate, $0.queue) = (.megabits(10), .bytes(5_000)) }, seed: 1)
        for number in 0..<9 { _ = link.enter(Self.packet(UInt8(number)), .inbound, at: .origin) }
        #expect(Self.drain(&link, until: .origin + .seconds(1)).count == 4)
        #expect(link.statistics(.inbound).dropped(.queueFull) == 5)
    }

    @Test func losesWhatIsUnderWayWhenItDies() {
        var link = EmulatedLink<IPPacket>("l", .wifi, seed: 1)
        _ = link.enter(Self.packet(1), .outbound, at: .origin)
        link.state = .blackhole
        _ = link.enter(Self.packet(2), .inbound, at: .origin)
        #expect(Self.drain(&link, until: .origin + .seconds(1)).isEmpty)
        link.state = .up
        _ = link.enter(Self.packet(3), .outbound, at: .origin + .seconds(2))
        #expect(Self.drain(&link, until: .origin + .seconds(3)).count == 1)
    }

    @Test func translatesBothWaysAndForgetsOnRebinding() throws {
        var link = EmulatedLink<IPPacket>("l", .ideal, outside: Self.outside, seed: 1)
        func sent(at now: Instant) throws -> NetworkAddress {
            _ = link.enter(Self.packet(1), .outbound, at: now)
            guard case .outbound(let packet)? = link.nextDelivery(at: now, dueBy: now) else { throw Missing() }
            #expect(Packets.isSound(packet) && packet.destination == Packets.server)
            return packet.source
        }
        func comesBack(to outside: NetworkAddress, at now: Instant) -> Bool {
            _ = link.enter(Packets.udp(from: Packets.server, to: outside, payload: [1]), .inbound, at: now)
            guard case .inbound(let packet)? = link.nextDelivery(at: now, dueBy: now) else { return false }
            return packet.destination == Packets.host && Packets.isSound(packet)
        }
        let first = try sent(at: .origin)
        #expect(first.ip == Self.outside[0])
        #expect(comesBack(to: first, at: .origin))
        link.rebind(.port)
        let second = try sent(at: .origin)
        #expect(second.ip == first.ip && second.port != first.port)
        #expect(!comesBack(to: first, at: .origin))
        link.rebind(.addressAndPort)
        let third = try sent(at: .origin)
        #expect(third.ip == Self.outside[1])
        #expect(comesBack(to: third, at: .origin))
        link.setMappingLifetime(.seconds(30))
        let fourth = try sent(at: .origin)
        #expect(comesBack(to: fourth, at: .origin + .seconds(29)))
        #expect(!comesBack(to: fourth, at: .origin + .seconds(31)))
    }

    struct Missing: Error {}

    @Test func corruptsWithoutAChecksumNoticing() {
        var link = EmulatedLink<IPPacket>("l", .ideal.with { $0.corruption = 0.5 }, seed: 3)
        for _ in 0..<200 { _ = link.enter(Self.packet(7), .inbound, at: .origin) }
        var corrupt = 0
        for (_, delivery) in Self.drain(&link, until: .origin) {
            guard case .inbound(let packet) = delivery else { continue }
            #expect(Packets.isSound(packet))
            if packet != Self.packet(7) { corrupt += 1 }
        }
        #expect((60...140).contains(corrupt))
    }

    @Test func addsTheSameFaultsForTheSameSeed() {
        func trace(_ seed: UInt64) -> [Instant] {
            var link = EmulatedLink<IPPacket>(
                "l", .wifi.with { ($0.loss, $0.reordering) = (.random(0.2), Reordering(0.1, by: .milliseconds(5))) },
                seed: seed)
            for number in 0..<200 {
                _ = link.enter(Self.packet(1), .outbound, at: .origin + .microseconds(Int64(number) * 150))
            }
            return Self.drain(&link, until: .origin + .seconds(1)).map(\.at)
        }
        #expect(trace(5) == trace(5))
        #expect(trace(5) != trace(6))
    }

    @Test func goesBackToItsFirstConditions() throws {
        var link = EmulatedLink<IPPacket>("wifi", .wifi, seed: 1)
        let command = try LinkCommand("set wifi loss 0.3 delay 150ms mtu 1280 icmp on")
        guard case .set(_, let directions, let changes) = command else { throw Missing() }
        link.apply(changes, to: directions)
        link.state = .blackhole
        #expect(link[.inbound].loss == .random(0.3) && link[.outbound].delay == .milliseconds(150))
        #expect(link.tellsMTU)
        link.restore()
        #expect(link[.inbound] == .wifi && link[.outbound] == .wifi && link.state == .up && !link.tellsMTU)
    }

    @Test func tellsHowLateItsPacketsWereTaken() {
        var link = EmulatedLink<IPPacket>("l", .ideal, seed: 1)
        _ = link.enter(Self.packet(1), .outbound, at: .origin)
        let late = Instant.origin + .milliseconds(2)
        _ = link.nextDelivery(at: late, dueBy: late)
        let lateness = link.takeLateness()
        #expect(lateness.count == 1 && lateness.worst == .milliseconds(2) && lateness.aboveMillisecond == 1)
        #expect(link.takeLateness().count == 0)
    }
}
