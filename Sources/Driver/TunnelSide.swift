public import EventLoop
import Glibc
import Keeper
import Primitives
import Tunnel

/// Who moves the bytes of a tunnel's local side at present: a connection's driver, or the hold between two connections.
protocol TunnelSideMover: AnyObject {
    /// Bytes, the end or an error can be read.
    func readable(_ side: TunnelSide)
    /// A write that was blocked can go on.
    func writable(_ side: TunnelSide)
    /// The stream is broken.
    func failed(_ side: TunnelSide)
}

/// The local side of one tunnel: a TCP connection or a pair of pipes, whichever connection carries the tunnel.
public final class TunnelSide: ByteStreamHandler {
    /// Bytes read at once from a stream whose bytes are filtered.
    static let filteredReadSize = 16 * 1024

    /// Which tunnel of its present connection; nil while it has none.
    var id: TunnelID?
    /// Its stream. One of which a passage is in charge may be exchanged for another; it is closed between the two.
    public private(set) var stream: ByteStream
    private let filter: (any IngressFilter)?
    weak var mover: (any TunnelSideMover)?
    /// What stands between the tunnel and the stream; nil for most.
    var passage: (any SidePassage)?
    /// Whether the mover wants to be told of bytes.
    private var isWanted = false
    /// Where it is noted what the kernel cannot tell a process that goes on with the tunnel; nil for one that ends with this process.
    var record: VaultTunnel?

    init(_ id: TunnelID, _ stream: ByteStream, _ filter: (any IngressFilter)?, mover: any TunnelSideMover) {
        self.id = id
        self.stream = stream
        self.filter = filter
        self.mover = mover
        stream.setHandler(self)
        stream.watchForReset()
    }

    /// Whether the tunnel's bytes are others than those of the stream.
    var isAltered: Bool { filter != nil || passage?.isAltering == true }

    /// What lets it go on through another tunnel; nil for those that cannot.
    public var applicationPassage: ApplicationPassage? { passage as? ApplicationPassage }

    /// Whether it has no stream just now, so that it cannot go to another loop.
    public var isBetweenOrigins: Bool { passage?.isBetweenOrigins == true }

    /// Bytes of room that the ring needs before a read is of use.
    var leastRoom: Int { passage?.leastRoom ?? 1 }

    /// Whether the mover hears of bytes to read, of the end and of errors.
    var isReading: Bool {
        get { isWanted }
        set {
            isWanted = newValue
            readStream()
            passage?.readingChanged()
        }
    }

    /// Reads into the free part of `ring` what the filter admits.
    func read(into ring: ByteRing) -> ByteStream.ReadOutcome {
        if let passage { return passage.read(into: ring) }
        guard let filter else { return stream.read(into: ring) }
        var buffer = [UInt8](repeating: 0, count: min(ring.freeSpace, Self.filteredReadSize))
        var region = buffer.mutableSpan
        let outcome = stream.read(into: &region)
        guard case .bytes(let count) = outcome else { return outcome }
        switch filter.admit(buffer.span.extracting(0..<count)) {
        case .bytes(let admitted): _ = ring.append(buffer.span.extracting(0..<admitted))
        case .violation: return .failed(SystemError(.read, code: EPROTO))
        }
        return outcome
    }

    /// Writes payload to the stream; when the end follows, `finishWriting` does once all of it is taken.
    func write(_ bytes: Span<UInt8>, before following: ByteStream.Following) -> ByteStream.WriteOutcome {
        passage?.write(bytes, before: following) ?? stream.write(bytes, before: following)
    }

    /// Exchanges the stream, which was closed or aborted, for another one.
    func exchange(for other: ByteStream) {
        stream = other
        other.setHandler(self)
        other.watchForReset()
        readStream()
    }

    /// Has the loop tell of bytes to read, or not.
    func readStream() { stream.isReading = isWanted && passage?.isOver != true }

    /// What is left of a side whose loop has let go of it: to be taken up by another one.
    public struct Remains: Sendable {
        let stream: ByteStream.Remains
        /// What its passage knows; nil when it has none.
        public let passage: OriginPassage.Remains?
    }

    /// Lets the loop go of the stream, which stays open. Only for sides without a filter, as those of a gateway are, and not
    /// between two streams.
    public func surrender() -> Remains? {
        mover = nil
        let passed = passage?.surrender()
        passage = nil
        return stream.surrender().map { Remains(stream: $0, passage: passed) }
    }

    /// Takes up a side that another loop has let go of.
    public convenience init(_ remains: Remains, on loop: EventLoop) {
        self.init(ByteStream(remains.stream, on: loop))
    }

    /// The side of a tunnel that nobody moves yet.
    init(_ stream: ByteStream) {
        id = nil
        self.stream = stream
        filter = nil
        stream.setHandler(self)
        stream.watchForReset()
    }

    /// Closes the stream such that a TCP peer gets a reset.
    public func abort() {
        leave()
        stream.abort()
    }

    /// Closes the stream in order.
    func close() {
        leave()
        stream.close()
    }

    private func leave() {
        passage?.sideClosed()
        passage = nil
    }

    /// The stream is broken; `state` says how far it was when its tunnel goes on for a while.
    func broke(_ state: BrokenTCP?) {
        // Noted before the system forgets how far it was.
        if let state { record?.breakOff(readEnd: state.readEnd, written: state.written) }
        abort()
    }

    /// The end of the stream was read: noted before anybody else is told.
    func endWasRead() { record?.mark(.endRead) }

    func finishWriting() {
        record?.mark(.endWritten)
        if let passage { return passage.finishWriting() }
        do throws(SystemError) {
            try stream.shutdownWrite()
        } catch {
            mover?.failed(self)
        }
    }

    /// For the stream.
    public func streamReadable(_ stream: ByteStream) { mover?.readable(self) }
    /// For the stream.
    public func streamWritable(_ stream: ByteStream) {
        if let passage { passage.streamWritable() } else { mover?.writable(self) }
    }
    /// For the stream.
    public func streamBroken(_ stream: ByteStream) {
        if let passage { passage.streamBroken() } else { mover?.failed(self) }
    }
}
