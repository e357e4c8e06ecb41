import Lab
import Primitives
import Simulator
import Testing

@Suite("An IP packet")
struct IPPacketTests {
    static let v6Host = Packets.address("[2001:db8::17]:5000")
    static let v6Server = Packets.address("[2001:db8:1::1]:4433")

    @Test func tellsItsEnds() {
        for packet in [Packets.udp(payload: [1, 2, 3]), Packets.tcp()] {
            #expect(packet.source == Packets.host)
            #expect(packet.destination == Packets.server)
        }
        let packet = Packets.udp(from: Self.v6Host, to: Self.v6Server, payload: [1])
        #expect(packet.source == Self.v6Host)
        #expect(packet.destination == Self.v6Server)
    }

    @Test(arguments: [0, 1, 2, 7, 1_200])
    func staysSoundWhenItsEndsAreRewritten(payload: Int) {
        let other = Packets.address("203.0.113.9:65535")
        var packet = Packets.udp(payload: [UInt8](repeating: 0xE7, count: payload))
        packet.source = other
        #expect(packet.source == other && packet.destination == Packets.server)
        #expect(Packets.isSound(packet))
        packet.destination = Packets.host
        #expect(packet.destination == Packets.host)
        #expect(Packets.isSound(packet))
        packet.ecn = .congestionExperienced
        #expect(packet.ecn == .congestionExperienced && Packets.isSound(packet))
    }

    @Test func staysSoundForTCPAndIPv6() {
        var segment = Packets.tcp()
        segment.source = Packets.address("203.0.113.9:1")
        #expect(Packets.isSound(segment))
        var datagram = Packets.udp(from: Self.v6Host, to: Self.v6Server, payload: [5, 6, 7])
        datagram.source = Packets.address("[2001:db8:ffff::9]:80")
        datagram.ecn = .ect0
        #expect(datagram.source.port == 80 && datagram.ecn == .ect0)
        #expect(Packets.isSound(datagram))
    }

    @Test func takesTheIdentifierOfAnEchoForTheAskersPort() {
        var question = Packets.echo(type: 8, identifier: 77, from: Packets.host.ip, to: Packets.server.ip)
        #expect(question.source.port == 77 && question.destination.port == 0)
        question.source = Packets.address("203.0.113.9:4000")
        #expect(question.source.port == 4_000)
        #expect(Packets.isSound(question))
        let answer = Packets.echo(type: 0, identifier: 77, from: Packets.server.ip, to: Packets.host.ip)
        #expect(answer.source.port == 0 && answer.destination.port == 77)
    }

    /// RFC 5508 §4: what a host says of a packet that it will not have goes back to who sent it, through the translator.
    @Test func anErrorHasTheEndsOfThePacketThatItQuotes() {
        let outside = Packets.address("203.0.113.9:40000")
        for quoted in [Packets.udp(from: outside, payload: [1, 2, 3]), Packets.tcp(from: outside)] {
            var error = Packets.portUnreachable(quoted)
            #expect(error.source == Packets.server && error.destination == outside)
            error.destination = Packets.host
            #expect(error.source == Packets.server && error.destination == Packets.host)
            #expect(Packets.isSound(error))
            let inner = IPPacket(Array(error.bytes[28...]))
            #expect(inner?.source == Packets.host && inner?.destination == Packets.server)
            #expect(Packets.sum(Array(error.bytes[28..<48])) == 0xFFFF)
            error.source = Packets.address("198.51.100.7:80")
            #expect(error.source == Packets.address("198.51.100.7:80") && Packets.isSound(error))
        }
    }

