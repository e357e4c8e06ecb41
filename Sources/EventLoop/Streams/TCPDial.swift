internal import Glibc
public import Primitives

/// Why no connection came about.
public enum DialError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The name has no address.
    case resolution(ResolutionError)
    /// None of the name's addresses may be dialled.
    case prohibited([NetworkAddress])
    /// Nothing listens there.
    case refused(NetworkAddress)
    /// Nobody answered in time.
    case timedOut(host: String, port: UInt16)
    /// There is no way there.
    case unreachable(SystemError)
    /// The system failed in another way.
    case failed(SystemError)

    /// One line: what failed and what to do.
    public var description: String {
        switch self {
        case .resolution(let error): error.description
        case .prohibited(let addresses):
            "not allowed to connect to \(addresses.map(\.description).joined(separator: ", "))"
        case .refused(let address): "connection refused by \(address); nothing listens there"
        case .timedOut(let host, let port): "no answer from \(host) port \(port); check that it is up and reachable"
        case .unreachable(let error), .failed(let error): error.description
        }
    }
}

/// What is called while a connection is dialled and when it is there.
public protocol TCPDialHandler: AnyObject {
    /// Addresses that the name was resolved to; the ones that are returned are dialled. Called once for each family.
    func dial(_ dial: TCPDial, admits addresses: [NetworkAddress]) -> [NetworkAddress]
    /// The connection is there; the handler owns the stream, which nobody reads yet.
    func dial(_ dial: TCPDial, connected stream: ByteStream)
    /// No connection came about.
    func dial(_ dial: TCPDial, failed error: DialError)
}

/// Opens a TCP connection to a name: resolves it, lets the handler filter the addresses, and races them (RFC 8305).
///
/// The handler is never called before the initialiser has returned, and hears of exactly one outcome.
public final class TCPDial {
    /// How long a dial takes at most, unless it is told otherwise.
    public static let defaultTimeout = Interval.seconds(10)

    /// The name or literal that is dialled.
    public let host: String
    /// The port that is dialled.
    public let port: UInt16

    private let loop: EventLoop
    private var handler: (any TCPDialHandler)?
    private var resolution: Resolution?
    private var race: HappyEyeballs
    private var attempts: [HappyEyeballs.AttemptID: TCPConnectAttempt] = [:]
    private var connected: ByteStream?
    private var raceTimer: TimerHandle?
    private var limitTimer: TimerHandle?

    private var refusedAddresses: [NetworkAddress] = []
    private var resolutionErrors: [ResolutionError] = []
    private var attemptErrors: [SystemError] = []

    /// Dials a name or a literal address.
    public init(
        host: String, port: UInt16, resolver: Resolver, timeout: Interval = TCPDial.defaultTimeout,
        handler: any TCPDialHandler
    ) {
        self.host = host
        self.port = port
        self.handler = handler
        loop = resolver.loop
        race = HappyEyeballs()
        start(timeout: timeout)
        resolution = resolver.resolve(host, handler: self)
    }

    /// Dials addresses that are known already; the handler is not asked about them.
    public init(
        addresses: [NetworkAddress], on loop: EventLoop, timeout: Interval = TCPDial.defaultTimeout,
        handler: any TCPDialHandler
    ) {
        host = addresses.first?.ip.description ?? ""
        port = addresses.first?.port ?? 0
        self.handler = handler
        self.loop = loop
        race = HappyEyeballs()
        start(timeout: timeout)
        for family in [IPAddress.Family.ipv6, .ipv4] {
            race.resolved(family, to: addresses.filter { $0.ip.family == family }, at: loop.now)
        }
        // The race starts with the timer, after the initialiser has returned.
        if let raceTimer { loop.arm(raceTimer, at: loop.now) }
    }

    /// Gives it up; the handler hears nothing more.
    public func cancel() {
        handler = nil
        resolution?.cancel()
        resolution = nil
        for attempt in attempts.values { attempt.cancel() }
        attempts = [:]
        for timer in [raceTimer, limitTimer] { if let timer { loop.removeTimer(timer) } }
        raceTimer = nil
        limitTimer = nil
    }

    private func start(timeout: Interval) {
        raceTimer = loop.addTimer(self)
        let limit = loop.addTimer(self)
        limitTimer = limit
        loop.arm(limit, at: loop.now + timeout)
    }

