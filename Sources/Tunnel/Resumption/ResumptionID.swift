public import Primitives

/// Names a tunnel that outlives its connection; who knows it and may use the gateway as the same user may take the tunnel over.
/// A secret: never logged.
public struct ResumptionID: Hashable, Sendable {
    /// Bytes on the wire.
    public static let byteCount = 16

    private let high: UInt64
    private let low: UInt64

    /// Draws one; the generator must be one whose numbers nobody can predict.
    public init(drawing generator: inout some RandomNumberGenerator) {
        high = generator.next()
        low = generator.next()
    }

    /// Reads one; nil when the bytes are not exactly 16.
    public init?(_ bytes: [UInt8]) {
        guard bytes.count == Self.byteCount else { return nil }
        high = bytes[..<8].reduce(0) { $0 << 8 | UInt64($1) }
        low = bytes[8...].reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// Makes one from two words that `words` gave.
    public init(words: (high: UInt64, low: UInt64)) { (high, low) = words }

    /// The same in two words.
    public var words: (high: UInt64, low: UInt64) { (high, low) }

    /// The 16 bytes.
    public var bytes: [UInt8] {
        [high, low].flatMap { half in
            stride(from: UInt64(56), through: 0, by: -8).map { UInt8(truncatingIfNeeded: half >> $0) }
        }
    }
}

extension ResumptionID: CustomStringConvertible, CustomDebugStringConvertible {
    /// Nothing of the secret.
    public var description: String { "…" }
    /// The same: a secret does not show in a debugger's output either.
    public var debugDescription: String { description }
}

/// What a gateway offers with a new tunnel: that it can be resumed.
public struct ResumptionGrant: Hashable, Sendable {
    /// The tunnel's name, which nobody has used before.
    public var id: ResumptionID
    /// How long the gateway keeps the tunnel without a connection; whole seconds go on the wire.
    public var linger: Interval

    /// Creates an offer.
    public init(id: ResumptionID, linger: Interval) {
        self.id = id
        self.linger = linger
    }
}

/// A client's request to go on with a tunnel on another connection.
public struct ResumptionRequest: Hashable, Sendable {
    /// Which tunnel.
    public var id: ResumptionID
    /// The position up to which the client has handed payload to its TCP; the FIN counts as one after the last byte.
    public var delivered: UInt64
    /// Counts the client's requests for this tunnel; its creation was 0.
    public var generation: UInt64

    /// Creates a request.
    public init(id: ResumptionID, delivered: UInt64, generation: UInt64) {
        self.id = id
        self.delivered = delivered
        self.generation = generation
    }
}

/// A gateway's answer to a request to resume that it grants.
public struct ResumptionAnswer: Hashable, Sendable {
    /// The tunnel, and the generation that is echoed; `delivered` is the gateway's position.
    public var position: ResumptionRequest
    /// How long the gateway keeps the tunnel when it loses this connection too.
    public var linger: Interval

    /// Creates an answer.
    public init(_ position: ResumptionRequest, linger: Interval) {
        self.position = position
        self.linger = linger
    }
}

/// What a request for a tunnel says about resumption.
public enum ResumptionWish: Hashable, Sendable {
    /// Nothing, or something that is no structured item of the right type: ignored (RFC 9651 §4.2).
    case none
    /// The client would like to be able to resume the tunnel.
    case wanted
    /// It goes on with a tunnel.
    case resume(ResumptionRequest)
    /// An id without what belongs to it, which must not be taken for a request for a new tunnel.
    case malformed
}
