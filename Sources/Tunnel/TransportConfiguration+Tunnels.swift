public import Primitives
public import QUIC

extension TransportConfiguration {
    /// How long a connection that carries tunnels outlives silence: longer than a network is usually gone when somebody walks
    /// from one to the other. Tunnels that can be resumed outlive the connection, so that longer would only mean to hope in vain.
    public static let tunnelIdleTimeout = Interval.seconds(30)

    /// What both ends of connections with tunnels begin from.
    public static var forTunnels: TransportConfiguration {
        var configuration = TransportConfiguration()
        configuration.idleTimeout = tunnelIdleTimeout
        return configuration
    }
}
