import CSockets
import Glibc
import Keeper
import Primitives
import Testing

/// Two ends of a TCP connection over the loopback interface.
final class TCPPair {
    /// The end that connected.
    private(set) var dialled: Int32
    /// The end that was accepted.
    private(set) var accepted: Int32

    init() throws {
        var address = gw_address(high: 0, low: 0x7f00_0001, scope: 0, port: 0, family: 4)
        let listener = unsafe gw_tcp_listen(&address, 8)
        try #require(listener >= 0)
        try #require(unsafe gw_local_address(listener, &address) == 0)
        dialled = unsafe gw_tcp_connect(&address)
        accepted = -EAGAIN
        while accepted == -EAGAIN {
            gw_wait_readable(listener, -1, 1000)
            accepted = unsafe gw_accept(listener, &address)
        }
        gw_close(listener)
        try #require(dialled >= 0 && accepted >= 0)
        // Connected when it can be written.
        var entry = pollfd(fd: dialled, events: Int16(POLLOUT), revents: 0)
        unsafe poll(&entry, 1, 1000)
    }

    deinit {
        for end in [dialled, accepted] where end >= 0 { gw_close(end) }
    }

    /// Resets the connection from the end that was accepted.
    func resetFromAccepted() {
        gw_abort(accepted)
        accepted = -1
    }

    /// Resets the connection from the end that connected.
    func resetFromDialled() {
        gw_abort(dialled)
        dialled = -1
    }
}

/// Writes as much as goes, and tells how much that was.
@discardableResult
func send(_ bytes: [UInt8], to descriptor: Int32) -> Int {
    // The pointer is used during the call only.
    let sent = unsafe bytes.withUnsafeBytes { unsafe gw_send(descriptor, $0.baseAddress, $0.count, nil, 0) }
    return max(0, sent)
}

/// Reads up to `count` bytes that are there.
@discardableResult
func receive(_ count: Int, from descriptor: Int32) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    // The pointer is used during the call only.
    let received = unsafe bytes.withUnsafeMutableBytes { unsafe gw_read(descriptor, $0.baseAddress, $0.count, nil, 0) }
    return Array(bytes.prefix(max(0, received)))
}

/// Waits until the descriptor can be read, for a second at most.
func waitReadable(_ descriptor: Int32) { gw_wait_readable(descriptor, -1, 1000) }

/// Waits until what a system tells is as it should be: packets take their time even on one machine.
func eventually<T: Equatable>(_ wanted: T, atMost seconds: Int = 10, _ value: () -> T) -> Bool {
    for _ in 0..<seconds * 1000 {
        if value() == wanted { return true }
        gw_wait_readable(-1, -1, 1)
    }
    return false
}

/// The bytes of a stream: each tells where it stands.
func numbers(_ range: Range<UInt64>) -> [UInt8] {
    range.map { UInt8(truncatingIfNeeded: ($0 &* 0x9e37_79b9_7f4a_7c15) >> 56) }
}

func contents(of ring: ByteRing) -> [UInt8] {
    ring.withReadableRegions(ring.start..<ring.end) { head, tail in
        head.indices.map { head[$0] } + tail.indices.map { tail[$0] }
    }
}