    @Test func anErrorPassesTheTranslatorOfALink() throws {
        var link = EmulatedLink<IPPacket>("l", .ideal, outside: [Packets.address("203.0.113.9:0").ip], seed: 1)
        #expect(link.enter(Packets.udp(payload: [1]), .outbound, at: .origin) == nil)
        guard case .outbound(let sent) = link.nextDelivery(at: .origin, dueBy: .origin) else {
            Issue.record("nothing left the link")
            return
        }
        #expect(link.enter(Packets.portUnreachable(sent), .inbound, at: .origin) == nil)
        guard case .inbound(let told) = link.nextDelivery(at: .origin, dueBy: .origin) else {
            Issue.record("the error did not come back")
            return
        }
        #expect(told.destination == Packets.host && Packets.isSound(told))
    }

    @Test func anErrorThatQuotesNothingLegibleHasNoPorts() throws {
        let error = Packets.portUnreachable(Packets.udp(payload: [1, 2, 3])).bytes
        for count in 28..<52 {
            let cut = try #require(IPPacket(Array(error.prefix(count))))
            #expect(cut.source.port == 0 && cut.destination.port == 0)
        }
    }

    @Test func staysSoundWhenCorrupted() {
        var generator = SeededGenerator(seed: 11)
        for length in [1, 2, 3, 64, 1_350] {
            for _ in 0..<50 {
                let payload = (0..<length).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
                let original = Packets.udp(payload: payload)
                var packet = original
                packet.flipPayloadBit(Int(generator.next() % UInt64(packet.payloadBitCount)))
                #expect(packet != original)
                #expect(Packets.isSound(packet))
            }
        }
    }

    @Test func leavesADatagramWithoutChecksumWithoutOne() throws {
        var bytes = Packets.udp(payload: [1, 2]).bytes
        bytes.replaceSubrange(26..<28, with: [0, 0])
        var packet = try #require(IPPacket(bytes))
        packet.source = Packets.address("203.0.113.9:1")
        packet.flipPayloadBit(3)
        #expect(packet.bytes[26..<28] == [0, 0])
    }

    @Test func isRefusedWhenIncomplete() {
        let bytes = Packets.udp(payload: []).bytes
        for count in 0..<20 { #expect(IPPacket(Array(bytes.prefix(count))) == nil) }
        #expect(IPPacket([0x4F] + bytes.dropFirst()) == nil)
        #expect(IPPacket([0x60] + [UInt8](repeating: 0, count: 38)) == nil)
        #expect(IPPacket([0x00] + bytes.dropFirst()) == nil)
    }

    @Test func isCarriedThoughItsTransportIsUnknown() {
        // A fragment, and a datagram that is cut off within its header.
        var fragment = Packets.udp(payload: [1, 2, 3, 4]).bytes
        fragment.replaceSubrange(6..<8, with: [0x20, 0])
        for bytes in [fragment, Array(Packets.udp(payload: []).bytes.prefix(24))] {
            let packet = IPPacket(bytes)
            #expect(packet?.payloadBitCount == 0 && packet?.source.port == 0)
        }
    }

    @Test func isRefusedByARouterWithTheMTUAndItsOwnHead() throws {
        let packet = Packets.udp(payload: [UInt8](repeating: 1, count: 1_400))
        var link = EmulatedLink<IPPacket>("l", .ideal.with { $0.mtu = 1_280 }, seed: 1)
        #expect(link.enter(packet, .outbound, at: .origin) == nil)
        link.tellsMTU = true
        let told = link.enter(packet, .outbound, at: .origin)
        let refusal = try #require(told)
        #expect(refusal.mtu == 1_280)
        let error = try #require(packet.refusal(mtu: refusal.mtu))
        #expect(error.destination.ip == Packets.host.ip && Packets.isSound(error))
        #expect(Array(error.bytes[20..<22]) == [3, 4])
        #expect(Array(error.bytes[26..<28]) == Packets.big(1_280, 2))
        #expect(Array(error.bytes[28...]) == Array(packet.bytes.prefix(28)))
        #expect(Packets.udp(from: Self.v6Host, to: Self.v6Server, payload: []).refusal(mtu: 1_280) == nil)
    }
}
