import EventLoop
import Primitives
import Tunnel

/// Opens the TCP connection of one tunnel, to addresses that the rules allow only.
final class OriginDial: TCPDialHandler {
    let id: TunnelID
    let user: String
    let destination: Destination
    private let rules: AccessRules
    private unowned let session: GatewaySession
    private var dial: TCPDial?

    init(_ id: TunnelID, to destination: Destination, user: String, rules: AccessRules, session: GatewaySession) {
        self.id = id
        self.destination = destination
        self.user = user
        self.rules = rules
        self.session = session
    }

    func start(resolver: Resolver) {
        dial = TCPDial(
            host: destination.host.description, port: destination.port, resolver: resolver, handler: self)
    }

    func cancel() { dial?.cancel() }

    // The resolved address is what counts: a name cannot lead to what may not be reached (DNS rebinding).
    func dial(_ dial: TCPDial, admits addresses: [NetworkAddress]) -> [NetworkAddress] {
        addresses.filter { rules.verdict(on: destination, resolvedTo: $0.ip) == .allowed }
    }

    func dial(_ dial: TCPDial, connected stream: ByteStream) { session.connected(self, stream) }

    func dial(_ dial: TCPDial, failed error: DialError) {
        session.failed(self, TunnelFailure(error), "\(error)")
    }
}

extension TunnelFailure {
    /// What a client is told of a failed dial.
    init(_ error: DialError) {
        switch error {
        case .resolution(.timedOut): self = .dnsTimeout
        case .resolution: self = .dnsError
        case .prohibited: self = .destinationProhibited
        case .refused: self = .connectionRefused
        case .timedOut: self = .connectionTimeout
        case .unreachable: self = .destinationUnroutable
        case .failed(let error): self = error.isExhaustion ? .connectionLimitReached : .destinationUnavailable
        }
    }
}
