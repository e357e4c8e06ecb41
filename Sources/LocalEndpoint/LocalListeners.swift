import Configuration
import EventLoop
import Logging
import Primitives

/// The local ports that are served, as the configuration has them.
final class LocalListeners {
    private let links: GatewayLinks
    private let sockets: ListeningSockets
    private var forwards: [ForwardListener] = []
    private var proxies: [ProxyListener] = []
    /// Those that accept no more, until what they have accepted has its tunnels.
    private var left: [ProxyListener] = []

    init(links: GatewayLinks, sockets: ListeningSockets) {
        self.links = links
        self.sockets = sockets
    }

    /// Where programs may connect, with the ports that the system chose.
    var addresses: [NetworkAddress] { forwards.compactMap(\.localAddress) + proxies.compactMap(\.localAddress) }

    /// Closes what the configuration no longer has and opens what is new in it; connections that were accepted stay.
    ///
    /// Every listener is tried; the ones that failed are returned with their reasons.
    func follow(_ configuration: LocalConfiguration) -> [SystemError] {
        closeAll {
            !configuration.forwards.contains($0)
        } proxiesIf: { kind, proxy in
            !(kind == .socks ? configuration.socks : configuration.http).contains(proxy)
        }
        var failures: [SystemError] = []
        func attempt(_ open: () throws(SystemError) -> Void) {
            do throws(SystemError) { try open() } catch { failures.append(error) }
        }
        for forward in configuration.forwards where !forwards.contains(where: { $0.configuration == forward }) {
            attempt { () throws(SystemError) in
                forwards.append(try ForwardListener(forward, links: links, sockets: sockets))
            }
        }
        for (kind, wanted) in [(ProxyListener.Kind.socks, configuration.socks), (.http, configuration.http)] {
            for proxy in wanted where !proxies.contains(where: { $0.kind == kind && $0.configuration == proxy }) {
                attempt { () throws(SystemError) in
                    proxies.append(try ProxyListener(kind, proxy, links: links, sockets: sockets))
                }
            }
        }
        sockets.closeRest()
        return failures
    }

    /// Connections to the proxies that were accepted and have no tunnel yet.
    var applicantCount: Int { (proxies + left).reduce(0) { $0 + $1.applicantCount } }

    /// Another process goes on to accept.
    func leave() {
        for forward in forwards { forward.leave() }
        for proxy in proxies { proxy.leave() }
        left = proxies
        forwards = []
        proxies = []
    }

    func close() {
        closeAll { _ in
            true
        } proxiesIf: { _, _ in
            true
        }
    }

    private func closeAll(
        forwardsIf isForwardDropped: (LocalConfiguration.Forward) -> Bool,
        proxiesIf isProxyDropped: (ProxyListener.Kind, LocalConfiguration.ProxyListener) -> Bool
    ) {
        for forward in forwards where isForwardDropped(forward.configuration) { forward.close() }
        forwards.removeAll { $0.localAddress == nil }
        for proxy in proxies where isProxyDropped(proxy.kind, proxy.configuration) { proxy.close() }
        proxies.removeAll { $0.localAddress == nil }
    }
}
