import ArgumentParser
import CBareTLS
import Cryptography
import HTTP3
import Primitives
import QUIC
import Tunnel

/// `godwit-costs handshakes`: what a client's arrival costs a gateway beside what it costs a server of bare TLS.
struct HandshakesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "handshakes",
        abstract:
            "Full handshakes a second on one core, the server's part of them: Godwit's and bare libssl's in turns.")

    @Option(help: "Handshakes of each in a round.")
    var count = 300

    @Option(help: "Rounds; the median of their ratios is printed.")
    var rounds = 9

    func run() throws {
        let arrivals = try Arrivals()
        let certificate = String(decoding: arrivals.identity.certificate.pem, as: UTF8.self)
        let key = String(decoding: arrivals.identity.key.pem, as: UTF8.self)
        var own: [Double] = []
        var bare: [Double] = []
        for round in 0...rounds {
            let spent = Double(try arrivals.run(count))
            // The bytes of the texts are read during the call.
            let bareSpent = unsafe Double(gwb_bare_handshakes(certificate, key, count))
            guard bareSpent >= 0 else { throw CostFailure("libssl made no handshake") }
            // The first round only warms up.
            guard round > 0 else { continue }
            own.append(spent / Double(count))
            bare.append(bareSpent / Double(count))
        }
        let ratio = Self.median(zip(own, bare).map { $1 / $0 })
        print(
            "handshakes a second and core: godwit \(Int(1e9 / Self.median(own))), bare TLS \(Int(1e9 / Self.median(bare))),",
            "\(Int((ratio * 100).rounded())) % (goal 80)")
    }

    private static func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
}

/// Clients that come to a gateway, one after the other: handshake, then the SETTINGS of HTTP/3 both ways.
final class Arrivals {
    /// Turns after which an arrival is given up.
    private static let mostTurns = 20
    private static let halfRoundTrip = Interval.milliseconds(5)

    private let wire: Wire
    private var now = Instant(nanoseconds: 1_000_000_000)
    var identity: Identity { wire.identity }

    init() throws { wire = try Wire(largestDatagram: TransportConfiguration.forTunnels.largestDatagram) }

    /// So many arrivals; returns the nanoseconds of processor time that they cost the gateway.
    func run(_ count: Int) throws -> Int64 {
        let before = wire.spent[.server] ?? 0
        for _ in 0..<count { try arrive() }
        return (wire.spent[.server] ?? 0) - before
    }

    private func arrive() throws {
        let handle = try wire.connect(at: now)
        guard let connection = wire.client.connection(handle) else { throw CostFailure("no connection") }
        let http = HTTP3Connection(connection, configuration: HTTP3Connection.Configuration(greaseSeed: 1))
        var gateway: Guest?
        for _ in 0..<Self.mostTurns where http.peerSettings == nil || gateway?.http.peerSettings == nil {
            let outcome = wire.carry(connection, from: .client, at: now)
            if gateway == nil, case .accepted(let accepted) = outcome {
                gateway = wire.count(.server) { wire.server.connection(accepted).map { Guest(accepted, $0) } }
            }
            now = now + Self.halfRoundTrip
            guard let gateway else { continue }
            wire.count(.server) { gateway.serve(at: now) }
            _ = wire.carry(gateway.http.connection, from: .server, at: now)
            now = now + Self.halfRoundTrip
            while let event = connection.nextEvent() { http.receive(event, at: now) }
            while http.nextEvent() != nil {}
        }
        guard let guest = gateway, guest.http.peerSettings != nil else {
            throw CostFailure("no arrival came to its end")
        }
        gateway = nil
        wire.client.remove(handle)
        wire.count(.server) { wire.server.remove(guest.handle) }
    }
}

/// What a gateway has for a client.
private final class Guest {
    let handle: ConnectionHandle
    let http: HTTP3Connection
    private let tunnels: TunnelServer

    init(_ handle: ConnectionHandle, _ connection: Connection) {
        self.handle = handle
        http = HTTP3Connection(connection, configuration: HTTP3Connection.Configuration(greaseSeed: 2))
        tunnels = TunnelServer(http)
    }

    func serve(at now: Instant) {
        while let event = http.connection.nextEvent() { tunnels.receive(event, at: now) }
        while tunnels.nextAction() != nil {}
    }
}
