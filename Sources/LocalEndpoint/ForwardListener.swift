import Configuration
import EventLoop
import Logging
import Primitives
import Tunnel

/// A local port that leads to one origin, as `ssh -L` has it.
final class ForwardListener: StreamListenerHandler {
    let configuration: LocalConfiguration.Forward
    private let links: GatewayLinks
    private let sockets: ListeningSockets
    private var listener: StreamListener?

    init(
        _ forward: LocalConfiguration.Forward, links: GatewayLinks, sockets: ListeningSockets
    ) throws(SystemError) {
        configuration = forward
        self.links = links
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
        links.open(ForwardedConnection(stream, to: configuration.destination, links: links))
    }

    func listener(_ listener: StreamListener, pausedBy error: SystemError) {
        links.log.warning("connections have to wait: \(error)")
    }
}

/// One connection to a forwarded port: its bytes may leave before the gateway has answered.
final class ForwardedConnection: TunnelApplicant, ByteStreamHandler {
    let destination: Destination
    var optimism: TunnelClient.Optimism { .beforeAnswer }
    private let stream: ByteStream
    private unowned let links: GatewayLinks

    init(_ stream: ByteStream, to destination: Destination, links: GatewayLinks) {
        self.stream = stream
        self.destination = destination
        self.links = links
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
        links.withdraw(self)
    }
}
