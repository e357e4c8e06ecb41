import Configuration
import Cryptography
import Driver
import EventLoop
import Keeper
import Logging
import Primitives
import QUIC
import Tunnel

// Tunnels that outlive the process.
extension GatewayLink {
    var protection: TunnelProtection? { keeper?.protection }

    /// Goes on with a tunnel of the process before this one; false when it is another gateway's.
    func adopt(_ recovered: TunnelProtection.Recovered) -> Bool {
        guard let owner = TunnelOwner(recovered.owner), owner.isAt(invite) else { return false }
        let tunnel = recovered.tunnel
        held.hold(tunnel, recovered.side, for: tunnel.linger, TunnelNote(gateway: invite))
        // The process before has seen it work.
        wasEverEstablished = true
        hasOpenedTunnel = true
        if outage.began == nil {
            outage = Outage(began: loop.now, lastHope: loop.now, nextReport: loop.now + Outage.firstReport)
            armOutage(at: outage.nextReport)
        }
        return true
    }

    /// Tunnels that the gateway is about to open; those that wait for it to come back are none.
    var openingCount: Int { sessions.reduce(0) { $0 + $1.openingCount } }

    /// Lets every tunnel go for the process that takes over: nothing is read or written any more.
    func letGo() {
        if case .dialling(let dial) = state { dial.cancel() }
        cancelRace()
        let sessions = self.sessions
        state = .stopped
        held.freeze()
        for session in sessions { session.letGo() }
    }
}

/// What is noted of a tunnel for the process that goes on with it: which gateway has its other end, and for how long.
struct TunnelOwner {
    /// How long the gateway keeps the tunnel.
    var linger: Interval
    private let gateway: [UInt8]

    /// Bytes of the time, in nanoseconds, behind the digest.
    private static let lingerBytes = 8

    init(_ invite: Invite, _ linger: Interval) {
        gateway = Self.digest(of: invite)
        self.linger = linger
    }

    /// Reads what another process has noted; nil for anything else.
    init?(_ bytes: [UInt8]) {
        guard bytes.count == SHA256.length + Self.lingerBytes else { return nil }
        gateway = Array(bytes.prefix(SHA256.length))
        let word = bytes.suffix(Self.lingerBytes).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        guard let nanoseconds = Int64(exactly: word) else { return nil }
        linger = Interval(nanoseconds: nanoseconds)
    }

    var bytes: [UInt8] {
        let word = UInt64(clamping: linger.nanoseconds)
        return gateway + (0..<Self.lingerBytes).reversed().map { UInt8(truncatingIfNeeded: word >> UInt64(8 * $0)) }
    }

    /// Whether this is the gateway of an invite, whichever user's.
    func isAt(_ invite: Invite) -> Bool { gateway == Self.digest(of: invite) }

    private static func digest(of invite: Invite) -> [UInt8] {
        let name = "\(invite.gateway) \(invite.pins.map { "\($0)" }.joined(separator: " "))"
        return SHA256.digest(Array(name.utf8).span)
    }
}
