import EventLoop
import Glibc
import Primitives
import Testing

/// Two ends of one connection over loopback, on one loop.
struct StreamPair {
    let loop: EventLoop
    let listener: StreamListener
    let near: ByteStream
    let far: ByteStream
    let nearRecorder = StreamRecorder()
    let farRecorder = StreamRecorder()

    init(_ family: IPAddress.Family = .ipv4) throws {
        let loop = try EventLoop()
        self.loop = loop
        let accepting = StreamRecorder()
        let connecting = ConnectRecorder()
        listener = try StreamListener(tcp: loopback(family), on: loop, handler: accepting)
        let attempt = try TCPConnectAttempt(
            to: try #require(listener.localAddress), on: loop, handler: connecting)
        #expect(loop.run { connecting.stream != nil && accepting.accepted.count == 1 })
        near = try #require(connecting.stream)
        far = try #require(accepting.accepted.first)
        near.setHandler(nearRecorder)
        far.setHandler(farRecorder)
        attempt.cancel()
    }

    func close() {
        near.close()
        far.close()
        listener.close()
    }
}

/// Keeps the outcome of an attempt.
final class ConnectRecorder: TCPConnectAttemptHandler {
    private(set) var streams: [ByteStream] = []
    private(set) var error: SystemError?
    var stream: ByteStream? { streams.first }

    func closeAll() { for stream in streams { stream.close() } }

    func attempt(_ attempt: TCPConnectAttempt, connected stream: ByteStream) { streams.append(stream) }
    func attempt(_ attempt: TCPConnectAttempt, failed error: SystemError) { self.error = error }
}

/// Writes bytes as fast as they are taken.
final class Feeder {
    let stream: ByteStream
    let bytes: [UInt8]
    private(set) var written = 0
    private(set) var error: SystemError?

    init(_ stream: ByteStream, _ bytes: [UInt8]) {
        self.stream = stream
        self.bytes = bytes
    }

    var isDone: Bool { written == bytes.count }

    func feed() {
        let bytes = bytes
        while !isDone, error == nil {
            let middle = min(written + 10_000, bytes.count)
            let outcome = stream.write(
                bytes.span.extracting(written..<middle), bytes.span.extracting(middle..<bytes.count))
            switch outcome {
            case .bytes(let count): written += count
            case .wouldBlock: return
            case .failed(let error): self.error = error
            }
        }
    }
}

@Suite("Byte streams")
struct ByteStreamTests {
    @Test("bytes before the end wait for it in the system")
    func bytesBeforeEnd() throws {
        // The system keeps them for a fifth of a second at most: a machine that pauses for so long may say so once.
        let hasWaited = try (0..<5).contains { _ in
            let pair = try StreamPair()
            defer { pair.close() }
            var byte: [UInt8] = [0]
            var region = byte.mutableSpan
            #expect(pair.near.write([7].span, before: .end) == .bytes(1))
            let outcome = pair.far.read(into: &region)
            try pair.near.shutdownWrite()
            pair.far.isReading = true
            #expect(pair.loop.run { pair.farRecorder.hasEnded })
            #expect(outcome == .bytes(1) || pair.farRecorder.bytes == [7])
            return outcome == .wouldBlock
        }
        #expect(hasWaited)
    }

    @Test("a read that was not filled is the last one of a turn, but for the end behind it")
    func exhausted() throws {
        let pair = try StreamPair()
        defer { pair.close() }
        let reader = RepeatedReader()
        pair.far.setHandler(reader)
        pair.far.isReading = true
        #expect(pair.near.write([1].span) == .bytes(1))
        #expect(pair.loop.run { !reader.turns.isEmpty })
        #expect(reader.turns == [[.bytes(1), .wouldBlock]])
        #expect(pair.near.write([2, 3].span, before: .end) == .bytes(2))
        try pair.near.shutdownWrite()
        #expect(pair.loop.run { reader.turns.count > 1 })
        #expect(reader.turns.dropFirst() == [[.bytes(2), .endOfStream]])
        #expect(pair.far.counts?.read == 3 && pair.near.counts?.written == 3)
    }

