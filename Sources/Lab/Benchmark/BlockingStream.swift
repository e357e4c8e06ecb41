import EventLoop
import Glibc

/// A TCP connection of one thread whose calls block, as a plain program has it: the cheapest way to load what is measured.
final class BlockingStream: Sendable {
    /// Seconds after which a call that made no progress fails: a benchmark ends, whatever happens.
    static let patience = 30

    private let descriptor: Int32

    init(adopting descriptor: Int32) {
        self.descriptor = descriptor
        BlockingSocket.set(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        BlockingSocket.limitWaiting(descriptor, seconds: Self.patience)
    }

    deinit { close(descriptor) }

    /// Connects to a way's entry.
    convenience init(to entry: BenchmarkSystem.Entry) throws(BenchmarkFailure) {
        let descriptor = try BlockingSocket.make()
        // The address is read during the call only.
        let result = unsafe BlockingSocket.withAddress(entry) { unsafe connect(descriptor, $0, $1) }
        guard result == 0 else {
            let fault = BenchmarkFailure(errno, "cannot connect to port \(entry.port)")
            close(descriptor)
            throw fault
        }
        self.init(adopting: descriptor)
    }

    /// Reads what is there, waiting for it; 0 at the end.
    func read(into region: inout MutableSpan<UInt8>) throws(BenchmarkFailure) -> Int {
        // The memory is written during the call only.
        let count = unsafe region.withUnsafeMutableBytes { unsafe recv(descriptor, $0.baseAddress, $0.count, 0) }
        guard count >= 0 else { throw BenchmarkFailure(errno, "cannot read from a connection") }
        return count
    }

    /// Writes all of it.
    func write(_ bytes: Span<UInt8>) throws(BenchmarkFailure) {
        var written = 0
        while written < bytes.count {
            // The memory is read during the call only.
            let count = unsafe bytes.extracting(written...).withUnsafeBytes {
                unsafe send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw BenchmarkFailure(errno, "cannot write to a connection") }
            written += count
        }
    }

    /// Writes a few bytes.
    func write(_ bytes: [UInt8]) throws(BenchmarkFailure) { try write(bytes.span) }

    /// Reads so many bytes and no fewer; nil when the connection ends before.
    func read(exactly count: Int) throws(BenchmarkFailure) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        var got = 0
        while got < count {
            var region = bytes.mutableSpan
            var rest = region._mutatingExtracting(got...)
            let more = try read(into: &rest)
            if more == 0 { return nil }
            got += more
        }
        return bytes
    }

    /// Says that nothing more follows.
    func finishWriting() { shutdown(descriptor, Int32(SHUT_WR)) }
}

/// A listening port, on which any number of threads may wait.
final class BlockingListener: Sendable {
    /// Connections that the kernel keeps until they are accepted.
    static let backlog: Int32 = 4096

    private let descriptor: Int32
    /// The port that the kernel chose.
    let port: UInt16

    init(at far: FarSide) throws(BenchmarkFailure) {
        guard let namespace = far.namespace else {
            (descriptor, port) = try Self.listening(at: far)
            return
        }
        // A socket stays in the namespace of the thread that made it.
        let made = try BlockingThread.together(1) { _ throws(BenchmarkFailure) in
            do { try NetworkNamespace.enter(namespace) } catch { throw BenchmarkFailure("\(error)") }
            return try Self.listening(at: far)
        }
        (descriptor, port) = made[0]
    }

    private static func listening(at far: FarSide) throws(BenchmarkFailure) -> (descriptor: Int32, port: UInt16) {
        let descriptor = try BlockingSocket.make()
        // Both addresses are used during the calls only.
        let result = unsafe BlockingSocket.withAddress(.init(far.bits, port: 0)) { unsafe bind(descriptor, $0, $1) }
        guard result == 0, listen(descriptor, backlog) == 0, let port = BlockingSocket.port(of: descriptor) else {
            let fault = BenchmarkFailure(errno, "cannot listen on \(far.address)")
            close(descriptor)
            throw fault
        }
        return (descriptor, port)
    }

    deinit { close(descriptor) }

    /// Waits for a connection.
    func next() throws(BenchmarkFailure) -> BlockingStream {
        let accepted = accept(descriptor, nil, nil)  // asks for no address
        guard accepted >= 0 else { throw BenchmarkFailure(errno, "cannot accept a connection") }
        // No program that is started meanwhile is to keep it open.
        _ = fcntl(accepted, F_SETFD, FD_CLOEXEC)
        return BlockingStream(adopting: accepted)
    }
}

/// The system calls behind both.
private enum BlockingSocket {
    static func make() throws(BenchmarkFailure) -> Int32 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw BenchmarkFailure(errno, "cannot make a socket") }
        return descriptor
    }

    static func set(_ descriptor: Int32, _ level: Int32, _ option: Int32, _ value: Int32) {
        var value = value
        // The value is read during the call only; an option that is refused costs speed, nothing else.
        _ = unsafe setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    static func limitWaiting(_ descriptor: Int32, seconds: Int) {
        var limit = timeval(tv_sec: seconds, tv_usec: 0)
        let size = socklen_t(MemoryLayout<timeval>.size)
        // The limit is read during the calls only.
        _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, size)
        _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, size)
    }

    /// Gives an address to a call, which must not keep it.
    static func withAddress(
        _ entry: BenchmarkSystem.Entry, _ call: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = entry.port.bigEndian
        address.sin_addr.s_addr = entry.address.bigEndian
        // sockaddr_in is what sockaddr stands for in this family.
        return unsafe withUnsafeBytes(of: &address) { bytes in
            guard let base = bytes.baseAddress else { return -1 }
            return unsafe call(
                base.assumingMemoryBound(to: sockaddr.self), socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }

    static func port(of descriptor: Int32) -> UInt16? {
        var address = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        // Written during the call only; the kernel stays within the length.
        let result = unsafe withUnsafeMutableBytes(of: &address) { bytes -> Int32 in
            guard let base = bytes.baseAddress else { return -1 }
            return unsafe getsockname(descriptor, base.assumingMemoryBound(to: sockaddr.self), &length)
        }
        return result == 0 ? UInt16(bigEndian: address.sin_port) : nil
    }
}

extension BenchmarkFailure {
    /// What failed, and why by a number of the system.
    init(_ code: Int32, _ what: String) {
        // The text is the system's and is copied at once.
        let reason = unsafe strerror(code).map { unsafe String(cString: $0) }
        self.init("\(what): \(reason ?? "error \(code)")")
    }
}
