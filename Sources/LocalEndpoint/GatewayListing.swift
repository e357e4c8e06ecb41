import EventLoop
import Primitives
import Telemetry
import Tunnel

/// The gateways and the failovers of late, as `godwit status` shows them.
struct GatewayListing {
    /// Failovers that people are shown; JSON has more.
    static let failoversShown = 5

    private let links: GatewayLinks

    init(_ links: GatewayLinks) { self.links = links }

    var gatewaysJSON: JSONValue {
        .array(
            links.group.statistics.map { gateway in
                .object([
                    .init("gateway", .string("\(gateway.name)")),
                    .init("state", .string(gateway.condition.rawValue)),
                    .init("since_ms", .count((links.loop.now - gateway.since).milliseconds)),
                    .init("trouble", gateway.trouble.map { .string($0.rawValue) } ?? .null),
                    .init("behind_others_for", gateway.ailment.map { .string($0.rawValue) } ?? .null),
                    .init("handshake_ms", gateway.handshake.map { .count($0.milliseconds) } ?? .null),
                    .init("failed_attempts_percent", .count(gateway.errorPercentage)),
                    .init("tunnels", .count(links.tunnelCount(at: gateway.name))),
                ])
            })
    }

    var failoversJSON: JSONValue {
        .array(
            links.failovers.map { record in
                .object([
                    .init("at_unix_ms", .count(Int(clamping: record.unixMilliseconds))),
                    .init("from", record.failover.from.map { .string("\($0)") } ?? .null),
                    .init("to", .string("\(record.failover.to)")),
                    .init("cause", .string(record.failover.cause.word)),
                    .init("gap_ms", record.failover.gap.map { .count($0.milliseconds) } ?? .null),
                ])
            })
    }

    /// For people; nothing where there is but one gateway.
    var lines: [String] {
        let gateways = links.group.statistics
        guard gateways.count > 1 else { return [] }
        let now = Clock.unixMilliseconds()
        return gateways.map { line($0) }
            + links.failovers.suffix(Self.failoversShown).map { record in
                let failover = record.failover
                let gap = failover.gap.map { ", gap \($0.milliseconds) ms" } ?? ""
                return "failover \(max(0, now - record.unixMilliseconds) / 1000) s ago: "
                    + "\(failover.from.map { "\($0)" } ?? "-") -> \(failover.to), \(failover.cause.sentence)\(gap)"
            }
    }

    private func line(_ gateway: GatewayGroup.Statistics) -> String {
        let seconds = (links.loop.now - gateway.since).milliseconds / 1000
        let why: String =
            switch gateway.condition {
            case .active, .connected, .standby, .asleep:
                gateway.ailment.map { " (behind the others: \($0.sentence))" } ?? ""
            case .connecting, .silent, .draining, .dead: gateway.trouble.map { " (\($0.sentence))" } ?? ""
            }
        return "gateway \(gateway.name) \(gateway.condition.rawValue) for \(seconds) s\(why), "
            + "\(links.tunnelCount(at: gateway.name)) tunnels"
    }
}