    /// Reads until there is nothing more.
    private final class RepeatedReader: ByteStreamHandler {
        /// What each turn brought.
        private(set) var turns: [[ByteStream.ReadOutcome]] = []

        func streamReadable(_ stream: ByteStream) {
            var outcomes: [ByteStream.ReadOutcome] = []
            var buffer = [UInt8](repeating: 0, count: 100)
            while true {
                var region = buffer.mutableSpan
                outcomes.append(stream.read(into: &region))
                guard case .bytes = outcomes.last else { break }
            }
            turns.append(outcomes)
        }

        func streamWritable(_ stream: ByteStream) {}
        func streamBroken(_ stream: ByteStream) {}
    }

    @Test("bytes cross in both directions and half-close works in both", arguments: [IPAddress.Family.ipv4, .ipv6])
    func halfClose(family: IPAddress.Family) throws {
        let pair = try StreamPair(family)
        defer { pair.close() }
        let (there, back) = (pattern(300_000, seed: 1), pattern(200_000, seed: 2))
        let nearFeeder = Feeder(pair.near, there)
        let farFeeder = Feeder(pair.far, back)
        pair.nearRecorder.onWritable = { _ in nearFeeder.feed() }
        pair.farRecorder.onWritable = { _ in farFeeder.feed() }
        nearFeeder.feed()
        pair.far.isReading = true
        #expect(pair.loop.run { nearFeeder.isDone })
        try pair.near.shutdownWrite()
        #expect(pair.loop.run { pair.farRecorder.hasEnded })
        #expect(pair.farRecorder.bytes == there)
        // The other direction is still open.
        farFeeder.feed()
        pair.near.isReading = true
        #expect(pair.loop.run { farFeeder.isDone })
        try pair.far.shutdownWrite()
        #expect(pair.loop.run { pair.nearRecorder.hasEnded })
        #expect(pair.nearRecorder.bytes == back)
        #expect(pair.nearRecorder.brokenCount == 0 && pair.farRecorder.brokenCount == 0)
        #expect(pair.near.hasReachedEnd && pair.near.hasFinishedWriting)
        let turns = pair.loop.turnCount
        pair.loop.settle()
        #expect(pair.loop.turnCount < turns + 6, "a finished stream must not keep the loop busy")
    }

    @Test("both ends know their addresses")
    func addresses() throws {
        let pair = try StreamPair()
        defer { pair.close() }
        #expect(pair.near.remoteAddress == pair.listener.localAddress)
        #expect(pair.near.localAddress == pair.far.remoteAddress)
        #expect(pair.far.localAddress == pair.listener.localAddress)
        #expect(pair.near.kind == .tcp)
    }

    @Test(
        "what is written leaves at once, however little it is (TCP_NODELAY)",
        arguments: [.ipv4, .ipv6] as [IPAddress.Family])
    func noDelay(family: IPAddress.Family) throws {
        let pair = try StreamPair(family)
        defer { pair.close() }
        for stream in [pair.near, pair.far] {
            #expect(option(TCP_NODELAY, Int32(IPPROTO_TCP), of: stream) != 0)
        }
    }

    @Test("whether it was dialled or accepted, a silent peer is asked and the death of the process is a reset")
    func tuned() throws {
        let pair = try StreamPair()
        defer { pair.close() }
        for stream in [pair.near, pair.far] {
            #expect(option(SO_KEEPALIVE, SOL_SOCKET, of: stream) != 0)
            #expect(option(TCP_KEEPIDLE, Int32(IPPROTO_TCP), of: stream) == 60)
            // The first of the two numbers of SO_LINGER says whether it is on; the time is none.
            #expect(option(SO_LINGER, SOL_SOCKET, of: stream) != 0)
        }
    }

    /// An option of a stream's socket; nil when the system does not tell.
    private func option(_ name: Int32, _ level: Int32, of stream: ByteStream) -> Int32? {
        guard let descriptor = stream.socketDescriptor else { return nil }
        var values: [Int32] = [0, 0]
        var size = socklen_t(2 * MemoryLayout<Int32>.size)
        // The pointers are used during the call only.
        return unsafe getsockopt(descriptor, level, name, &values, &size) == 0 ? values[0] : nil
    }

