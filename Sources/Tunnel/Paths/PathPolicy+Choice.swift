import Primitives

/// Which path takes over, and the switch itself.
extension PathPolicy {
    /// What a path that is left says of others on its link.
    enum Doubt {
        /// Nothing: only the address is gone.
        case address
        /// That they will not work either.
        case link
    }

    /// The other paths, the best one first: one that is known to work, on another link than one that is in doubt, and then as
    /// the user ranks them.
    func standbys(besides left: PathCandidate?, doubting doubt: Doubt) -> [Int] {
        func disadvantages(_ index: Int) -> (Int, Int, PathRank, Int) {
            let candidate = candidates[index]
            let standing =
                switch candidate.stage {
                case .validated: 0
                case .validating: 1
                case .failed, .opening, .refused: 2
                }
            let isDoubtful =
                doubt == .link && left?.link != nil && candidate.link?.interface == left?.link?.interface
            return (standing, isDoubtful ? 1 : 0, candidate.rank, index)
        }
        return candidates.indices
            .filter { candidates[$0].local != nil && candidates[$0].local != left?.local }
            .sorted { disadvantages($0) < disadvantages($1) }
    }

    func bestStandby(besides left: PathCandidate?, doubting doubt: Doubt) -> Int? {
        standbys(besides: left, doubting: doubt).first
    }

    /// Moves the connection from the active path to another.
    mutating func move(to index: Int, _ reason: Handover.Reason, at now: Instant) {
        guard let active = activeIndex else { return }
        let silentSince = silenceStart(at: now)
        let left = candidates[active]
        if reason.isForced {
            if pinned == left.local?.ip { pinned = nil }
            candidates[active].unanswered()
        }
        move(to: index, from: left, reason, silentSince: silentSince, at: now)
    }

    mutating func move(
        to index: Int, from left: PathCandidate, _ reason: Handover.Reason, silentSince: Instant, at now: Instant
    ) {
        guard let local = candidates[index].local, let former = left.local, local != former else { return }
        let handover = Handover(
            at: now, reason: reason, from: .init(former, interface: left.link?.interface),
            to: .init(local, interface: candidates[index].link?.interface))
        if let overtaken = log.began(handover, silentSince: silentSince) { actions.append(.handedOver(overtaken)) }
        actions.append(.activate(local, reason))
        settle(on: index, silentSince: silentSince, at: now)
        awaitedActivations.append(local)
        switch reason {
        case .linkDown, .addressChanged, .writeError, .silence, .wake: returns.failed(at: now)
        case .degraded:
            returns.failed(at: now)
            returns.switched(reason, at: now)
        case .returned: returns.switched(reason, at: now)
        case .manual: break
        }
    }

    /// The active path is another one, from which nothing was heard yet.
    private mutating func settle(on index: Int, silentSince: Instant, at now: Instant) {
        guard let local = candidates[index].local else { return }
        course = .on(local)
        choiceEnds = nil
        liveness = nil
        rhythm = ReceiptRhythm()
        exchange = AnswerRhythm()
        openChallenge = nil
        steadiness = PathSteadiness()
        let known = candidates[index].roundTrip.map { roundTrip in
            max(roundTrip * 3 / 2 + PathTimings.longestAcknowledgementDelay, PathTimings.shortestSettlingTime)
        }
        health = .settling(
            .init(since: now, answerDue: now + (known ?? PathTimings.settlingTime), silentSince: silentSince))
        for other in candidates.indices { candidates[other].proof = nil }
        let interval = keepAlive.interval
        keepAlive.networkChanged(to: candidates[index].link?.interface)
        if keepAlive.interval != interval { sayKeepAlive() }
    }

    /// The connection says which path it is on.
    mutating func activated(_ local: NetworkAddress, at now: Instant) {
        if let index = awaitedActivations.firstIndex(of: local) {
            awaitedActivations.removeSubrange(...index)
            return
        }
        guard course != .on(local), let index = index(of: local), let active = activeIndex else { return }
        // The connection went back by itself: validation of the path had failed (RFC 9000 §9.3.2).
        let left = candidates[active]
        let silentSince = silenceStart(at: now)
        candidates[active].unanswered()
        let handover = Handover(
            at: now, reason: .silence, from: .init(left.local ?? local, interface: left.link?.interface),
            to: .init(local, interface: candidates[index].link?.interface))
        if let overtaken = log.began(handover, silentSince: silentSince) { actions.append(.handedOver(overtaken)) }
        returns.failed(at: now)
        settle(on: index, silentSince: silentSince, at: now)
    }
}
