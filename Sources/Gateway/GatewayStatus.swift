import Driver
import Primitives
import QUIC
import Telemetry
import Tunnel

/// What `godwit status` shows of a gateway, put together from the reports of its workers.
struct GatewayStatus {
    var listen: [String]
    var reports: [WorkerReport]
    /// The time that tunnels have left; nil while new ones are taken.
    var draining: Interval?
    var replicas: [OriginGroups.Replica] = []

    var counters: Counters { reports.map(\.counters).reduce(Counters(), +) }
    var clients: [WorkerReport.Client] { reports.flatMap(\.clients) }

    /// Tunnels of all clients.
    var tunnelCount: Int { clients.reduce(0) { $0 + $1.tunnels.count } }

    /// Tunnels without a connection.
    var heldTunnels: Int { reports.reduce(0) { $0 + $1.held } }

    var json: JSONValue {
        .object([
            .init("role", .string("gateway")),
            .init("listen", .array(listen.map(JSONValue.string))),
            .init("workers", .count(reports.count)),
            .init("draining_ms", draining.map { .count(max(0, $0.milliseconds)) } ?? .null),
            .init("counters", .object(Counters.all.map { .init($0.name, .count(counters[keyPath: $0.path])) })),
            .init("held_tunnels", .count(heldTunnels)),
            .init("held_bytes", .count(reports.reduce(0) { $0 + $1.heldMemory })),
            .init("replicas", .array(replicas.map(Self.json))),
            .init("failovers", .array(failovers.map(Self.json))),
            .init("clients", .array(clients.map(Self.json))),
        ])
    }

    /// The latest ones of all workers.
    private var failovers: [FailoverReport] { reports.flatMap(\.failovers).sorted { $0.time < $1.time } }

    private static func json(_ replica: OriginGroups.Replica) -> JSONValue {
        .object([
            .init("name", .string("\(replica.name)")),
            .init("replica", .string("\(replica.statistics.replica)")),
            .init("health", .string(replica.statistics.health.rawValue)),
            .init("connections", .count(replica.statistics.connections)),
        ])
    }

    private static func json(_ report: FailoverReport) -> JSONValue {
        let failover = report.failover
        return .object([
            .init("time", .count(UInt64(max(0, report.time)))),
            .init("name", .string("\(report.name)")),
            .init("from", .string("\(failover.from)")),
            .init("to", .string("\(failover.to)")),
            .init("cause", .string(failover.cause.text)),
            .init("offset", failover.offset.map(JSONValue.count) ?? .null),
            .init("gap_ms", .count(UInt64(max(0, failover.gap.milliseconds)))),
        ])
    }

    private static func json(_ client: WorkerReport.Client) -> JSONValue {
        .object([
            .init("user", client.user.map(JSONValue.string) ?? .null),
            .init("paths", .array(client.paths.map { PathReport.json($0) })),
            .init(
                "tunnels",
                .array(
                    client.tunnels.map { tunnel in
                        .object([
                            .init("destination", tunnel.destination.map { .string("\($0)") } ?? .null),
                            .init("bytes_to_client", .count(tunnel.sent)),
                            .init("bytes_from_client", .count(tunnel.delivered)),
                            .init("buffered", .count(tunnel.buffered)),
                        ])
                    })),
        ])
    }

    /// For people: a line for the gateway, one for each client.
    var text: String {
        var lines = ["gateway on \(listen.joined(separator: ", ")), \(clients.count) clients"]
        if let draining {
            lines.append("  draining: its tunnels have \(max(0, draining.milliseconds) / 1000) s to end")
        }
        for client in clients {
            let path =
                client.paths.first.map {
                    "\($0.path.remote), RTT \($0.smoothedRTT.milliseconds) ms, \($0.congestionControl.rawValue)"
                } ?? "-"
            lines.append("  \(client.user ?? "(not authenticated)"): \(path), \(client.tunnels.count) tunnels")
        }
        for replica in replicas where replica.statistics.health != .usable {
            lines.append(
                "  \(replica.name): replica \(replica.statistics.replica) is \(replica.statistics.health.rawValue)")
        }
        if heldTunnels > 0 { lines.append("  \(heldTunnels) tunnels wait for their clients") }
        return lines.joined(separator: "\n") + "\n"
    }
}
