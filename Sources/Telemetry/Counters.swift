/// What happened so far, counted by one worker; the sums of all workers are what status and metrics show.
///
/// A worker adds to its own copy and hands copies out: nothing is shared between threads.
public struct Counters: Hashable, Sendable {
    /// QUIC connections whose handshake was completed.
    public var connectionsOpened: UInt64 = 0
    /// QUIC connections that have ended.
    public var connectionsClosed: UInt64 = 0
    /// Requests and connections that were refused for their token.
    public var authenticationFailures: UInt64 = 0
    /// Tunnels whose origin was reached.
    public var tunnelsOpened: UInt64 = 0
    /// Tunnels that have ended.
    public var tunnelsClosed: UInt64 = 0
    /// Requests for a tunnel that came to nothing.
    public var tunnelsRefused: UInt64 = 0
    /// Tunnels that have lost their connection and wait for another one.
    public var tunnelsDetached: UInt64 = 0
    /// Tunnels that went on with another connection.
    public var tunnelsResumed: UInt64 = 0
    /// Wishes to go on with a tunnel that came to nothing.
    public var resumptionsRefused: UInt64 = 0
    /// Downloads that went on with another replica.
    public var failovers: UInt64 = 0
    /// Tunnels that were reset because their replica failed and no other one could go on.
    public var failoversFailed: UInt64 = 0
    /// Payload bytes from the local endpoint toward origins.
    public var bytesUpstream: UInt64 = 0
    /// Payload bytes from origins toward the local endpoint.
    public var bytesDownstream: UInt64 = 0
    /// UDP datagrams received.
    public var datagramsReceived: UInt64 = 0
    /// UDP datagrams sent.
    public var datagramsSent: UInt64 = 0
    /// Datagrams that belonged to no connection, or could not be decrypted.
    public var datagramsDropped: UInt64 = 0
    /// Connections that moved to another network path.
    public var migrations: UInt64 = 0

    /// Nothing counted yet.
    public init() {}

    /// Every counter with its name in metrics and status, in a fixed order.
    public static var all: [(name: String, path: WritableKeyPath<Counters, UInt64>)] {
        [
            ("connections_opened", \.connectionsOpened), ("connections_closed", \.connectionsClosed),
            ("authentication_failures", \.authenticationFailures), ("tunnels_opened", \.tunnelsOpened),
            ("tunnels_closed", \.tunnelsClosed), ("tunnels_refused", \.tunnelsRefused),
            ("tunnels_detached", \.tunnelsDetached), ("tunnels_resumed", \.tunnelsResumed),
            ("resumptions_refused", \.resumptionsRefused),
            ("failovers", \.failovers), ("failovers_failed", \.failoversFailed),
            ("bytes_upstream", \.bytesUpstream), ("bytes_downstream", \.bytesDownstream),
            ("datagrams_received", \.datagramsReceived), ("datagrams_sent", \.datagramsSent),
            ("datagrams_dropped", \.datagramsDropped), ("migrations", \.migrations),
        ]
    }

    /// The sums of two workers.
    public static func + (a: Counters, b: Counters) -> Counters {
        var sum = a
        for (_, path) in all { sum[keyPath: path] &+= b[keyPath: path] }
        return sum
    }
}
