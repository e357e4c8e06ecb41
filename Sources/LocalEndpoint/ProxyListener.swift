import Configuration
import EventLoop
import Logging
import Primitives

/// A local SOCKS5 or HTTP proxy.
final class ProxyListener: StreamListenerHandler {
    /// Connections that negotiate or wait for their tunnel at once; further ones are closed. Bounds memory.
    static let maximumApplicants = 8192

    enum Kind {
        case socks
        case http
    }

    let kind: Kind
    let configuration: LocalConfiguration.ProxyListener
    private let links: GatewayLinks
    private let sockets: ListeningSockets
    private var listener: StreamListener?
    private var applicants: [ObjectIdentifier: ProxiedConnection] = [:]

    init(
        _ kind: Kind, _ configuration: LocalConfiguration.ProxyListener, links: GatewayLinks, sockets: ListeningSockets
    ) throws(SystemError) {
        self.kind = kind
        self.configuration = configuration
        self.links = links
        self.sockets = sockets
        listener = try sockets.open(configuration.listen, handler: self)
        if configuration.isOpenToOthers {
            links.log.warning(
                "the proxy on \(configuration.listen) is open to everyone who reaches it; set user and password")
        }
    }

    var localAddress: NetworkAddress? { listener?.localAddress }

    /// Connections that were accepted and have no tunnel yet.
    var applicantCount: Int { applicants.count }

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
        guard applicants.count < Self.maximumApplicants else { return stream.abort() }
        let credentials = configuration.credentials
        let negotiation: ProxyNegotiation = kind == .socks ? .socks(credentials) : .http(credentials)
        let connection = ProxiedConnection(stream, negotiation, links: links, listener: self)
        applicants[ObjectIdentifier(connection)] = connection
        connection.start()
    }

    func listener(_ listener: StreamListener, pausedBy error: SystemError) {
        links.log.warning("connections have to wait: \(error)")
    }

    /// The connection's tunnel is up, or it is gone.
    func settled(_ connection: ProxiedConnection) { applicants[ObjectIdentifier(connection)] = nil }
}
