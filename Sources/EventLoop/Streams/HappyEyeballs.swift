public import Primitives

/// Which addresses to try when, and which connection to keep (RFC 8305): a value that is called and never calls.
///
///                answer: IPv6, or IPv4 when nothing else is awaited
///     ┌───────────┐ ─────────────────────────────────────────────────► ┌────────┐ attempt succeeded ┌──────────┐
///     │ resolving │                                                     │ racing │ ────────────────► │ finished │
///     └───────────┘ ── answer: IPv4 ──► ┌──────────┐ IPv6 answered, ──► └────────┘                   └──────────┘
///           │                           │ delaying │ or 50 ms passed      │  ▲ │                          ▲
///           │                           └──────────┘                      └──┘ │ last attempt failed,      │
///           │                              next attempt every 250 ms, or when  │ nothing is awaited        │
///           │ nothing is awaited           the one before has failed, and           └──────────────────────┤
///           │                              every 125 ms when silent ones are repeated                       │
///           └──────────────────────────────────────────────────────────────────────────────────────────────┘
///
/// After every input take `nextAction` until it is `nil`, then `nextDeadline`.
public struct HappyEyeballs: Sendable {
    /// The delays of RFC 8305 §8.
    public struct Parameters: Hashable, Sendable {
        /// How long IPv4 addresses wait for the IPv6 answer (Resolution Delay).
        public var resolutionDelay = Interval.milliseconds(50)
        /// How long an attempt has before the next one starts beside it (Connection Attempt Delay).
        public var attemptDelay = Interval.milliseconds(250)
        /// How long a silent address is left alone when all were tried: the shorter, the sooner it is known that the network is
        /// back (RFC 8305 §8: not less than 100 ms).
        public var repetitionDelay = Interval.milliseconds(125)
        /// Whether silence is an answer.
        public var persistence = Persistence.once

        /// The recommended values.
        public init() {}
    }

    /// How often an address is tried.
    public enum Persistence: Hashable, Sendable {
        /// Once: each attempt asks again by itself, more and more seldom.
        case once
        /// With a further attempt each time that it is its turn, until one of them fails: when a network that swallows
        /// everything comes back, the next attempt is never far away.
        case whileSilent
    }

    /// Names an attempt.
    public struct AttemptID: Hashable, Sendable {
        /// Counts attempts from 0.
        public let number: Int
        /// Names an attempt by its number.
        public init(_ number: Int) { self.number = number }
    }

    /// What the owner has to do.
    public enum Action: Hashable, Sendable {
        /// Start to connect.
        case connect(AttemptID, NetworkAddress)
        /// Give an attempt up: another one has won.
        case cancel(AttemptID)
        /// This attempt's connection is the one to use.
        case succeeded(AttemptID)
        /// No address is left to try.
        case failed
    }

    private enum State {
        case resolving
        case delaying(until: Instant)
        case racing(next: Instant)
        case finished
    }

    /// Addresses that are tried at most; it bounds what a name with very many addresses costs. Others are left out.
    public static let maximumAttempts = 32

    private let parameters: Parameters
    private var state = State.resolving
    private var awaited: Set<IPAddress.Family>
    private var waiting: [IPAddress.Family: [NetworkAddress]] = [:]
    private var underWay: [(id: AttemptID, address: NetworkAddress)] = []
    /// Addresses from which nothing was heard, those to be asked again first.
    private var silent: [NetworkAddress] = []
    private var attemptCount = 0
    /// The family whose turn it is.
    private var turn = IPAddress.Family.ipv6
    private var actions: [Action] = []

    /// Starts with the answers of `families` awaited.
    public init(awaiting families: Set<IPAddress.Family> = [.ipv4, .ipv6], parameters: Parameters = Parameters()) {
        awaited = families
        self.parameters = parameters
        if families.isEmpty { fail() }
    }

    /// When `deadlineReached` is to be called.
    public var nextDeadline: Instant? {
        switch state {
        case .resolving, .finished: nil
        case .delaying(let until): until
        case .racing(let next): hasWaiting || mayRepeat ? next : nil
        }
    }

    /// The next thing to do, if there is one.
    public mutating func nextAction() -> Action? { actions.isEmpty ? nil : actions.removeFirst() }

    // MARK: Inputs

