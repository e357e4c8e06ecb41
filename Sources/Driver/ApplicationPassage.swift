public import EventLoop
import Glibc
public import Primitives
import Tunnel

/// What hears of downloads that go on through another tunnel.
public protocol ApplicationPassageOwner: AnyObject {
    /// The application gets bytes that came through another tunnel, from this place of the response on and so long after the last
    /// ones.
    func passage(_ passage: ApplicationPassage, wentOnFrom offset: UInt64?, after gap: Interval)
    /// The application's connection is reset; the reason is a sentence for the log.
    func passage(_ passage: ApplicationPassage, gaveUp reason: String)
}

/// Lets the application at a local endpoint go on with another tunnel, through another gateway or the same one, as its
/// `StreamMapper` says.
///
/// While nothing fails bytes go straight between the stream and the tunnel, and the mapper sees them afterwards. When the gateway is
/// dead, or has the tunnel no more, `goOn` tells what a new tunnel to the same destination has to send first; what comes from there goes through the mapper.
public final class ApplicationPassage {
    /// Bytes that are spliced at once; the application takes them before there are more.
    static let splicedAtOnce = 64 << 10

    private weak var side: TunnelSide?
    private weak var owner: (any ApplicationPassageOwner)?
    private let loop: EventLoop
    /// nil when nothing is to be followed any more.
    private var mapper: StreamMapper? = StreamMapper()
    /// Whether the tunnel is not the first one any more.
    private var isExchanged = false
    /// What the application is to get before anything else.
    private var outbound = PendingBytes()
    /// Whether nothing follows that.
    private var hasFinished = false
    /// Whether the application was told so, though the tunnel may go on.
    private var hasEnded = false
    /// When the application last got bytes.
    private var latest: Instant
    /// Where the response was when the tunnel was lost, until bytes come through another one.
    private var gap: (offset: UInt64?, since: Instant)?

    /// Puts a passage before a side through which nothing has passed but `sent`, which the application has sent.
    public init(_ side: TunnelSide, sent: [UInt8], owner: any ApplicationPassageOwner, on loop: EventLoop) {
        self.side = side
        self.owner = owner
        self.loop = loop
        latest = loop.now
        mapper?.requestsPassed(sent.span)
        dropMapperIfDone()
        side.passage = self
    }

    /// Whether the application is owed something that another tunnel could give it.
    public var canGoOn: Bool {
        guard var trial = mapper, case .send = trial.originFailed(.declaredDead) else { return false }
        return true
    }

    /// The gateway is dead, or has lost the tunnel.
    ///
    /// - Returns: what a new tunnel has to send first; nil when the application cannot go on.
    public func goOn() -> [UInt8]? {
        guard var next = mapper else { return nil }
        let offset = next.offset
        guard case .send(let bytes) = next.originFailed(.declaredDead) else { return nil }
        mapper = next
        isExchanged = true
        // What is noted for another process is about the former tunnel.
        side?.record = nil
        if gap == nil { gap = (offset, latest) }
        return bytes
    }

    private func dropMapperIfDone() {
        switch mapper?.state {
        case .following, .splicing, nil: break
        case .aside: mapper = nil
        case .over:
            mapper = nil
            // The origin behind the new tunnel does not know that it has to end the connection.
            if isExchanged { end() }
        }
    }

    private func end() {
        hasFinished = true
        hasEnded = true
        flush()
        guard let side, side.isReading else { return }
        // The tunnel hears of the end when it reads.
        loop.turnSoon()
        side.mover?.readable(side)
    }

    private static var broken: SystemError { SystemError(.write, code: EPROTO) }
}

extension ApplicationPassage: SidePassage {
    var isAltering: Bool { isExchanged }
    var isBetweenOrigins: Bool { false }
    var isOver: Bool { hasEnded }
    var leastRoom: Int { 1 }

    func read(into ring: ByteRing) -> ByteStream.ReadOutcome {
        guard let side else { return .failed(Self.broken) }
        guard !hasEnded else { return .endOfStream }
        let start = ring.end
        let outcome = side.stream.read(into: ring)
        guard case .bytes = outcome, mapper != nil else { return outcome }
        ring.withReadableRegions(start..<ring.end) { first, second in
            mapper?.requestsPassed(first)
            if !second.isEmpty { mapper?.requestsPassed(second) }
        }
        dropMapperIfDone()
        return outcome
    }