    @Test("an abort is a reset for the reader, after what was sent before")
    func abortSeenByReader() throws {
        let pair = try StreamPair()
        defer { pair.close() }
        pair.near.abort()
        pair.far.isReading = true
        #expect(pair.loop.run { pair.farRecorder.error != nil })
        #expect(pair.farRecorder.error?.code == ECONNRESET)
        #expect(pair.farRecorder.error?.name == "ECONNRESET")
        #expect(!pair.farRecorder.hasEnded, "a reset is never an end of the stream")
    }

    @Test("an abort is a reset for the writer")
    func abortSeenByWriter() throws {
        let pair = try StreamPair()
        defer { pair.close() }
        pair.far.abort()
        let bytes: [UInt8] = [1]
        var failure: SystemError?
        for _ in 0..<3 {
            pair.loop.settle(for: .milliseconds(1))
            if case .failed(let error) = pair.near.write(bytes.span) { failure = error }
        }
        #expect(failure.map { [ECONNRESET, EPIPE].contains($0.code) } == true)
        #expect(failure?.subject == .address(try #require(pair.listener.localAddress)))
    }

    @Test("a close in order is an end of the stream and not a reset")
    func orderlyClose() throws {
        let pair = try StreamPair()
        defer { pair.close() }
        let bytes: [UInt8] = [1, 2, 3]
        let outcome = pair.near.write(bytes.span)
        #expect(outcome == .bytes(3))
        pair.near.close()
        pair.far.isReading = true
        #expect(pair.loop.run { pair.farRecorder.hasEnded })
        #expect(pair.farRecorder.bytes == bytes)
        #expect(pair.farRecorder.error == nil)
    }

    @Test("after the end of the stream a reset is noticed though nothing is read or written")
    func resetAfterEnd() throws {
        let pair = try StreamPair()
        defer { pair.close() }
        try pair.near.shutdownWrite()
        pair.far.isReading = true
        #expect(pair.loop.run { pair.farRecorder.hasEnded })
        pair.loop.settle()
        #expect(pair.farRecorder.brokenCount == 0, "the end of the stream is no reset")
        pair.near.abort()
        #expect(pair.loop.run { pair.farRecorder.brokenCount == 1 })
        let bytes: [UInt8] = [1]
        guard case .failed = pair.far.write(bytes.span) else {
            Issue.record("a write after the reset must fail")
            return
        }
    }

    @Test("a reset is noticed while reading is paused, when asked for")
    func resetWhilePaused() throws {
        let pair = try StreamPair()
        defer { pair.close() }
        pair.far.watchForReset()
        let bytes: [UInt8] = [1]
        _ = pair.near.write(bytes.span)
        pair.loop.settle()
        #expect(pair.farRecorder.brokenCount == 0)
        pair.near.abort()
        #expect(pair.loop.run { pair.farRecorder.brokenCount == 1 })
        let turns = pair.loop.turnCount
        pair.loop.settle()
        #expect(pair.loop.turnCount < turns + 6, "a broken stream must not keep the loop busy")
        #expect(pair.farRecorder.brokenCount == 1)
    }

    @Test("a reader that stalls stops the writer, and costs it nothing but the system's buffers")
    func backPressure() throws {
        let pair = try StreamPair()
        defer { pair.close() }
        let bytes = pattern(20_000_000)
        let feeder = Feeder(pair.near, bytes)
        pair.nearRecorder.onWritable = { _ in feeder.feed() }
        feeder.feed()
        pair.loop.settle()
        #expect(!feeder.isDone)
        let written = feeder.written
        pair.loop.settle()
        #expect(feeder.written == written)
        pair.farRecorder.regionSize = 1 << 19
        pair.far.isReading = true
        #expect(pair.loop.run { pair.farRecorder.bytes.count == bytes.count })
        #expect(pair.farRecorder.bytes == bytes)
    }

