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

    /// Has tunnels outlive the process, and goes on with those of the process before this one.
    func keep(_ keeper: LoopKeeper) {
        self.keeper = keeper
        let limit = TunnelRelay.Limits().maximumRing
        let lost = keeper.recover(.client, linger: { TunnelOwner($0.owner)?.linger ?? .zero }, limit: limit) {
            switch $0 {
            case .recovered(let recovered): adopt(recovered)
            case .lost(let tunnel, let reason):
                log.warning("the tunnel to \(tunnel.entry.destination) cannot go on and was reset: \(reason)")
            }
        }
        guard lost != nil else { return }
        // The process before has seen it work.
        wasEverEstablished = true
        hasOpenedTunnel = true
        log.notice("going on after the process before", metadata: ["tunnels": "\(held.count)"])
    }

    private func adopt(_ recovered: TunnelProtection.Recovered) {
        let tunnel = recovered.tunnel
        guard let owner = TunnelOwner(recovered.owner), let gateway = invites.first(where: owner.isAt) else {
            log.warning("the tunnel to \(Self.destination(of: tunnel)) was reset: its gateway is configured no more")
            recovered.side?.abort()
            protection?.ended(tunnel.id)
            return
        }
        held.hold(tunnel, recovered.side, for: tunnel.linger, TunnelNote(gateway: gateway))
        guard outage.began == nil else { return }
        outage = Outage(began: loop.now, lastHope: loop.now, nextReport: loop.now + Outage.firstReport)
        armOutage(at: outage.nextReport)
    }

    /// Lets every tunnel go for the process that takes over: nothing is read or written any more.
    func letGo() {
        if case .dialling(let dial) = state { dial.cancel() }
        cancelRace()
        let sessions = self.sessions
        state = .stopped
        held.freeze()
        for session in sessions { session.letGo() }
        keeper?.client.flush(atMost: LoopKeeper.patience)
    }
}

/// What is noted of a tunnel for the process that goes on with it: which gateway has its other end, and for how long.
struct TunnelOwner {
    /// How long the gateway keeps the tunnel.
    let linger: Interval
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
