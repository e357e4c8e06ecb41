import EventLoop
import Primitives
import Tunnel

/// Opens the TCP connection of one tunnel, to addresses that the rules allow only.
final class OriginDial: TCPDialHandler, AddressDialHandler, ReplicaDialHandler {
    let id: TunnelID
    let user: String
    let destination: Destination
    private let rules: AccessRules
    private unowned let session: GatewaySession
    private var dial: TCPDial?
    private var addressDial: AddressDial?
    private var replicaDial: ReplicaDial?

    init(_ id: TunnelID, to destination: Destination, user: String, rules: AccessRules, session: GatewaySession) {
        self.id = id
        self.destination = destination
        self.user = user
        self.rules = rules
        self.session = session
    }

    /// Begins. The session may hear of the outcome at once.
    func start(resolver: Resolver, groups: OriginGroups, on loop: EventLoop) {
        guard groups.origin(destination) != nil else {
            switch destination.host {
            case .address(let ip): connect(to: NetworkAddress(ip, port: destination.port), on: loop)
            case .name(let name):
                dial = TCPDial(host: name, port: destination.port, resolver: resolver, handler: self)
            }
            return
        }
        let dial = ReplicaDial(
            to: destination, .untilRefused, groups: groups, rules: rules, resolver: resolver, on: loop, handler: self)
        replicaDial = dial
        dial.start()
    }

    private func connect(to address: NetworkAddress, on loop: EventLoop) {
        do throws(DialError) {
            guard !admitted([address]).isEmpty else { throw .prohibited([address]) }
            switch try AddressDial.begin(to: address, on: loop, handler: self) {
            case .connected(let stream): session.connected(self, stream, to: nil)
            case .underWay(let dial): addressDial = dial
            }
        } catch {
            failed(error)
        }
    }

    func cancel() {
        dial?.cancel()
        addressDial?.cancel()
        replicaDial?.cancel()
    }

    // The resolved address is what counts: a name cannot lead to what may not be reached (DNS rebinding).
    private func admitted(_ addresses: [NetworkAddress]) -> [NetworkAddress] {
        addresses.filter { rules.verdict(on: destination, resolvedTo: $0.ip) == .allowed }
    }

    private func failed(_ error: DialError) { session.failed(self, TunnelFailure(error), "\(error)") }

    func dial(_ dial: TCPDial, admits addresses: [NetworkAddress]) -> [NetworkAddress] { admitted(addresses) }
    func dial(_ dial: TCPDial, connected stream: ByteStream) { session.connected(self, stream, to: nil) }
    func dial(_ dial: TCPDial, failed error: DialError) { failed(error) }

    func dial(_ dial: AddressDial, connected stream: ByteStream) { session.connected(self, stream, to: nil) }
    func dial(_ dial: AddressDial, failed error: DialError) { failed(error) }

    func dial(_ dial: ReplicaDial, connected stream: ByteStream, to replica: HostPort) {
        session.connected(self, stream, to: replica)
    }

    func dial(_ dial: ReplicaDial, failed failure: TunnelFailure, _ reason: String) {
        session.failed(self, failure, reason)
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
