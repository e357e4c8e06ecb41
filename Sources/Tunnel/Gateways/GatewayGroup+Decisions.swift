public import Primitives

/// A change of the gateway that new tunnels go to.
public struct GatewayFailover: Hashable, Sendable {
    /// Why.
    public enum Cause: Hashable, Sendable {
        /// The former gateway failed.
        case trouble(GatewayTrouble)
        /// The former gateway answers, and stands behind one in good health.
        case ailing(GatewayAilment)
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
            deadlines += members.indices.filter { isBetter($0, than: active) && members[$0].isConnected }.map(provenAt)
        }
        for member in members {
            if let relief = member.health.nextRelief { deadlines.append(relief) }
            switch member.check {
            case .none: break
            case .due(let instant), .underWay(let instant): deadlines.append(instant)
            }
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
        judge(at: now)
        giveUpTheDead(at: now)
        chooseAnother(at: now)
        considerReturn(at: now)
        seekMore(at: now)
        tendStandby(at: now)
        checkTheIll(at: now)
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

// MARK: - Health

extension GatewayGroup {
    /// Every gateway, the best one first: those in good health before the others, each by preference.
    var ranking: [Int] {
        members.indices.filter { members[$0].health.ailment == nil }
            + members.indices.filter { members[$0].health.ailment != nil }
    }

    private func isBetter(_ index: Int, than other: Int) -> Bool {
        let (isIll, isOtherIll) = (members[index].health.ailment != nil, members[other].health.ailment != nil)
        return isIll == isOtherIll ? index < other : isOtherIll
    }

    private mutating func judge(at now: Instant) {
        for index in members.indices {
            let before = members[index].health.ailment
            members[index].health.judge(
                against: bestHandshake(besides: index), index == active ? .used : .unused, at: now)
            let after = members[index].health.ailment
            if before != after { actions.append(.judged(members[index].name, after)) }
        }
    }

    /// What the fastest of the others needs for a handshake: of those that can be used as far as is known.
    private func bestHandshake(besides index: Int) -> Interval? {
        members.indices.filter { $0 != index && (members[$0].isConnected || members[$0].state == .idle) }
            .compactMap { members[$0].health.handshake }.min()
    }

    /// What stands behind the others has a fresh handshake now and then to show that it does not belong there any more.
    private mutating func checkTheIll(at now: Instant) {
        let isInOrder = active.map { members[$0].isConnected && members[$0].health.ailment == nil } ?? false
        for index in members.indices {
            guard isInOrder, members[index].health.ailment != nil else {
                members[index].check = .none
                continue
            }
            switch members[index].check {
            case .none: members[index].check = .due(now + GatewayTimings.checkInterval)
            case .due(let instant) where instant <= now:
                seek(index, at: now)
                members[index].check = .underWay(until: now + GatewayTimings.standbyPatience)
            case .underWay(let until) where until <= now || members[index].isConnected:
                members[index].check = .due(now + GatewayTimings.checkInterval)
            case .due, .underWay: break
            }
        }
    }
}

// MARK: - Which gateway is used

extension GatewayGroup {
    private mutating func chooseAnother(at now: Instant) {
        guard members.contains(where: \.isConnected) else { return }
        guard let active else {
            guard let first = ranking.first(where: { members[$0].isConnected }) else { return }
            self.active = first
            actions.append(.use(members[first].name))
            return
        }
        switch members[active].state {
        case .connected:
            guard let ailment = members[active].health.ailment, let best = bestConnected(besides: active),
                members[best].health.ailment == nil
            else { return }
            members[active].health.failed(at: now)
            switchOver(to: best, .ailing(ailment), gap: nil)
        case .asleep: break
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
        let proven = ranking.first { isBetter($0, than: active) && members[$0].isConnected && provenAt($0) <= now }
        guard let proven else { return }
        members[proven].health.returned = now
        switchOver(to: proven, .returned, gap: nil)
    }

    /// When a gateway has been there in good health for so long that it is returned to.
    private func provenAt(_ index: Int) -> Instant {
        let (since, health) = (members[index].since, members[index].health)
        return max(since, health.recovered ?? since) + health.proof(timings)
    }

    private func bestConnected(besides index: Int?) -> Int? {
        ranking.first { $0 != index && members[$0].isConnected }
    }

    private mutating func switchToBest(_ cause: GatewayFailover.Cause, gap: Interval?, at now: Instant) {
        guard let best = bestConnected(besides: active) else { return }
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
            for index in members.indices where isBetter(index, than: active) { seek(index, at: now) }
            return
        }
        while let due = nextSeek, due <= now {
            guard let next = ranking.first(where: { !members[$0].isSought }) else {
                nextSeek = nil
                return
            }
            seek(next, at: now)
            nextSeek = now + timings.patience
        }
    }

    private var standby: Int? {
        guard let active, members[active].isConnected else { return nil }
        return ranking.first { isBetter(active, than: $0) }
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
        for index in members.indices where isBetter(active, than: index) && members[index].isSought {
            if timings.standby == .connected, index == standby { continue }
            if case .underWay(let name, _) = visit, name == members[index].name { continue }
            if case .underWay = members[index].check { continue }
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
