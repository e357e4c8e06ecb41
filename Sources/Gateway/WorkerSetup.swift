import Configuration
import Cryptography
import Driver
import EventLoop
import HTTP3
import Keeper
import Logging
import Primitives
import QUIC
import TLS
import Telemetry
import Tunnel

/// What every worker of a gateway starts from.
struct WorkerSetup: Sendable {
    /// Connections of one worker at once; more are refused.
    static let maximumConnections = 65_536
    /// Streams, and so tunnels, of one connection at once.
    static let tunnelsPerConnection: UInt64 = 4_096

    /// Tunnels of one worker without a connection at once; beyond it those that are held longest are reset.
    static let maximumHeld = 65_536

    let state: GatewayState
    let tls: TLSContext
    let tokenKey: AddressValidationTokenKey
    let resetKey: StatelessResetKey
    let workers: Int
    let congestion: CongestionAlgorithm
    /// Where clients reach the gateway over the other family of addresses.
    var addresses = GatewayAddresses(configured: [], listen: [], own: [])
    let log: Logger
    let keyLog: KeyLogFile?
    let reports: Mailbox<WorkerReport>
    /// The way to the keeper that started this process; nil where there is none.
    var keeper: KeeperLink.Access?

    var transport: TransportConfiguration {
        var transport = TransportConfiguration.forTunnels
        transport.congestionControl = congestion
        transport.streams.peerBidirectionalStreams = Self.tunnelsPerConnection
        return transport
    }
}

/// What a gateway derives from its private key: everything that must be the same after a restart and for all workers.
struct GatewaySecrets {
    /// What session tickets are made with; that of several gateways where they share one.
    var ticketSecret: SecretBytes
    let tokenKey: AddressValidationTokenKey
    let resetKey: StatelessResetKey

    init(privateKeyPEM: [UInt8]) {
        let extracted = HKDF.extract(.sha256, salt: Array("godwit gateway".utf8).span, secret: privateKeyPEM.span)
        func derive(_ label: String) -> SecretBytes {
            HKDF.expandLabel(.sha256, secret: extracted, label: label, context: [], length: 32)
        }
        ticketSecret = derive("tickets")
        tokenKey = AddressValidationTokenKey(derive("address tokens"))
        resetKey = StatelessResetKey(derive("stateless resets"))
    }
}

/// What a worker tells of itself.
struct WorkerReport: Sendable {
    struct Client: Sendable {
        var user: String?
        var paths: [PathStatus]
        var tunnels: [TunnelRelay.Statistics]
    }

    /// Which request this answers.
    var number: Int
    var counters: Counters
    /// Tunnels without a connection.
    var held: Int
    /// Bytes of memory in their buffers.
    var heldMemory: Int
    /// The latest downloads that went on with another replica.
    var failovers: [FailoverReport]
    var clients: [Client]
}
