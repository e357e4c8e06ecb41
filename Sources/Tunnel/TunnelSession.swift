import HTTP3
import Primitives
import QUIC

/// One tunnel: where it stands, the ring of its outgoing direction and the decoder of its incoming one.
///
///     client: [ waiting ] ──stream──► [ requested ] ──2xx───────┐
///                                                               ▼
///     server: [ authenticating ] ──yes──► [ dialling ] ──TCP──► [ relaying ] ──both directions ended──► [ closing ]
///                                                                                                          │
///     from everywhere: reset, refusal, loss of the connection ──► forgotten ◄──everything acknowledged─────┘
///
/// A tunnel that outlives its connection (`TunnelDurability`) is not forgotten with it: from `relaying` and `closing` it goes into a
/// `HeldTunnel`, and from there through `waiting` or `dialling` of the next connection back to where it was. Its `closing` lasts until
/// the peer has reported everything, too.
///
/// The two directions of `relaying` end one by one:
///
///     outgoing: [ open ] ──TCP FIN──► [ ended ]        FINAL_DATA is sent; classic: the stream is finished
///     incoming: [ open ] ──FINAL_DATA──► [ ended ]     TCP FIN is sent; classic: at the stream's end
///
/// A connect-tcp stream is finished only when both have ended, because its clean end says that TCP closed gracefully
/// (draft-ietf-httpbis-connect-tcp, "Closing Connections").
///
/// TCP that breaks after its FIN was read has sent everything: a tunnel that can be resumed goes on until the peer has reported all of
/// it, and only then tells it of the break (`Delivery.refused`).
final class TunnelSession {
    /// Where a tunnel stands.
    enum Phase: Hashable {
        case waiting
        case requested
        case authenticating
        case dialling
        case relaying
        case closing
    }

    /// How far the direction from TCP to the stream is.
    enum Outgoing: Hashable {
        /// TCP may send more.
        case open
        /// TCP has sent its FIN.
        case ended
        /// The gateway wants no bytes; its answer is awaited.
        case stopped
        /// The stream was finished, and the peer has acknowledged all of it.
        case acknowledged
    }

    /// How far the direction from the stream to TCP is.
    enum Incoming: Hashable {
        /// More may come.
        case open
        /// The end has come, but stands behind payload that was put aside.
        case endedAside
        /// All was handed to TCP, which was told to send its FIN.
        case ended
    }

    /// Whether TCP is to be read.
    enum Reading: Hashable {
        /// Not before the tunnel is further.
        case forbidden
        /// Now.
        case wanted
        /// Not before there is room in the ring.
        case awaitingRoom
        /// Not before most of what was read has left: more would only wait here.
        case awaitingDrain
    }

    /// Whether a `deliver` action is under way.
    enum Delivery: Hashable {
        case idle
        case announced
        /// TCP does not take what there is.
        case stalled
        /// TCP is broken and will never take anything, but has sent what the peer has not reported.
        case refused
    }

    let id: TunnelID
    /// The form in which it was asked for; a client knows it once the request is sent.
    var form: TunnelForm
    var destination: Destination?
    var stream: StreamID?
    var phase: Phase
    var outgoing = Outgoing.open
    var incoming = Incoming.open
    var reading = Reading.forbidden
    var delivery = Delivery.idle
    var urgency = StreamUrgency.normal
    /// Whether payload may be sent before the answer.
    var optimism = TunnelClient.Optimism.afterAnswer
    /// Whether the client waits to hear that its request arrived.
    var expectation = RequestReading.Expectation.none

    /// How long it lives.
    var durability = TunnelDurability.connection
    /// What TCP has sent, until the peer's transport has acknowledged it, and until the peer has reported it too when the tunnel outlives its connection.
    var ring: ByteRing
    /// The ring's offset up to which payload was handed to the stream.
    var sent: UInt64 = 0
    /// The ring's offset up to which the peer's transport has acknowledged it.
    var acknowledged: UInt64 = 0
    /// Payload bytes that were handed to TCP.
    var delivered: UInt64 = 0
    /// Bytes of the relay's budget that the ring has.
    var taken = 0
    var capsules = CapsuleDecoder()
    /// Payload that was taken from the stream before TCP took it; nil as long as that is not needed.
    var aside: ByteRing?

    init(id: TunnelID, phase: Phase, form: TunnelForm, destination: Destination?, ring: ByteRing) {
        self.id = id
        self.phase = phase
        self.form = form
        self.destination = destination
        self.ring = ring
    }

    /// Bytes of memory that its buffers take.
    var memory: Int { ring.capacity + (aside?.capacity ?? 0) }

    /// The numbers for capsules that are sent: what the peer uses, if it has been heard and nothing was sent before.
    func draftForSending(_ draft: ConnectTCPDraft) -> ConnectTCPDraft {
        guard sent == 0, let heard = capsules.draft, heard != draft else { return draft }
        form = .connectTCP(heard)
        return heard
    }
}

// What events mean in each phase; pure, so that the table can be tested whole.
extension TunnelSession.Phase {
    /// What a reset of the stream by the peer, or the loss of the stream, does.
    enum EndOutcome: Hashable {
        /// The request has failed: the application is told so.
        case fail
        /// TCP is reset, or the attempt to connect given up.
        case reset
        /// TCP is closed already: the tunnel is just forgotten.
        case forget
    }

    /// RFC 9114 §4.4: a reset stream, or a lost connection, is a TCP reset.
    var onStreamLost: EndOutcome {
        switch self {
        case .waiting, .requested: .fail
        case .authenticating, .dialling, .relaying: .reset
        case .closing: .forget
        }
    }

    /// What it does when the peer wants no more of what is sent.
    enum StopOutcome: Hashable {
        /// An answer that says why may still come.
        case awaitAnswer
        /// The tunnel is given up.
        case reset
        /// TCP is closed already: the tunnel is just forgotten.
        case forget
    }

    /// RFC 9114 §4.4: a peer that stops reading has given the tunnel up; §4.1: but a server may stop a request before its
    /// answer.
    var onStopped: StopOutcome {
        switch self {
        case .waiting, .requested: .awaitAnswer
        case .authenticating, .dialling, .relaying: .reset
        case .closing: .forget
        }
    }
}
