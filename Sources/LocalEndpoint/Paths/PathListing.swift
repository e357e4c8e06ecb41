import Driver
import EventLoop
import Primitives
import QUIC
import Telemetry
import Tunnel

/// The paths of the connection, the addresses that could be others, and the handovers of late, as `godwit paths` and
/// `godwit status` show them.
struct PathListing {
    private let link: GatewayLink

    init(_ link: GatewayLink) { self.link = link }

    private var paths: [PathStatus] { link.session?.driven.connection.networkPaths ?? [] }

    /// Addresses of this machine from which no path leaves.
    private var others: [LinkAddress] {
        let used = Set(paths.map(\.path.local.ip))
        return link.paths.links.filter { !used.contains($0.address) }
    }

    // MARK: - For programs

    var pathsJSON: JSONValue {
        .array(paths.map { PathReport.json($0, interface: link.paths.interface(of: $0.path.local)) })
    }

    var handoversJSON: JSONValue {
        .array(
            link.paths.handovers.map { record in
                .object([
                    .init("at_unix_ms", .count(Int(clamping: record.unixMilliseconds))),
                    .init("reason", .string(record.handover.reason.rawValue)),
                    .init("from", Self.json(record.handover.from)),
                    .init("to", Self.json(record.handover.to)),
                    .init("stall_ms", record.handover.stall.map { .count($0.milliseconds) } ?? .null),
                ])
            })
    }

    var json: JSONValue {
        .object([
            .init("paths", pathsJSON),
            .init(
                "others",
                .array(
                    others.map { other in
                        .object([
                            .init("interface", .string(other.interface)),
                            .init("address", .string("\(other.address)")),
                            .init("usable", .bool(other.isUsable)),
                        ])
                    })),
            .init("handovers", handoversJSON),
        ])
    }

    private static func json(_ place: Handover.Place) -> JSONValue {
        .object([
            .init("interface", place.interface.map(JSONValue.string) ?? .null),
            .init("local", .string("\(place.local)")),
        ])
    }

    // MARK: - For people

    var pathLines: [String] {
        paths.map { PathReport.text($0, interface: link.paths.interface(of: $0.path.local)) }
    }

    var handoverLines: [String] {
        let now = Clock.unixMilliseconds()
        return link.paths.handovers.map { record in
            let handover = record.handover
            let stall = handover.stall.map { "stall \($0.milliseconds) ms" } ?? "stall unknown"
            return "handover \(max(0, now - record.unixMilliseconds) / 1000) s ago: \(handover.from.text) -> "
                + "\(handover.to.text), \(handover.reason.sentence), \(stall)"
        }
    }

    var text: String {
        var lines = pathLines.map { "path " + $0 }
        if lines.isEmpty { lines = ["no connection to the gateway"] }
        lines += others.map { "other \($0.interface) \($0.address), \($0.isUsable ? "not in use" : "down")" }
        return (lines + handoverLines).joined(separator: "\n") + "\n"
    }
}