    /// Does what the race asks for.
    private func drain() {
        while handler != nil, let action = race.nextAction() {
            switch action {
            case .connect(let id, let address): connect(id, to: address)
            case .cancel(let id): attempts.removeValue(forKey: id)?.cancel()
            case .succeeded: succeed()
            case .failed: fail(with: reason)
            }
        }
        if let raceTimer { loop.arm(raceTimer, at: race.nextDeadline) }
    }

    private func connect(_ id: HappyEyeballs.AttemptID, to address: NetworkAddress) {
        do throws(SystemError) {
            switch try TCPConnectAttempt.begin(to: address, on: loop, handler: self) {
            case .underWay(let attempt): attempts[id] = attempt
            case .connected(let stream): succeeded(id, stream)
            }
        } catch {
            attemptErrors.append(error)
            race.attemptFailed(id, at: loop.now)
        }
    }

    private func succeeded(_ id: HappyEyeballs.AttemptID, _ stream: ByteStream) {
        connected = stream
        race.attemptSucceeded(id)
    }

    private func succeed() {
        guard let handler, let stream = connected else { return }
        connected = nil
        cancel()
        handler.dial(self, connected: stream)
    }

    private func fail(with error: DialError) {
        guard let handler else { return }
        cancel()
        handler.dial(self, failed: error)
    }

    /// The failure that says most: an answer from the other host before silence, silence before the lack of a route.
    private var reason: DialError {
        if let error = attemptErrors.first(where: { $0.code == ECONNREFUSED }),
            case .address(let address) = error.subject
        {
            return .refused(address)
        }
        if let error = attemptErrors.first(where: { !$0.isPathFailure && $0.code != ETIMEDOUT }) {
            return .failed(error)
        }
        if attemptErrors.contains(where: { $0.code == ETIMEDOUT }) { return .timedOut(host: host, port: port) }
        if let error = attemptErrors.first { return .unreachable(error) }
        if !refusedAddresses.isEmpty { return .prohibited(refusedAddresses) }
        // A server that failed for one family may have the address that the other lacks.
        let error = resolutionErrors.first { if case .nameNotFound = $0 { false } else { true } }
        return .resolution(error ?? .nameNotFound(host))
    }
}

extension TCPDial: ResolutionHandler {
    /// For the resolver.
    public func resolution(
        _ resolution: Resolution, of family: IPAddress.Family, answered result: Result<[IPAddress], ResolutionError>
    ) {
        guard let handler else { return }
        var admitted: [NetworkAddress] = []
        switch result {
        case .success(let found):
            let addresses = found.map { NetworkAddress($0, port: port) }
            if !addresses.isEmpty { admitted = handler.dial(self, admits: addresses) }
            refusedAddresses += addresses.filter { !admitted.contains($0) }
        case .failure(let error):
            resolutionErrors.append(error)
        }
        race.resolved(family, to: admitted, at: loop.now)
        drain()
    }
}

extension TCPDial: TCPConnectAttemptHandler {
    /// For the attempt.
    public func attempt(_ attempt: TCPConnectAttempt, connected stream: ByteStream) {
        guard let id = attempts.first(where: { $0.value === attempt })?.key else { return stream.close() }
        attempts[id] = nil
        succeeded(id, stream)
        drain()
    }

    /// For the attempt.
    public func attempt(_ attempt: TCPConnectAttempt, failed error: SystemError) {
        guard let id = attempts.first(where: { $0.value === attempt })?.key else { return }
        attempts[id] = nil
        attemptErrors.append(error)
        race.attemptFailed(id, at: loop.now)
        drain()
    }
}

extension TCPDial: TimerHandler {
    /// For the loop.
    public func timerFired(_ timer: TimerHandle, at now: Instant) {
        guard timer != limitTimer else {
            // Attempts that failed say more than the time that is up, except when others were still under way.
            let hasOnlyFailures = attempts.isEmpty && !attemptErrors.isEmpty
            return fail(with: hasOnlyFailures ? reason : .timedOut(host: host, port: port))
        }
        race.deadlineReached(at: now)
        drain()
    }
}

@available(*, unavailable)
extension TCPDial: Sendable {}
