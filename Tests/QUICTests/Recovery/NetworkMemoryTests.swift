import Primitives
import Testing

@testable import QUIC

@Suite("Networks that a connection was in before") struct NetworkMemoryTests {
    private let start = Instant(nanoseconds: 5_000_000_000)
    private let server = IPAddress(ipv4: 0xc000_0201)

    private func home(_ last: UInt8) -> IPAddress { IPAddress(ipv4: 0x0a00_0000 + UInt32(last)) }

    private func path(_ last: UInt8) -> NetworkPath {
        NetworkPath(
            id: NetworkPathID(rawValue: UInt32(last)), local: NetworkAddress(home(last), port: 4_000),
            remote: NetworkAddress(server, port: 443), ceiling: 1_472)
    }

    private func used(_ last: UInt8) -> NetworkPath {
        let path = path(last)
        path.books.probed(roundTrip: .milliseconds(20), at: start)
        _ = path.books.packetSent(
            SentPacket(
                packetNumber: 0, timeSent: start, size: 1_200, kind: .ackEliciting, ecn: .notCapable, path: path.id,
                largestAcknowledged: nil, frames: SentFrames()))
        return path
    }

    @Test("a network is recalled by its addresses, whatever the ports") func recall() {
        var memory = NetworkMemory()
        memory.remember(used(1), at: start)
        #expect(memory.recall(from: home(1), to: server) != nil)
        #expect(memory.recall(from: home(2), to: server) == nil)
    }

    @Test("a path that was never used is not worth remembering") func unused() {
        var memory = NetworkMemory()
        memory.remember(path(1), at: start)
        #expect(memory.recall(from: home(1), to: server) == nil)
    }

    @Test("the network left longest ago is forgotten first") func bound() {
        var memory = NetworkMemory()
        for last in 1...UInt8(NetworkMemory.maximumEntries + 1) { memory.remember(used(last), at: start) }
        #expect(memory.recall(from: home(1), to: server) == nil)
        #expect(memory.recall(from: home(2), to: server) != nil)
    }

    @Test(
        "only a similar round-trip time, within a quarter of an hour, is taken for the same network",
        arguments: [(20, 0, true), (10, 0, true), (9, 0, false), (200, 0, true), (201, 0, false), (20, 901, false)]
            as [(Int64, Int64, Bool)])
    func plausible(_ row: (sample: Int64, seconds: Int64, expected: Bool)) {
        let entry = NetworkMemory.Entry(window: 300_000, minimumRTT: .milliseconds(20), leftAt: start)
        #expect(
            entry.isPlausible(for: .milliseconds(row.sample), at: start + .seconds(row.seconds)) == row.expected)
    }

    @Test("the first round trip in a known network restores half of its window, and the rest by slow start")
    func restored() {
        let path = path(1)
        path.books.remembered = NetworkMemory.Entry(
            window: 300_000, minimumRTT: .milliseconds(20), leftAt: start)
        path.books.probed(roundTrip: .milliseconds(22), at: start)
        #expect(path.congestion.window == 150_000)
        #expect(path.congestion.isInSlowStart)
        #expect(path.congestion.slowStartThreshold == 300_000)
    }

    @Test("loss before a restored window is confirmed leaves half of what was acknowledged, at least a first window")
    func retreat() {
        var controller = CongestionController(.cubic, datagramSize: 1_200)
        controller.restore(300_000)
        controller.packetAcknowledged(size: 60_000, sentAt: start)
        controller.acknowledgementsProcessed(rtt: RTTEstimator(), sample: nil, at: start + .milliseconds(20))
        controller.packetLost(sentAt: start + .milliseconds(1), at: start + .milliseconds(25))
        #expect(controller.window == 30_000)
        var sooner = CongestionController(.cubic, datagramSize: 1_200)
        sooner.restore(300_000)
        sooner.packetLost(sentAt: start, at: start + .milliseconds(25))
        #expect(sooner.window == CongestionController.initialWindow(datagramSize: 1_200))
    }

    @Test("once as much as the restored window is acknowledged, loss reduces it as usual") func confirmed() {
        var controller = CongestionController(.newReno, datagramSize: 1_200)
        controller.restore(300_000)
        controller.packetAcknowledged(size: 150_000, sentAt: start)
        controller.acknowledgementsProcessed(rtt: RTTEstimator(), sample: nil, at: start + .milliseconds(20))
        controller.packetLost(sentAt: start + .milliseconds(1), at: start + .milliseconds(25))
        #expect(controller.window >= 75_000)
    }

    @Test("a path that rested is used again with half of its window, one used a moment ago with all of it")
    func returned() {
        let path = used(1)
        path.books.congestion.restore(400_000)
        path.books.congestion.packetAcknowledged(size: 200_000, sentAt: start)
        path.books.congestion.acknowledgementsProcessed(rtt: path.rtt, sample: nil, at: start)
        let before = path.congestion.window
        path.books.returned(at: start + .milliseconds(500))
        #expect(path.congestion.window == before)
        path.books.returned(at: start + .seconds(2))
        #expect(path.congestion.window == before / 2)
    }

    @Test("what was restored on a standby is still there when it is used later, however little a challenge delivered")
    func restoredBeforeUse() throws {
        var bench = DetectorBench()
        bench.path.books.remembered = NetworkMemory.Entry(
            window: 300_000, minimumRTT: .milliseconds(20), leftAt: at(0))
        bench.send(at(0), kind: .probe(mtu: nil))
        bench.path.books.probed(roundTrip: ms(20), at: at(20))
        try bench.receive([0...0], at: at(40))
        #expect(bench.path.deliveryRate.capacity == nil)
        bench.path.books.returned(at: at(2_000))
        #expect(bench.path.congestion.window == 150_000)
        #expect(bench.path.congestion.slowStartThreshold == 300_000)
    }

    @Test("a standby that rested before its first use begins there as a new path does, without a limit to slow start")
    func restedBeforeUse() {
        let path = used(1)
        let before = path.congestion.window
        path.books.returned(at: start + .seconds(2))
        #expect(path.congestion.slowStartThreshold == .max)
        #expect(path.congestion.isInSlowStart)
        #expect(path.congestion.window <= before)
    }

    @Test("after a longer rest the path's MTU is found anew") func provenAgain() {
        let path = used(1)
        path.books.mtu.probeAcknowledged(1_472)
        path.books.returned(at: start + .seconds(2))
        #expect(path.datagramSize == 1_472)
        path.books.returned(at: start + .seconds(11))
        #expect(path.datagramSize == MTUDiscovery.base)
    }

    @Test("loss on a path that was left says nothing of congestion there") func lossAfterLeaving() {
        let path = used(1)
        let packet = SentPacket(
            packetNumber: 0, timeSent: start, size: 1_200, kind: .ackEliciting, ecn: .notCapable, path: path.id,
            largestAcknowledged: nil, frames: SentFrames())
        let before = path.congestion.window
        path.books.left()
        path.books.packetLost(packet, at: start + .milliseconds(50))
        #expect(path.congestion.window == before)
        #expect(path.bytesInFlight == 0)
    }
}