    func write(_ bytes: Span<UInt8>, before following: ByteStream.Following) -> ByteStream.WriteOutcome {
        guard let side else { return .failed(Self.broken) }
        // What follows the last response is for nobody.
        guard !hasEnded else { return .bytes(bytes.count) }
        guard outbound.isEmpty else { return .wouldBlock }
        if isExchanged, mapper != nil { return spliceAll(bytes, before: following) }
        let outcome = side.stream.write(bytes, before: following)
        guard case .bytes(let count) = outcome, mapper != nil else { return outcome }
        latest = loop.now
        mapper?.responsesPassed(bytes.extracting(0..<count))
        dropMapperIfDone()
        return outcome
    }

    /// Takes as much as the application does: whoever is told of less waits to hear that a write can go on.
    private func spliceAll(
        _ bytes: Span<UInt8>, before following: ByteStream.Following
    ) -> ByteStream.WriteOutcome {
        var taken = 0
        while taken < bytes.count, outbound.isEmpty {
            switch splice(bytes.extracting(taken..<bytes.count)) {
            case .bytes(let count): taken += count
            case .wouldBlock: return .bytes(taken)
            case .failed(let error): return .failed(error)
            }
            guard mapper == nil, outbound.isEmpty, taken < bytes.count else { continue }
            // Nothing is followed any more, or what follows is for nobody.
            guard case .bytes(let rest) = write(bytes.extracting(taken..<bytes.count), before: following) else { break }
            return .bytes(taken + rest)
        }
        return .bytes(taken)
    }

    private func splice(_ bytes: Span<UInt8>) -> ByteStream.WriteOutcome {
        let count = min(bytes.count, Self.splicedAtOnce)
        let input = bytes.extracting(0..<count)
        var position = 0
        do throws(ContinuationFailure) {
            while let part = try mapper?.splice(input, at: &position) {
                switch part {
                case .content(let range): outbound.append(input.extracting(range))
                case .framing(let framing): outbound.append(framing)
                }
            }
        } catch {
            switch error {
            case .unavailable(let reason), .abort(let reason): owner?.passage(self, gaveUp: reason)
            }
            mapper = nil
            return .failed(Self.broken)
        }
        if !outbound.isEmpty { bytesCame() }
        flush()
        dropMapperIfDone()
        return .bytes(count)
    }

    private func bytesCame() {
        latest = loop.now
        guard let gap else { return }
        self.gap = nil
        owner?.passage(self, wentOnFrom: gap.offset, after: latest - gap.since)
    }

    private func flush() {
        guard let side else { return }
        while !outbound.isEmpty {
            let next = outbound
            switch side.stream.write(next.span) {
            case .bytes(let count): outbound.removeFirst(count)
            case .wouldBlock: return
            case .failed: return streamBroken()
            }
        }
        guard hasFinished, !side.stream.hasFinishedWriting else { return }
        do throws(SystemError) { try side.stream.shutdownWrite() } catch { streamBroken() }
    }

    func finishWriting() {
        if isExchanged, var last = mapper {
            // The end of the new tunnel is not that of a response that began on another one.
            if last.originFailed(.reset) != .unchanged {
                mapper = nil
                owner?.passage(self, gaveUp: "the connection through the other tunnel ended before the response did")
                streamBroken()
                return
            }
        }
        mapper = nil
        hasFinished = true
        flush()
    }

    func readingChanged() {
        guard hasEnded, let side, side.isReading else { return }
        side.mover?.readable(side)
    }

    func streamWritable() {
        flush()
        guard let side, outbound.isEmpty else { return }
        side.mover?.writable(side)
    }

    func streamBroken() {
        if let side { side.mover?.failed(side) }
    }

    func surrender() -> OriginPassage.Remains? { nil }

    func sideClosed() { mapper = nil }
}

@available(*, unavailable)
extension ApplicationPassage: Sendable {}
