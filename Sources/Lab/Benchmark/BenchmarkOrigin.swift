import Synchronization

/// The destination of everything that is measured: threads that wait on one port and do what a connection's first byte
/// says.
final class BenchmarkOrigin: Sendable {
    /// What a connection is for, by its first byte.
    enum Service: UInt8 {
        /// Eight bytes of a count follow; the origin sends so many bytes of the pattern.
        case download = 0x64
        /// The pattern follows; the origin answers its end with eight bytes of how many came.
        case upload = 0x75
        /// Each byte comes back.
        case echo = 0x65
        /// One byte comes back, then the end.
        case opening = 0x6F
        /// One byte comes back, and the connection stays.
        case idle = 0x69
    }

    /// Connections that are served at once; idle ones need no thread.
    static let threads = 64

    private let listener: BlockingListener
    private let idle = Mutex<[BlockingStream]>([])

    /// Where it listens.
    var port: UInt16 { listener.port }

    /// Serves until the process ends.
    init(at far: FarSide) throws(BenchmarkFailure) {
        listener = try BlockingListener(at: far)
        for _ in 0..<Self.threads {
            let thread = try BlockingThread { [self] in
                // A connection that breaks is the business of its other end, which counts the bytes.
                while let stream = try? listener.next() { try? serve(stream) }
            }
            thread.detach()
        }
    }

    /// Lets go of the idle connections.
    func endIdle() { idle.withLock { $0 = [] } }

    private func serve(_ stream: BlockingStream) throws(BenchmarkFailure) {
        guard let first = try stream.read(exactly: 1)?.first, let service = Service(rawValue: first) else { return }
        switch service {
        case .download:
            guard let count = try stream.read(exactly: 8) else { return }
            try BenchmarkPattern.write(Self.number(count), to: stream)
        case .upload:
            let count = try BenchmarkPattern.check(stream)
            try stream.write(Self.bytes(count))
        case .echo:
            while let byte = try stream.read(exactly: 1) { try stream.write(byte) }
        case .opening:
            try stream.write([first])
        case .idle:
            try stream.write([first])
            idle.withLock { $0.append(stream) }
        }
    }

    /// Eight bytes, the highest first.
    static func bytes(_ number: UInt64) -> [UInt8] {
        (0..<8).map { UInt8(truncatingIfNeeded: number >> (56 - 8 * $0)) }
    }

    /// The number that `bytes` made bytes of.
    static func number(_ bytes: [UInt8]) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }
}
