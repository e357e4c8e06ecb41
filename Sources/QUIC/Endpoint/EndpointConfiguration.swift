import Cryptography
public import Primitives
public import TLS

/// What all connections of an endpoint share.
public struct EndpointConfiguration {
    /// Of connections that are opened and accepted.
    public var transport: TransportConfiguration
    /// What it takes to accept connections; nil: it only opens them.
    public var server: ServerConfiguration?
    /// Where stateless reset tokens come from.
    public var resetKey: StatelessResetKey
    /// Which worker this is.
    public var place: WorkerPlace

    /// Creates a configuration.
    public init(
        transport: TransportConfiguration = TransportConfiguration(), server: ServerConfiguration? = nil,
        resetKey: StatelessResetKey, place: WorkerPlace = WorkerPlace(index: 0, of: 1)
    ) {
        self.transport = transport
        self.server = server
        self.resetKey = resetKey
        self.place = place
    }
}

/// What it takes to accept connections.
public struct ServerConfiguration {
    /// When a client has to prove its address before any state is kept (RFC 9000 §8.1.2).
    public enum RetryPolicy: Hashable, Sendable {
        /// Always.
        case always
        /// Once so many handshakes are under way.
        case aboveHandshakes(Int)
    }

    /// Certificate, key and application protocols.
    public var tls: TLSContext
    /// Seals the tokens of Retry packets and NEW_TOKEN frames; the same in every worker and after a restart.
    public var tokenKey: AddressValidationTokenKey
    /// When Retry packets are sent.
    public var retry: RetryPolicy = .aboveHandshakes(1_000)
    /// Connections at once; more are refused with CONNECTION_REFUSED. Bounds memory.
    public var maximumConnections = 65_536
    /// An address that clients should move to after the handshake (RFC 9000 §9.6).
    public var preferredIPv4: NetworkAddress?
    /// The same for IPv6.
    public var preferredIPv6: NetworkAddress?
    /// This server's IPv4 address for clients that came over IPv6: told as preferred address, it moves none of them by
    /// itself, and is there for those whose next network has only IPv4.
    public var alternativeIPv4: NetworkAddress?
    /// This server's IPv6 address for clients that came over IPv4.
    public var alternativeIPv6: NetworkAddress?

    /// Creates a configuration.
    public init(tls: TLSContext, tokenKey: AddressValidationTokenKey) {
        self.tls = tls
        self.tokenKey = tokenKey
    }
}

/// What it takes to open a connection.
public struct ClientParameters {
    /// The server's address.
    public var remote: NetworkAddress
    /// The address to send from; the wildcard address leaves the choice to the kernel.
    public var local: NetworkAddress
    /// The name that the server's certificate must be for, sent as SNI.
    public var serverName: String?
    /// Trust and application protocols.
    public var tls: TLSContext
    /// A ticket of an earlier connection, to resume its TLS session.
    public var ticket: SessionTicket?
    /// A token of an earlier connection, to prove this end's address (RFC 9000 §8.1.3).
    public var token: [UInt8]

    /// Creates parameters.
    public init(
        remote: NetworkAddress, local: NetworkAddress, serverName: String?, tls: TLSContext,
        ticket: SessionTicket? = nil, token: [UInt8] = []
    ) {
        self.remote = remote
        self.local = local
        self.serverName = serverName
        self.tls = tls
        self.ticket = ticket
        self.token = token
    }
}
