import Configuration
import Cryptography
import Driver
import EventLoop
import Primitives
import QUIC
import TLS
import Tunnel

/// What one attempt to reach a gateway goes by.
struct GatewayAttempt {
    /// Which gateway, and who we are to it.
    var invite: Invite
    /// The address that is tried.
    var address: NetworkAddress
    /// How often it was tried before, and nothing was heard: now and then another link has its turn.
    var turn = 0
}

extension GatewayAttempt {
    /// How long an address of a gateway has for its handshake.
    static let handshakeLimit = Interval.seconds(4)

    /// Starts to connect, with an endpoint and a socket of its own: what another attempt leaves behind cannot disturb it.
    func start(link: GatewayLink) throws -> LinkSession {
        let (bound, mtu) = try link.paths.firstSocket(toward: address, turn: turn)
        var transport = TransportConfiguration.forTunnels
        transport.handshakeTimeout = Self.handshakeLimit
        transport.congestionControl = link.congestion
        // A gateway inside of a private network has its other address there, too; one on the internet sends nobody inside.
        transport.preferredAddresses = address.ip.isGlobal ? .global : .any
        // RFC 9114 §6.1: a server opens no bidirectional streams.
        transport.streams.peerBidirectionalStreams = 0
        let driver = try EndpointDriver(
            EndpointConfiguration(
                transport: transport, resetKey: StatelessResetKey(SecretBytes(systemRandomBytes(count: 32)))),
            on: link.loop, addressing: .socket)
        driver.networkErrors = .told
        driver.addSocket(bound)
        let parameters = ClientParameters(
            remote: address, local: bound.localAddress, serverName: invite.gateway.host.description,
            tls: try tlsContext(keyLogging: link.keyLogging), ticket: link.takeTicket(),
            token: link.takeToken())
        var session: LinkSession?
        let driven = try driver.connect(parameters) { driven in
            let made = LinkSession(driven, of: driver, self, link: link)
            session = made
            return made
        }
        driven.connection.limitDatagrams(
            from: bound.localAddress, to: Self.largestPayload(mtu, address.ip.family))
        driven.needsService()
        guard let session else { preconditionFailure("the driver asks for what runs over a connection that it opens") }
        return session
    }

    /// Bytes of UDP payload that a packet of the interface carries; never less than QUIC needs (RFC 9000 §14).
    static func largestPayload(_ mtu: Int, _ family: IPAddress.Family) -> Int {
        let headers = family == .ipv4 ? 20 + 8 : 40 + 8
        return max(1200, mtu - headers)
    }

    private func tlsContext(keyLogging: KeyLogging) throws -> TLSContext {
        var options = TLSOptions(applicationProtocols: ["h3"])
        options.keyLogging = keyLogging
        let trust: ServerTrust =
            invite.pins.isEmpty ? .systemStore : .pinned(publicKeyHashes: invite.pins.map(\.digest))
        return try TLSContext(client: TLSClientConfiguration(options: options, trust: trust))
    }
}

/// Why a gateway could not be used.
enum LinkFailure: Hashable {
    /// It did not answer, or its name has no address.
    case unreachable(String)
    /// Its machine says that nothing listens there.
    case refused(String)
    /// It is not who the invite says, or does not accept the token.
    case notAuthenticated(String)

    var sentence: String {
        switch self {
        case .unreachable(let reason), .refused(let reason), .notAuthenticated(let reason): reason
        }
    }

    var status: ProcessStatus {
        switch self {
        case .unreachable, .refused: .unreachable
        case .notAuthenticated: .notAuthenticated
        }
    }

    /// The one of two failures that tells the user more.
    func orWorse(_ other: LinkFailure?) -> LinkFailure {
        guard let other, case .notAuthenticated = other else { return self }
        if case .notAuthenticated = self { return self }
        return other
    }

    /// What it means for the choice among gateways.
    var trouble: GatewayTrouble {
        switch self {
        case .unreachable: .unreachable
        case .refused: .refusal
        case .notAuthenticated: .notAuthenticated
        }
    }
}
