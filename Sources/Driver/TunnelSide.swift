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
    public let stream: ByteStream
    private let filter: (any IngressFilter)?
    weak var mover: (any TunnelSideMover)?
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
    var isFiltered: Bool { filter != nil }

    /// Reads into the free part of `ring` what the filter admits.
    func read(into ring: ByteRing) -> ByteStream.ReadOutcome {
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

    /// What is left of a side whose loop has let go of it: to be taken up by another one.
    public struct Remains: Sendable {
        let stream: ByteStream.Remains
    }

    /// Lets the loop go of the stream, which stays open. Only for sides without a filter, as those of a gateway are.
    public func surrender() -> Remains? {
        mover = nil
        return stream.surrender().map(Remains.init)
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
    public func abort() { stream.abort() }

    /// The stream is broken; `state` says how far it was when its tunnel goes on for a while.
    func broke(_ state: BrokenTCP?) {
        // Noted before the system forgets how far it was.
        if let state { record?.breakOff(readEnd: state.readEnd, written: state.written) }
        stream.abort()
    }

    /// The end of the stream was read: noted before anybody else is told.
    func endWasRead() { record?.mark(.endRead) }

    func finishWriting() {
        record?.mark(.endWritten)
        do throws(SystemError) {
            try stream.shutdownWrite()
        } catch {
            mover?.failed(self)
        }
    }

    /// For the stream.
    public func streamReadable(_ stream: ByteStream) { mover?.readable(self) }
    /// For the stream.
    public func streamWritable(_ stream: ByteStream) { mover?.writable(self) }
    /// For the stream.
    public func streamBroken(_ stream: ByteStream) { mover?.failed(self) }
}