    @Test("a read fills the first region before the second")
    func twoRegions() throws {
        let pair = try StreamPair()
        defer { pair.close() }
        let bytes: [UInt8] = [1, 2, 3, 4, 5]
        _ = pair.near.write(bytes.span)
        var first = [UInt8](repeating: 0, count: 2)
        var second = [UInt8](repeating: 0, count: 9)
        var outcome = ByteStream.ReadOutcome.wouldBlock
        for _ in 0..<100 where outcome == .wouldBlock {
            pair.loop.settle(for: .milliseconds(1))
            var firstSpan = first.mutableSpan
            var secondSpan = second.mutableSpan
            outcome = pair.far.read(into: &firstSpan, &secondSpan)
        }
        #expect(outcome == .bytes(5))
        #expect(first == [1, 2])
        #expect(second.prefix(3) == [3, 4, 5])
    }

    @Test("pipes carry bytes, and closing the writing end is the end of the stream")
    func pipes() throws {
        let loop = try EventLoop()
        var there: [Int32] = [0, 0]
        var back: [Int32] = [0, 0]
        try #require(unsafe pipe(&there) == 0 && pipe(&back) == 0)
        let (nearRecorder, farRecorder) = (StreamRecorder(), StreamRecorder())
        let near = try ByteStream(reading: back[0], writing: there[1], on: loop, handler: nearRecorder)
        let far = try ByteStream(reading: there[0], writing: back[1], on: loop, handler: farRecorder)
        let bytes = pattern(500_000)
        let feeder = Feeder(near, bytes)
        nearRecorder.onWritable = { _ in feeder.feed() }
        feeder.feed()
        far.isReading = true
        near.isReading = true
        #expect(loop.run { feeder.isDone })
        try near.shutdownWrite()
        #expect(loop.run { farRecorder.hasEnded })
        #expect(farRecorder.bytes == bytes)
        let answer: [UInt8] = [9]
        _ = far.write(answer.span)
        far.close()
        #expect(loop.run { nearRecorder.hasEnded })
        #expect(nearRecorder.bytes == answer)
        near.close()
    }

    @Test("a pipe whose reader is gone is an error and no signal")
    func brokenPipe() throws {
        let loop = try EventLoop()
        var ends: [Int32] = [0, 0]
        try #require(unsafe pipe(&ends) == 0)
        let idle = unsafe open("/dev/null", O_RDONLY | O_CLOEXEC)
        let stream = try ByteStream(reading: idle, writing: ends[1], on: loop, handler: StreamRecorder())
        close(ends[0])
        let bytes: [UInt8] = [1]
        guard case .failed(let error) = stream.write(bytes.span) else {
            Issue.record("the write must fail")
            return
        }
        #expect(error.code == EPIPE)
        stream.close()
    }

    @Test("descriptors that other processes share get their flags back")
    func flagsAreRestored() throws {
        let loop = try EventLoop()
        var ends: [Int32] = [0, 0]
        try #require(unsafe pipe(&ends) == 0)
        // A second name for the same open pipe, as a parent process has.
        let shared = dup(ends[0])
        let stream = try ByteStream(reading: ends[0], writing: ends[1], on: loop, handler: StreamRecorder())
        #expect(fcntl(shared, F_GETFL) & O_NONBLOCK != 0)
        stream.close()
        #expect(fcntl(shared, F_GETFL) & O_NONBLOCK == 0)
        close(shared)
    }

    @Test("a closed stream answers every call and calls nobody")
    func closed() throws {
        let pair = try StreamPair()
        pair.close()
        pair.close()
        pair.near.abort()
        let bytes: [UInt8] = [1]
        var target: [UInt8] = [0]
        var span = target.mutableSpan
        guard case .failed = pair.near.read(into: &span), case .failed = pair.near.write(bytes.span) else {
            Issue.record("a closed stream must not read or write")
            return
        }
        try pair.near.shutdownWrite()
        pair.near.isReading = true
        #expect(!pair.near.isReading)
        #expect(pair.near.localAddress == nil)
    }
}
