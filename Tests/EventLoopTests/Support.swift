import Glibc
import EventLoop
import Primitives

/// Ends a loop when a condition holds after a turn, or when a bound of real time has passed.
final class Bound: TurnHandler, TimerHandler {
    private let loop: EventLoop
    private let condition: () -> Bool
    /// Armed at the end of the first turn: the loop's time is that of its last one, which may be long ago.
    private var timer: TimerHandle?
    private var limit = Interval.zero
    private(set) var isMet = false

    init(_ loop: EventLoop, _ condition: @escaping () -> Bool) {
        self.loop = loop
        self.condition = condition
    }

    /// Runs the loop; tells whether the condition held within the bound.
    func run(atMost limit: Interval = .seconds(5)) -> Bool {
        self.limit = limit
        loop.addTurnHandler(self)
        loop.turnSoon()
        loop.run()
        if let timer { loop.removeTimer(timer) }
        loop.removeTurnHandler(self)
        return isMet
    }

    func turnEnded(at now: Instant) {
        if condition() {
            isMet = true
            loop.stop()
        } else if timer == nil {
            let timer = loop.addTimer(self)
            loop.arm(timer, at: now + limit)
            self.timer = timer
        }
    }

    func timerFired(_ timer: TimerHandle, at now: Instant) { loop.stop() }
}

extension EventLoop {
    /// Runs until `condition` holds after a turn, for five seconds at most; tells whether it did.
    func run(until condition: @escaping () -> Bool) -> Bool { Bound(self, condition).run() }

    /// Runs for a short time, to see that something does not happen.
    func settle(for time: Interval = .milliseconds(30)) {
        _ = Bound(self, { false }).run(atMost: time)
    }
}

/// An address of this machine with a port that the system chooses.
func loopback(_ family: IPAddress.Family = .ipv4, port: UInt16 = 0) -> NetworkAddress {
    NetworkAddress(.loopback(family), port: port)
}

/// A UDP address of this machine where nobody listens.
func vacantAddress(_ family: IPAddress.Family = .ipv4) throws -> NetworkAddress {
    let socket = try BoundDatagramSocket(loopback(family))
    socket.close()
    return socket.localAddress
}

/// Bytes that differ from place to place and from seed to seed. They repeat after a prime number of bytes.
func pattern(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
    var generator = SeededGenerator(seed: seed)
    let block = (0..<4099).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count + block.count)
    while bytes.count < count { bytes += block }
    bytes.removeLast(bytes.count - count)
    return bytes
}

/// A path that nothing stands at, in a directory of its own, which `removeTemporary` takes away again.
func temporaryPath(_ name: String = "file") -> String {
    var template = Array("/tmp/godwit-XXXXXX".utf8CString)
    let directory = unsafe template.withUnsafeMutableBufferPointer { buffer in
        unsafe buffer.baseAddress.flatMap { unsafe mkdtemp($0) }.map { unsafe String(cString: $0) } ?? "/tmp"
    }
    return "\(directory)/\(name)"
}

/// Removes a file and the directory that `temporaryPath` made for it.
func removeTemporary(_ path: String) {
    let directory = path.split(separator: "/").dropLast().reduce("") { $0 + "/" + $1 }
    _ = unsafe unlink(path)  // the calls copy the paths
    _ = unsafe rmdir(directory)
}

/// Reads whatever comes and writes down what happened.
final class StreamRecorder: ByteStreamHandler, StreamListenerHandler {
    var bytes: [UInt8] = []
    var hasEnded = false
    var error: SystemError?
    var brokenCount = 0
    var writableCount = 0
    var accepted: [ByteStream] = []
    var pauses: [SystemError] = []
    /// Bytes of each of the two regions that one read fills.
    var regionSize = 32_768
    var onWritable: (ByteStream) -> Void = { _ in }

    func streamReadable(_ stream: ByteStream) {
        var first = [UInt8](repeating: 0, count: regionSize)
        var second = [UInt8](repeating: 0, count: regionSize)
        var firstSpan = first.mutableSpan
        var secondSpan = second.mutableSpan
        let outcome = stream.read(into: &firstSpan, &secondSpan)
        switch outcome {
        case .bytes(let count):
            first.removeLast(max(0, first.count - count))
            bytes += first
            bytes += second[..<max(0, count - first.count)]
        case .endOfStream: hasEnded = true
        case .wouldBlock: break
        case .failed(let error):
            self.error = error
            stream.isReading = false
        }
    }

    func streamWritable(_ stream: ByteStream) {
        writableCount += 1
        onWritable(stream)
    }

    func streamBroken(_ stream: ByteStream) { brokenCount += 1 }
    func listener(_ listener: StreamListener, accepted stream: ByteStream) { accepted.append(stream) }
    func listener(_ listener: StreamListener, pausedBy error: SystemError) { pauses.append(error) }
}
