public import Primitives

/// The gateways of a local endpoint: which one new tunnels go to, and when one of them is dead.
///
/// ```
///           seek            handshake               nothing is heard        another one answers,
///   idle ─────────► seeking ─────────► connected ─────────────────► silent ── this one not ───────► dead
///     ▲                                │  ▲    │ connection lost              (giveUpAfter)          ▲ │
///     │                       GOAWAY   ▼  │    └──────────────────► away ───── or refused twice ─────┘ │
///     └── release ──────────── draining   └─────────────── handshake, from every state ◄──────────────┘
/// ```
/// The first of the list that is connected is used. One that fails is left for another one that answers: at once when its machine
/// says that nothing listens, or when it says itself that it goes away; after a short silence otherwise. That another one
/// answers is what tells a dead gateway from a network that is gone. A better one is returned to when it has been there for a while.
///
/// A gateway whose handshakes often fail, or take far longer than another one's, stands behind those in good health: it is used
/// only when none of them answers, and has a handshake to show that it is well once in a while.
///
/// Tell it what happens, call `deadlineReached` at `nextDeadline`, and carry out every `nextAction` after each call.
public struct GatewayGroup: Sendable {
    /// What the group's owner is to do.
    public enum Action: Hashable, Sendable {
        /// Get a connection to this gateway, and another one when it is lost, until told otherwise.
        case seek(HostPort)
        /// No connection to it is needed any more, but for the tunnels that it has.
        case release(HostPort)
        /// Ask it for a sign of life: over its connection, and by a fresh one when that is silent.
        case question(HostPort)
        /// New tunnels go to this gateway.
        case use(HostPort)
        /// Another gateway is used than before: what can go on there does.
        case failover(GatewayFailover)
        /// The gateway is dead: reset its tunnels.
        case giveUp(HostPort, GatewayTrouble)
        /// The gateway stands behind those in good health from now on, or not any more; for the log.
        case judged(HostPort, GatewayAilment?)
    }

    /// Where a gateway stands.
    enum State: Hashable, Sendable {
        /// There is no connection, and none is sought.
        case idle
        /// A first connection is sought.
        case seeking
        /// There is a connection, and it works as far as is known.
        case connected
        /// It is the one that is used, and its connection fell asleep: no tunnel needed it.
        case asleep
        /// There is a connection, and nothing is heard on it.
        case silent(Absence)
        /// The connection is lost; another one is sought.
        case away(Absence)
        /// It takes no more tunnels; another connection is sought.
        case draining
        /// It is given up; another connection is sought all the same.
        case dead(GatewayTrouble)
    }

    /// A gateway's failure to answer.
    struct Absence: Hashable, Sendable {
        /// When it was last heard.
        var since: Instant
        var cause: GatewayTrouble
        /// How often its machine has said since that nothing listens.
        var refusals = 0
    }

    struct Member: Sendable {
        let name: HostPort
        var state = State.idle
        /// When that state began.
        var since: Instant
        var isSought = false
        var health = GatewayHealth()
        /// Why it was last not used; for the status.
        var lastTrouble: GatewayTrouble?
        /// When it is to be asked for a sign of life.
        var questionAt: Instant?
        /// What is done to learn whether it is in good health again.
        var check = Check.none

        var isConnected: Bool { state == .connected }
        var absence: Absence? {
            switch state {
            case .silent(let absence), .away(let absence): absence
            case .idle, .seeking, .connected, .asleep, .draining, .dead: nil
            }
        }
    }

    /// A handshake with a gateway that stands behind the others.
    enum Check: Hashable, Sendable {
        case none
        case due(Instant)
        case underWay(until: Instant)
    }

    /// What is done for the standby's ticket.
    enum Visit: Hashable, Sendable {
        case none
        case due(Instant)
        case underWay(HostPort, until: Instant)
    }

