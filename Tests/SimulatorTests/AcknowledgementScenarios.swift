import Primitives
import QUIC
import Simulator
import Testing

/// What acknowledgements a transfer costs, and what it loses by their being few.
@Suite("Acknowledgements of a transfer")
struct AcknowledgementScenarios {
    struct Link: Sendable, CustomTestStringConvertible {
        var name: String
        var conditions: LinkConditions
        var bytes: Int
        /// How long it took when every second packet was acknowledged, with 350 to 430 datagrams of the receiver for each MB;
        /// it must not take longer.
        var time: Interval
        /// Datagrams of the receiver for each MB: when it is asked for few, and when it is not.
        var asked: Int
        var unasked: Int

        var testDescription: String { name }
    }

    static let links = [
        Link(
            name: "100 Mbit/s, 20 ms", conditions: .wifi, bytes: 20_000_000, time: .milliseconds(1_830), asked: 90,
            unasked: 120),
        Link(
            name: "40 Mbit/s, 60 ms", conditions: .cellular, bytes: 10_000_000, time: .milliseconds(2_480), asked: 90,
            unasked: 260),
        Link(
            name: "1 Gbit/s, 1 ms",
            conditions: LinkConditions(
                delay: .microseconds(500), rate: .megabits(1_000), queue: .time(.milliseconds(5)), mtu: 1_500),
            bytes: 40_000_000, time: .milliseconds(372), asked: 90, unasked: 90),
    ]

    private func acknowledgements(
        of link: Link, _ what: String, with change: @escaping @Sendable (inout QUICOptions) -> Void
    ) -> Int {
        let report = play(
            download("\(link.name), \(what)", link.bytes, over: link.conditions, within: link.time, with: change))
        let sent = report.trace.records.filter { $0.place == "client" && $0.kind == .sent }.count
        let perMegabyte = sent * 1_000_000 / link.bytes
        print("\(link.name), \(what): \(perMegabyte) per MB, \(report.elapsed.milliseconds) ms")
        return perMegabyte
    }

    @Test("are as few as its window allows, when the peer can be asked", arguments: links)
    func asked(_ link: Link) {
        #expect(acknowledgements(of: link, "asked") { _ in } <= link.asked)
    }

    @Test("are fewer than every second packet when it cannot", arguments: links)
    func unasked(_ link: Link) {
        let found = acknowledgements(of: link, "not asked") { $0.server.minimumAckDelay = nil }
        #expect(found <= link.unasked)
    }
}
