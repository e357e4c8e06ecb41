import CSockets
import EventLoop
import Primitives
import Testing

/// A port of this machine that answers no attempt to connect, as the host of one that is gone: whoever listens there takes no
/// connection, and has no room for another one to wait.
final class FullPort {
    let address: HostPort
    private let listener: Int32
    /// The connection that takes the only place.
    private let waiting: Int32

    init() throws {
        var local = gw_address(high: 0, low: 0x7f00_0001, scope: 0, port: 0, family: 4)
        // The pointers are used during the calls only.
        listener = unsafe gw_tcp_listen(&local, 0)
        try #require(listener >= 0)
        try #require(unsafe gw_local_address(listener, &local) == 0)
        waiting = unsafe gw_tcp_connect(&local)
        try #require(waiting >= 0)
        address = HostPort(.address(.loopback(.ipv4)), port: local.port)
    }

    /// Lets the next attempt succeed.
    func makeRoom() {
        var peer = gw_address()
        // The pointer is used during the call only.
        gw_close(unsafe gw_accept(listener, &peer))
    }

    deinit { for descriptor in [waiting, listener] { gw_close(descriptor) } }
}
