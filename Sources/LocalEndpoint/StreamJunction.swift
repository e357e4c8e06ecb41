import EventLoop
import Primitives

/// What hears how a junction ended.
protocol StreamJunctionOwner: AnyObject {
    /// Both streams are closed; `finished` when both directions ended in order.
    func junctionEnded(_ ending: TunnelEnding)
}

/// Joins two streams: what comes from one goes to the other, ends of one direction included.
///
/// Each direction has one buffer; a stream is not read while the bytes that came from it wait for room in the other.
final class StreamJunction {
    /// Bytes that wait in each direction at most.
    static let bufferLimit = 256 * 1024

    private unowned let owner: any StreamJunctionOwner
    private var ends: [JunctionEnd] = []

    /// Takes the streams over.
    init(_ first: ByteStream, _ second: ByteStream, owner: any StreamJunctionOwner) {
        self.owner = owner
        let (near, far) = (JunctionEnd(first, junction: self), JunctionEnd(second, junction: self))
        (near.other, far.other) = (far, near)
        ends = [near, far]
    }

    /// Begins; the owner hears of the end from now on.
    func start() {
        for end in ends { end.start() }
    }

    func endedInOrder() {
        guard ends.allSatisfy({ $0.stream.hasReachedEnd && $0.stream.hasFinishedWriting }) else { return }
        end(.finished)
    }

    func broken() { end(.reset) }

    private func end(_ ending: TunnelEnding) {
        guard !ends.isEmpty else { return }
        for end in ends { ending == .finished ? end.stream.close() : end.stream.abort() }
        ends = []
        owner.junctionEnded(ending)
    }
}

/// One of the streams with the buffer for what comes from it.
private final class JunctionEnd: ByteStreamHandler {
    let stream: ByteStream
    let ring = ByteRing(limit: StreamJunction.bufferLimit)
    weak var other: JunctionEnd?
    private unowned let junction: StreamJunction

    init(_ stream: ByteStream, junction: StreamJunction) {
        self.stream = stream
        self.junction = junction
    }

    func start() {
        stream.setHandler(self)
        stream.isReading = true
        stream.watchForReset()
    }

    func streamReadable(_ stream: ByteStream) {
        guard ring.freeSpace > 0 else { return stream.isReading = false }
        switch stream.read(into: ring) {
        case .bytes, .endOfStream: forward()
        case .wouldBlock: break
        case .failed: junction.broken()
        }
    }

    func streamWritable(_ stream: ByteStream) { other?.forward() }

    func streamBroken(_ stream: ByteStream) { junction.broken() }

    /// Hands what came from this stream to the other one.
    func forward() {
        guard let other, stream.isOpen else { return }
        while !ring.isEmpty {
            switch other.write(ring) {
            case .bytes(let count): ring.release(upTo: ring.start + UInt64(count))
            case .wouldBlock: return
            case .failed: return junction.broken()
            }
        }
        guard stream.hasReachedEnd else { return stream.isReading = true }
        guard !other.stream.hasFinishedWriting else { return }
        do throws(SystemError) {
            try other.stream.shutdownWrite()
            junction.endedInOrder()
        } catch {
            junction.broken()
        }
    }

    private func write(_ ring: ByteRing) -> ByteStream.WriteOutcome {
        var outcome = ByteStream.WriteOutcome.wouldBlock
        ring.withReadableRegions(ring.start..<ring.end) { first, second in outcome = stream.write(first, second) }
        return outcome
    }
}
