/// How the connection to an origin came to be of no use, or that to the gateway behind which it is.
public enum OriginFailure: Hashable, Sendable, CaseIterable {
    /// The origin ended the connection in order (FIN).
    case ended
    /// The connection was reset.
    case reset
    /// Nothing came for too long, see `StreamMapper.isStallPossible`.
    case stalled
    /// Somebody who watches it says that the origin is dead.
    case declaredDead
}

/// What to do after a failure of the origin.
public enum ContinuationPlan: Hashable, Sendable {
    /// What would be done without a mapper: an end or a reset is passed on, a stall is waited out.
    case unchanged
    /// Give up the old origin, connect to another one, send it these bytes and then whatever the application sends from now on;
    /// what it answers goes through `StreamMapper.splice`.
    case send([UInt8])
    /// Reset the application's connection. The reason is a sentence for the log.
    case abort(reason: String)
}

/// Bytes that the application gets next.
public enum SplicedPart: Hashable, Sendable {
    /// Bytes of the input, at this place.
    case content(Range<Int>)
    /// Framing that the new origin did not send: at most `StreamMapper.longestFraming` bytes.
    case framing([UInt8])
}

/// Why another origin's answer does not go on with what the application has. It got nothing of it that it must not have.
public enum ContinuationFailure: Error, Hashable, Sendable {
    /// The origin cannot serve at present: ask `StreamMapper.originFailed` (`.declaredDead`) for another attempt.
    case unavailable(reason: String)
    /// Reset the application's connection. The reason is a sentence for the log.
    case abort(reason: String)
}
