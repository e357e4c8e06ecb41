import HTTP3
import Primitives

/// How long a tunnel lives, and what belongs to that.
///
///     client: [ connection ]   [ asked ] ──granted──► [ resumable ] ◄──200── [ resuming ]
///                   ▲             └──not granted──► [ connection ]                └─ lost with the connection: held
///     server: [ connection ]   [ asked ] ──granted──► [ resumable ] ◄──resume── [ claimed ]
///
///     [ resumable ] ──connection lost, or detached──► HeldTunnel ──on another connection──► [ resuming ], or resumed from
enum TunnelDurability {
    /// As long as its connection.
    case connection
    /// The client has asked for more; there is no answer yet.
    case asked
    /// It outlives its connection.
    case resumable(TunnelAttachment)
    /// A client's: the gateway has been, or will be, asked to go on with it.
    case resuming(HeldTunnel)
    /// A gateway's: the client wants to go on with a tunnel.
    case claimed(ResumptionRequest)
}

/// What ties a resumable tunnel to the stream that carries it now.
final class TunnelAttachment {
    /// Whether the client is known to know the tunnel's id.
    enum Confirmation: Hashable {
        case awaited
        case given
    }

    let id: ResumptionID
    let generation: UInt64
    let linger: Interval
    /// Whether the client is known to know the id; a client always does.
    var confirmation: Confirmation
    /// The position that the peer has reported last.
    var peerDelivered: UInt64
    /// The position that was reported to the peer last.
    var reported: UInt64
    /// Where the present burst of payload began: reports become rarer the longer it is.
    var burstStart: UInt64
    /// When the next report is due at the latest; nil when all was reported.
    var reportDue: Instant?

    init(
        _ id: ResumptionID, generation: UInt64, linger: Interval, confirmation: Confirmation, peerDelivered: UInt64,
        reported: UInt64
    ) {
        self.id = id
        self.generation = generation
        self.linger = linger
        self.confirmation = confirmation
        self.peerDelivered = peerDelivered
        self.reported = reported
        burstStart = reported
    }
}

extension TunnelSession {
    /// What ties it to its stream, when it is resumable.
    var attachment: TunnelAttachment? {
        guard case .resumable(let attachment) = durability else { return nil }
        return attachment
    }

    /// The tunnel that is to go on, when the gateway has not agreed yet.
    var resuming: HeldTunnel? {
        guard case .resuming(let held) = durability else { return nil }
        return held
    }

    /// What the request says about resumption.
    var wish: ResumptionWish {
        switch durability {
        case .asked: .wanted
        case .resuming(let held):
            .resume(
                ResumptionRequest(
                    id: held.id, delivered: held.deliveredPosition, generation: held.generation.addingSaturating(1)))
        case .connection, .resumable, .claimed: .none
        }
    }

    /// The position up to which payload was handed to TCP; the FIN counts as one.
    var deliveredPosition: UInt64 { delivered + (incoming == .ended ? 1 : 0) }

    /// The position up to which payload was handed to the stream.
    var sentPosition: UInt64 {
        switch outgoing {
        case .open, .stopped: sent
        case .ended, .acknowledged: sent + 1
        }
    }

    /// Whether the peer has reported all there will ever be.
    var isAllReported: Bool {
        guard let attachment, outgoing == .ended || outgoing == .acknowledged else { return false }
        return attachment.peerDelivered == ring.end + 1
    }
}