    /// Times, which may be changed.
    public var timings: GatewayTimings
    var members: [Member]
    /// The gateway that is used; nil before the first connection.
    var active: Int?
    /// When the next gateway is tried beside those that do not answer.
    var nextSeek: Instant?
    /// When the gateways that answer are asked whether they still do.
    var witnessQuestion: Instant?
    var visit = Visit.none
    var actions: [Action] = []

    /// Creates the group of some gateways, in order of preference; one that is there twice counts once.
    public init(_ names: [HostPort], timings: GatewayTimings = GatewayTimings(), at now: Instant) {
        self.timings = timings
        var members: [Member] = []
        for name in names where !members.contains(where: { $0.name == name }) {
            members.append(Member(name: name, since: now))
        }
        self.members = members
    }

    /// What to do next; nil when everything is done.
    public mutating func nextAction() -> Action? { actions.isEmpty ? nil : actions.removeFirst() }

    /// The gateway that a new tunnel is to go to: the one that is used, or another one while that does not answer.
    public var choice: HostPort? {
        if let active, members[active].isConnected || isAsleep { return members[active].name }
        if let other = ranking.first(where: { members[$0].isConnected }) { return members[other].name }
        return active.map { members[$0].name } ?? members.first?.name
    }

    /// Whether the connection to the gateway that is used fell asleep: say `wanted` before the next tunnel.
    public var isAsleep: Bool { active.map { members[$0].state == .asleep } ?? false }

    /// Whether the gateway answers as far as is known.
    public func isConnected(_ name: HostPort) -> Bool { members.contains { $0.name == name && $0.isConnected } }
}

// MARK: - What happens

extension GatewayGroup {
    /// Begins: the first gateway is sought.
    public mutating func begin(at now: Instant) {
        guard !members.isEmpty else { return }
        seek(0, at: now)
        nextSeek = now + timings.patience
    }

    /// A handshake is complete, so long after it began.
    public mutating func connected(_ name: HostPort, after handshake: Interval, at now: Instant) {
        guard let index = index(of: name) else { return }
        members[index].health.connected(after: handshake, at: now)
        enter(.connected, index, at: now)
        // Tunnels have brought back what was released: as long as it counts as connected, its end has to be told.
        seek(index, at: now)
        proceed(at: now)
    }

    /// A gateway that is sought has a connection already, which its tunnels have kept.
    public mutating func found(_ name: HostPort, at now: Instant) {
        guard let index = index(of: name), case .seeking = members[index].state else { return }
        enter(.connected, index, at: now)
        proceed(at: now)
    }

    /// An attempt to connect failed, or a round of attempts.
    public mutating func attemptFailed(_ name: HostPort, _ trouble: GatewayTrouble, at now: Instant) {
        guard let index = index(of: name) else { return }
        let witnesses = members.indices.count { $0 != index && members[$0].isConnected }
        members[index].health.attemptFailed(witnesses, at: now)
        switch members[index].state {
        case .seeking:
            members[index].lastTrouble = trouble
            nextSeek = now
        case .silent(let absence):
            members[index].state = .silent(absence.after(trouble))
            members[index].questionAt = now + GatewayTimings.refusalPause
        case .away(let absence): members[index].state = .away(absence.after(trouble))
        case .idle, .connected, .asleep, .draining, .dead: break
        }
        proceed(at: now)
    }

    /// A connection that no tunnel needs has ended by itself, for there was nothing to say: it says nothing of the gateway.
    public mutating func fellAsleep(_ name: HostPort, at now: Instant) {
        guard let index = index(of: name), members[index].isConnected else { return connectionLost(name, at: now) }
        enter(index == active ? .asleep : .idle, index, at: now)
        members[index].isSought = false
        actions.append(.release(name))
        proceed(at: now)
    }

    /// There is to be a tunnel while everything is asleep.
    public mutating func wanted(at now: Instant) {
        guard let active, isAsleep else { return }
        members[active].state = .idle
        seek(active, at: now)
        nextSeek = now + timings.patience
        proceed(at: now)
    }