    /// A family was resolved, with the addresses that may be dialled; none, when there are none or it failed.
    public mutating func resolved(_ family: IPAddress.Family, to addresses: [NetworkAddress], at now: Instant) {
        guard awaited.remove(family) != nil else { return }
        let room = Self.maximumAttempts - attemptCount - waiting.values.reduce(0) { $0 + $1.count }
        waiting[family, default: []] += addresses.prefix(max(0, room))
        switch state {
        case .resolving:
            startOrWait(after: family, at: now)
        case .delaying:
            // RFC 8305 §3: the IPv6 answer, positive or negative, ends the wait.
            race(at: now)
        case .racing(let next):
            // RFC 8305 §3: late addresses join the list.
            if underWay.isEmpty || next <= now { advance(at: now) }
        case .finished:
            break
        }
    }

    /// An attempt's connection is established.
    public mutating func attemptSucceeded(_ attempt: AttemptID) {
        guard case .racing = state, underWay.contains(where: { $0.id == attempt }) else { return }
        // RFC 8305 §5: one connection is kept, all other attempts are given up.
        actions += underWay.map(\.id).filter { $0 != attempt }.map { .cancel($0) }
        actions.append(.succeeded(attempt))
        underWay = []
        state = .finished
    }

    /// An attempt has failed.
    public mutating func attemptFailed(_ attempt: AttemptID, at now: Instant) {
        guard case .racing = state, let index = underWay.firstIndex(where: { $0.id == attempt }) else { return }
        let address = underWay.remove(at: index).address
        silent.removeAll { $0 == address }
        // What one attempt has found out goes for its repetitions.
        actions += underWay.filter { $0.address == address }.map { .cancel($0.id) }
        underWay.removeAll { $0.address == address }
        advance(at: now)
    }

    /// The time has come.
    public mutating func deadlineReached(at now: Instant) {
        switch state {
        case .delaying(let until) where until <= now: race(at: now)
        case .racing(let next) where next <= now && (hasWaiting || mayRepeat): advance(at: now)
        case .resolving, .delaying, .racing, .finished: break
        }
    }

    // MARK: The machine

    private var hasWaiting: Bool { waiting.values.contains { !$0.isEmpty } }

    private var mayRepeat: Bool {
        parameters.persistence == .whileSilent && !silent.isEmpty && attemptCount < Self.maximumAttempts
    }

    private mutating func startOrWait(after family: IPAddress.Family, at now: Instant) {
        guard hasWaiting else {
            if awaited.isEmpty { fail() }
            return
        }
        // RFC 8305 §3: IPv6 starts at once; IPv4 waits a little for an IPv6 answer that is still to come.
        if family == .ipv4, awaited.contains(.ipv6) {
            state = .delaying(until: now + parameters.resolutionDelay)
        } else {
            race(at: now)
        }
    }

    private mutating func race(at now: Instant) {
        state = .racing(next: now)
        advance(at: now)
    }

    /// Starts the next attempt; without one, fails as soon as nothing can come any more.
    private mutating func advance(at now: Instant) {
        guard let address = takeNextAddress() ?? takeSilentAddress() else {
            if underWay.isEmpty, awaited.isEmpty { fail() }
            return
        }
        let attempt = AttemptID(attemptCount)
        attemptCount += 1
        underWay.append((attempt, address))
        silent.append(address)
        actions.append(.connect(attempt, address))
        let isRepeated = !hasWaiting && parameters.persistence == .whileSilent
        state = .racing(next: now + (isRepeated ? parameters.repetitionDelay : parameters.attemptDelay))
    }

    /// RFC 8305 §4: the families take turns, IPv6 first (First Address Family Count of 1).
    private mutating func takeNextAddress() -> NetworkAddress? {
        let other: IPAddress.Family = turn == .ipv6 ? .ipv4 : .ipv6
        for family in [turn, other] {
            guard var list = waiting[family], !list.isEmpty else { continue }
            let address = list.removeFirst()
            waiting[family] = list
            turn = family == .ipv6 ? .ipv4 : .ipv6
            return address
        }
        return nil
    }

    private mutating func takeSilentAddress() -> NetworkAddress? { mayRepeat ? silent.removeFirst() : nil }

    private mutating func fail() {
        state = .finished
        actions.append(.failed)
    }
}
