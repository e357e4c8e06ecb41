internal import CSockets
internal import Glibc
internal import Primitives

// Streams that go from one process to another.
extension ByteStream {
    /// How long the system may take to connect two sockets of one process, in milliseconds; and how many strangers may connect in
    /// between.
    private static let pairPatience: Int32 = 1000
    private static let mostStrangers = 8

    /// A TCP connection over the loopback interface, both ends of which are here: a stream, and a descriptor for another process.
    ///
    /// Nothing is read before `isReading` is set.
    public static func loopbackPair(on loop: EventLoop) throws(SystemError) -> (stream: ByteStream, other: Int32) {
        var address = gw_address(NetworkAddress(.loopback(.ipv4), port: 0))
        // The pointers are used during the calls only.
        let listener = try check(unsafe gw_tcp_listen(&address, 1), .bind)
        defer { gw_close(listener) }
        _ = try check(unsafe gw_local_address(listener, &address), .bind)
        let near = try check(unsafe gw_tcp_connect(&address), .connect)
        guard let far = accept(from: near, at: listener) else {
            gw_close(near)
            throw SystemError(.connect, code: ETIMEDOUT)
        }
        return (ByteStream(adoptingTCP: near, hasFinishedWriting: false, on: loop), far)
    }

    /// Accepts the connection of `dialler` and no other.
    private static func accept(from dialler: Int32, at listener: Int32) -> Int32? {
        var own = gw_address.none
        var peer = gw_address.none
        for _ in 0..<mostStrangers {
            guard gw_wait_readable(listener, -1, pairPatience) > 0 else { return nil }
            // The pointers are used during the calls only.
            let accepted = unsafe gw_accept(listener, &peer)
            guard accepted >= 0 else { continue }
            if unsafe gw_local_address(dialler, &own) >= 0, own.networkAddress == peer.networkAddress {
                return accepted
            }
            gw_close(accepted)
        }
        return nil
    }

    /// Writes bytes to a Unix-domain connection, and gives the process at its other end a copy of a descriptor with them.
    public func write(_ bytes: [UInt8], passing descriptor: Int32) throws(SystemError) {
        guard kind == .local, let socket = socketDescriptor else { throw SystemError(.write, code: EBADF) }
        // The pointers are used during the call only.
        let result = unsafe gw_channel_send(socket, bytes, bytes.count, [descriptor], 1)
        guard result == bytes.count else { throw SystemError(.write, code: result < 0 ? Int32(-result) : EAGAIN) }
    }

    /// Reads from a Unix-domain connection; a descriptor that was passed along belongs to the caller. The end is the last that is read.
    public func readPassed(into buffer: inout [UInt8]) -> (outcome: ReadOutcome, passed: Int32?) {
        guard kind == .local, let socket = socketDescriptor else {
            return (.failed(SystemError(.read, code: EBADF)), nil)
        }
        var descriptors = [Int32](repeating: -1, count: 1)
        var count = Int32(descriptors.count)
        // The pointers are used during the call only.
        let result = unsafe gw_channel_receive(socket, &buffer, buffer.count, &descriptors, &count)
        let passed = count > 0 ? descriptors.first : nil
        switch result {
        case 0: return (.endOfStream, passed)
        case 1...: return (.bytes(result), passed)
        case -Int(EAGAIN): return (.wouldBlock, passed)
        default: return (.failed(SystemError(.read, code: Int32(-result))), passed)
        }
    }

    /// Takes over a TCP socket that another process has passed; nil, and closed, when it is none.
    public convenience init?(passedTCP descriptor: Int32, on loop: EventLoop) {
        var address = gw_address.none
        // The pointer is used during the call only.
        guard unsafe gw_peer_address(descriptor, &address) >= 0, address.networkAddress != nil,
            gw_make_nonblocking(descriptor) >= 0
        else {
            gw_close(descriptor)
            return nil
        }
        self.init(adoptingTCP: descriptor, hasFinishedWriting: false, on: loop)
    }

    /// Closes a descriptor that was passed, or its copy here.
    public static func close(passed descriptor: Int32) { gw_close(descriptor) }
}
