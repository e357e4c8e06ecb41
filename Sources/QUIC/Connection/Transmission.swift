public import Primitives

/// Datagrams to hand to one system call: all of `segmentSize` bytes, but for the last, which may be shorter (GSO).
public struct Transmission: Hashable, Sendable {
    /// The address to send from; the wildcard address leaves the choice to the kernel.
    public var local: NetworkAddress
    /// The address to send to.
    public var remote: NetworkAddress
    /// The codepoint that every datagram is marked with.
    public var ecn: ECN
    /// Bytes of each datagram but the last.
    public var segmentSize: Int
    /// Bytes of all datagrams together, from the start of the buffer.
    public var byteCount: Int

    /// How many datagrams these are.
    public var datagramCount: Int { segmentSize == 0 ? 0 : (byteCount + segmentSize - 1) / segmentSize }
}
