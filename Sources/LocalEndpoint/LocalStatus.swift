import Configuration
import Driver
import EventLoop
import Primitives
import QUIC
import Telemetry
import Tunnel

/// What `godwit status` shows of a local endpoint.
struct LocalStatus {
    /// Handovers that people are shown; `godwit paths` and JSON have more.
    static let handoversShown = 5

    private let links: GatewayLinks
    private var link: GatewayLink { links.current }

    init(_ links: GatewayLinks) { self.links = links }

    private var state: String {
        switch link.state {
        case .idle, .stopped: "stopped"
        case .dialling: "connecting"
        case .ready: "connected"
        case .waiting: "waiting to reconnect"
        }
    }

    private var tunnels: [TunnelRelay.Statistics] { links.sessions.flatMap(\.tunnels) }
    private var silence: Interval? { link.session.map { link.loop.now - $0.lastContact } }

    var json: JSONValue {
        .object([
            .init("role", .string("local endpoint")),
            .init("gateway", .string("\(link.invite.gateway)")),
            .init("state", .string(state)),
            .init("last_contact_ms", silence.map { .count($0.milliseconds) } ?? .null),
            .init("reconnects", .count(link.reconnects)),
            .init("held_tunnels", .count(links.heldCount)),
            .init("held_bytes", .count(links.heldMemory)),
            .init("last_failure", link.lastFailure.map { .string($0.sentence) } ?? .null),
            .init("gateways", GatewayListing(links).gatewaysJSON),
            .init("failover_count", .count(links.failoverCount)),
            .init("continued_downloads", .count(links.continuedCount)),
            .init("failovers", GatewayListing(links).failoversJSON),
            .init("paths", PathListing(link).pathsJSON),
            .init("handover_count", .count(link.paths.handoverCount)),
            .init("handovers", PathListing(link).handoversJSON),
            .init(
                "tunnels",
                .array(
                    tunnels.map { tunnel in
                        .object([
                            .init("destination", tunnel.destination.map { .string("\($0)") } ?? .null),
                            .init("bytes_out", .count(tunnel.sent)),
                            .init("bytes_in", .count(tunnel.delivered)),
                            .init("buffered", .count(tunnel.buffered)),
                        ])
                    })),
        ])
    }

    /// For people.
    var text: String {
        var lines = ["gateway \(link.invite.gateway): \(state), \(tunnels.count) tunnels"]
        if let silence { lines.append("last contact \(silence.milliseconds) ms ago, \(link.reconnects) reconnects") }
        if links.heldCount > 0 { lines.append("\(links.heldCount) tunnels wait for a connection") }
        if let failure = link.lastFailure { lines.append("last failure: \(failure.sentence)") }
        lines += GatewayListing(links).lines
        lines += PathListing(link).pathLines.map { "path " + $0 }
        lines += PathListing(link).handoverLines.suffix(Self.handoversShown)
        lines += tunnels.map { tunnel in
            let destination = tunnel.destination.map { "\($0)" } ?? "-"
            return "tunnel \(destination), \(tunnel.sent) bytes out, \(tunnel.delivered) in"
        }
        return lines.joined(separator: "\n") + "\n"
    }
}
