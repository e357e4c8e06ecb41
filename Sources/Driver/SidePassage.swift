import EventLoop
import Primitives

/// Stands between a tunnel and its local side: sees every byte that passes, in both directions, and may change them.
///
/// Each end of a tunnel has its own: at a gateway the side is the origin, at a local endpoint the application. It belongs to
/// its side, which it outlives in no case.
protocol SidePassage: AnyObject {
    /// Whether the tunnel's bytes are, or may become, others than those of the present stream: such a tunnel ends with the process,
    /// because the kernel's counters of its stream say nothing about it.
    var isAltering: Bool { get }
    /// Whether there is no stream just now.
    var isBetweenOrigins: Bool { get }
    /// Whether nothing more is read from the stream.
    var isOver: Bool { get }
    /// Bytes of room that the ring needs before a read is of use.
    var leastRoom: Int { get }
    /// Reads from the stream into the free part of `ring`, which has `leastRoom`.
    func read(into ring: ByteRing) -> ByteStream.ReadOutcome
    /// Writes payload to the stream; when the end follows, `finishWriting` does once all of it is taken.
    func write(_ bytes: Span<UInt8>, before following: ByteStream.Following) -> ByteStream.WriteOutcome
    /// The payload has ended.
    func finishWriting()
    /// The mover wants to be told of bytes from now on, or not any more.
    func readingChanged()
    /// A write that was blocked can go on.
    func streamWritable()
    /// The stream was reset while nothing was read or written.
    func streamBroken()
    /// What goes on with the side in another loop.
    func surrender() -> OriginPassage.Remains?
    /// The side is being closed: nothing more happens.
    func sideClosed()
}
