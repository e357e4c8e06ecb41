public import Primitives
public import QUIC

extension TransportConfiguration {
    /// How long a connection that carries tunnels outlives silence. Longer than a network is usually gone when somebody
    /// walks through a tunnel or restarts a router; what a gateway keeps meanwhile is an idle connection's memory.
    public static let tunnelIdleTimeout = Interval.seconds(180)

    /// What both ends of connections with tunnels begin from.
    public static var forTunnels: TransportConfiguration {
        var configuration = TransportConfiguration()
        configuration.idleTimeout = tunnelIdleTimeout
        return configuration
    }
}