    /// The connection is lost.
    public mutating func connectionLost(_ name: HostPort, at now: Instant) {
        guard let index = index(of: name), members[index].isSought else { return }
        switch members[index].state {
        case .connected: fail(index, .away(Absence(since: now, cause: .loss)), .loss, at: now)
        case .silent(let absence): members[index].state = .away(absence)
        case .idle, .seeking, .asleep, .away, .draining, .dead: break
        }
        proceed(at: now)
    }

    /// Nothing has been heard since then, on no path.
    public mutating func fellSilent(_ name: HostPort, since: Instant, at now: Instant) {
        guard let index = index(of: name), members[index].isConnected else { return }
        fail(index, .silent(Absence(since: since, cause: .silence)), .silence, at: now)
        members[index].questionAt = now
        proceed(at: now)
    }

    /// The network says that nobody listens where the connection leads. Anybody can make that up, so that it counts once in a while
    /// only, and as long as nothing is heard.
    public mutating func refusalReported(_ name: HostPort, at now: Instant) {
        guard let index = index(of: name) else { return }
        switch members[index].state {
        case .connected:
            fail(index, .silent(Absence(since: now, cause: .refusal, refusals: 1)), .refusal, at: now)
        case .silent(let absence):
            guard now - members[index].since >= GatewayTimings.refusalPause else { return }
            enter(.silent(absence.after(.refusal)), index, at: now)
        case .idle, .seeking, .asleep, .away, .draining, .dead: return
        }
        members[index].questionAt = now + GatewayTimings.refusalPause
        proceed(at: now)
    }

    /// Something was heard again on the connection.
    public mutating func heard(_ name: HostPort, at now: Instant) {
        guard let index = index(of: name), case .silent = members[index].state else { return }
        enter(.connected, index, at: now)
        proceed(at: now)
    }

    /// The gateway takes no further tunnels.
    public mutating func draining(_ name: HostPort, at now: Instant) {
        guard let index = index(of: name), members[index].isConnected || members[index].absence != nil else { return }
        fail(index, .draining, .draining, at: now)
        proceed(at: now)
    }

    /// The gateway does not accept the token. Its connection stays, for tunnels that it has accepted before.
    public mutating func notAuthenticated(_ name: HostPort, at now: Instant) {
        guard let index = index(of: name) else { return }
        fail(index, .dead(.notAuthenticated), .notAuthenticated, at: now)
        proceed(at: now)
    }

    /// Other gateways, in order of preference; those that stay are what they are.
    public mutating func replace(_ names: [HostPort], at now: Instant) {
        let used = active.map { members[$0].name }
        let old = members
        members = GatewayGroup(names, at: now).members.map { new in old.first { $0.name == new.name } ?? new }
        active = used.flatMap { index(of: $0) }
        if active == nil {
            if let first = members.indices.first { seek(first, at: now) }
            nextSeek = now + timings.patience
        }
        proceed(at: now)
    }

    private mutating func fail(_ index: Int, _ state: State, _ trouble: GatewayTrouble, at now: Instant) {
        members[index].lastTrouble = trouble
        enter(state, index, at: now)
        guard index == active else { return }
        members[index].health.failed(at: now)
        nextSeek = now
    }

    mutating func enter(_ state: State, _ index: Int, at now: Instant) {
        members[index].state = state
        members[index].since = now
        members[index].questionAt = nil
    }

    func index(of name: HostPort) -> Int? { members.firstIndex { $0.name == name } }

    mutating func seek(_ index: Int, at now: Instant) {
        guard !members[index].isSought else { return }
        members[index].isSought = true
        if case .idle = members[index].state { enter(.seeking, index, at: now) }
        actions.append(.seek(members[index].name))
    }
}

extension GatewayGroup.Absence {
    fileprivate func after(_ trouble: GatewayTrouble) -> Self {
        guard trouble == .refusal else { return self }
        var next = self
        next.cause = .refusal
        next.refusals += 1
        return next
    }
}
