public import Primitives

/// A change of the gateway that new tunnels go to.
public struct GatewayFailover: Hashable, Sendable {
    /// Why.
    public enum Cause: Hashable, Sendable {
        /// The former gateway failed.
        case trouble(GatewayTrouble)
        /// A preferred one has proven itself.
        case returned
    }

    /// The gateway that was used; nil when it is not configured any more.
    public var from: HostPort?
    /// The gateway that is used now.
    public var to: HostPort
    /// Why.
    public var cause: Cause
    /// From when the former one was last heard to the change; nil when it was heard all the time.
    public var gap: Interval?
}

// MARK: - Time

extension GatewayGroup {
    /// When `deadlineReached` is to be called.
    public var nextDeadline: Instant? {
        var deadlines = members.compactMap(\.questionAt)
        deadlines += [nextSeek, witnessQuestion].compactMap { $0 }
        for index in members.indices {
            guard let absence = members[index].absence, let witness = witnessSince(besides: index) else { continue }
            let reference = max(absence.since, witness)
            if index == active { deadlines.append(reference + timings.switchAfter) }
            deadlines.append(reference + timings.giveUpAfter)
        }
        if let active, members[active].isConnected {
            deadlines += members[..<active].filter(\.isConnected).map { $0.since + $0.health.proof(timings) }
        }
        switch visit {
        case .none: break
        case .due(let instant): deadlines.append(instant)
        case .underWay(let name, let until): deadlines.append(end(ofVisitTo: name, until))
        }
        return deadlines.min()
    }

    /// Time has passed.
    public mutating func deadlineReached(at now: Instant) { proceed(at: now) }

    mutating func proceed(at now: Instant) {
        giveUpTheDead(at: now)
        chooseAnother(at: now)
        considerReturn(at: now)
        seekMore(at: now)
        tendStandby(at: now)
        releaseOthers()
        askQuestions(at: now)
    }

    /// Since when another gateway is known to answer: silence before that may have been the network's.
    private func witnessSince(besides index: Int) -> Instant? {
        members.indices.filter { $0 != index && members[$0].isConnected }.map { members[$0].since }.min()
    }

    private mutating func giveUpTheDead(at now: Instant) {
        for index in members.indices {
            guard let absence = members[index].absence, let witness = witnessSince(besides: index) else { continue }
            let isRefused = absence.refusals >= GatewayTimings.refusalsOfDeath
            guard isRefused || now >= max(absence.since, witness) + timings.giveUpAfter else { continue }
            if index == active { switchToBest(.trouble(absence.cause), gap: now - absence.since, at: now) }
            members[index].lastTrouble = absence.cause
            enter(.dead(absence.cause), index, at: now)
            actions.append(.giveUp(members[index].name, absence.cause))
        }
    }
}

// MARK: - Which gateway is used

extension GatewayGroup {
    private mutating func chooseAnother(at now: Instant) {
        guard members.contains(where: \.isConnected) else { return }
        guard let active else {
            guard let first = members.firstIndex(where: \.isConnected) else { return }
            self.active = first
            actions.append(.use(members[first].name))
            return
        }
        switch members[active].state {
        case .connected: break
        case .idle, .seeking: switchToBest(.trouble(.unreachable), gap: nil, at: now)
        case .draining: switchToBest(.trouble(.draining), gap: nil, at: now)
        case .dead(let trouble): switchToBest(.trouble(trouble), gap: nil, at: now)
        case .silent(let absence), .away(let absence):
            guard let witness = witnessSince(besides: active) else { return }
            guard absence.refusals > 0 || now >= max(absence.since, witness) + timings.switchAfter else { return }
            switchToBest(.trouble(absence.cause), gap: now - absence.since, at: now)
        }
    }

    private mutating func considerReturn(at now: Instant) {
        guard let active, members[active].isConnected else { return }
        let proven = members[..<active].firstIndex { $0.isConnected && now >= $0.since + $0.health.proof(timings) }
        guard let proven else { return }
        members[proven].health.returned = now
        switchOver(to: proven, .returned, gap: nil)
    }

    private mutating func switchToBest(_ cause: GatewayFailover.Cause, gap: Interval?, at now: Instant) {
        guard let best = members.indices.first(where: { $0 != active && members[$0].isConnected }) else { return }
        switchOver(to: best, cause, gap: gap)
    }

    private mutating func switchOver(to index: Int, _ cause: GatewayFailover.Cause, gap: Interval?) {
        let former = active.map { members[$0].name }
        active = index
        nextSeek = nil
        let name = members[index].name
        actions += [.use(name), .failover(GatewayFailover(from: former, to: name, cause: cause, gap: gap))]
    }
}

// MARK: - Which connections are kept

extension GatewayGroup {
    /// While the gateway that is used does not answer, one after the other is tried.
    private mutating func seekMore(at now: Instant) {
        if let active, members[active].isConnected {
            nextSeek = nil
            // Better ones are returned to when they answer.
            for index in members.indices where index < active { seek(index, at: now) }
            return
        }
        while let due = nextSeek, due <= now {
            guard let next = members.firstIndex(where: { !$0.isSought }) else {
                nextSeek = nil
                return
            }
            seek(next, at: now)
            nextSeek = now + timings.patience
        }
    }

    private var standby: Int? {
        guard let active, members[active].isConnected else { return nil }
        return members.indices.first { $0 > active }
    }

    private mutating func tendStandby(at now: Instant) {
        guard let standby else { return visit = .none }
        guard timings.standby == .ticket else {
            visit = .none
            return seek(standby, at: now)
        }
        switch visit {
        case .none: visit = .due(now + GatewayTimings.standbyDelay)
        case .due(let instant):
            guard instant <= now else { return }
            seek(standby, at: now)
            visit = .underWay(members[standby].name, until: now + GatewayTimings.standbyPatience)
        case .underWay(let name, let until):
            guard end(ofVisitTo: name, until) <= now else { return }
            let interval = isConnected(name) ? GatewayTimings.standbyInterval : GatewayTimings.standbyRetry
            visit = .due(now + interval)
        }
    }

    private func end(ofVisitTo name: HostPort, _ until: Instant) -> Instant {
        guard let index = index(of: name), members[index].isConnected else { return until }
        return min(until, members[index].since + GatewayTimings.ticketTime)
    }

    /// What is worse than the gateway that is used needs no connection, unless it is the standby or may still come back with tunnels.
    private mutating func releaseOthers() {
        guard let active, members[active].isConnected else { return }
        for index in members.indices where index > active && members[index].isSought {
            if timings.standby == .connected, index == standby { continue }
            if case .underWay(let name, _) = visit, name == members[index].name { continue }
            guard members[index].absence == nil else { continue }
            members[index].isSought = false
            members[index].questionAt = nil
            if case .dead = members[index].state {} else { members[index].state = .idle }
            actions.append(.release(members[index].name))
        }
    }

    private mutating func askQuestions(at now: Instant) {
        for index in members.indices {
            guard let due = members[index].questionAt, due <= now else { continue }
            members[index].questionAt = nil
            actions.append(.question(members[index].name))
        }
        guard members.contains(where: { $0.absence != nil }), members.contains(where: \.isConnected) else {
            witnessQuestion = nil
            return
        }
        guard witnessQuestion.map({ $0 <= now }) ?? true else { return }
        witnessQuestion = now + GatewayTimings.witnessInterval
        for member in members where member.isConnected { actions.append(.question(member.name)) }
    }
}
