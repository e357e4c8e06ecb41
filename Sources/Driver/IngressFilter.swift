/// What decides which bytes of a local program enter its tunnel, where not all of them may.
public protocol IngressFilter: AnyObject {
    /// Bytes that the program has sent, in order.
    func admit(_ bytes: Span<UInt8>) -> IngressVerdict
}

/// How far bytes may enter a tunnel.
public enum IngressVerdict: Hashable, Sendable {
    /// So many of them from the front; the others are dropped.
    case bytes(Int)
    /// They are not what was agreed upon: the tunnel is to be reset.
    case violation
}
