import Configuration
import EventLoop
import Logging
import Primitives
import Tunnel

/// A local port that leads to one origin, as `ssh -L` has it.
final class ForwardListener: StreamListenerHandler {
    let configuration: LocalConfiguration.Forward
    private let link: GatewayLink
    private let sockets: ListeningSockets
    private var listener: StreamListener?

    init(
        _ forward: LocalConfiguration.Forward, link: GatewayLink, sockets: ListeningSockets
    ) throws(SystemError) {
        configuration = forward
        self.link = link
        self.sockets = sockets
        listener = try sockets.open(forward.listen, handler: self)
    }

    var localAddress: NetworkAddress? { listener?.localAddress }

    func close() {
        if let listener { sockets.close(listener) }
        listener = nil
    }

    /// Another process goes on to accept.
    func leave() {
        if let listener { sockets.leave(listener) }
        listener = nil
    }

    func listener(_ listener: StreamListener, accepted stream: ByteStream) {
        link.open(ForwardedConnection(stream, to: configuration.destination, link: link))
    }

    func listener(_ listener: StreamListener, pausedBy error: SystemError) {
        link.log.warning("connections have to wait: \(error)")
    }
}

/// One connection to a forwarded port: its bytes may leave before the gateway has answered.
final class ForwardedConnection: TunnelApplicant, ByteStreamHandler {
    let destination: Destination
    var optimism: TunnelClient.Optimism { .beforeAnswer }
    private let stream: ByteStream
    private unowned let link: GatewayLink

    init(_ stream: ByteStream, to destination: Destination, link: GatewayLink) {
        self.stream = stream
        self.destination = destination
        self.link = link
        stream.setHandler(self)
        stream.watchForReset()
    }

    func tunnelOpened() -> TunnelEntrance? { stream.isOpen ? TunnelEntrance(stream: stream) : nil }

    // A tunnel that cannot be is a reset, never a clean end.
    func tunnelFailed(_ failure: TunnelFailure) { stream.abort() }

    func streamReadable(_ stream: ByteStream) {}
    func streamWritable(_ stream: ByteStream) {}

    func streamBroken(_ stream: ByteStream) {
        stream.abort()
        link.withdraw(self)
    }
}
