import Primitives
import QUIC

/// What is heard and what is not: a path that died without a word is found out by asking.
extension PathPolicy {
    // MARK: Arrivals

    mutating func observe(_ liveness: PathLiveness, at now: Instant) {
        let former = self.liveness
        self.liveness = liveness
        guard former != nil else {
            // The first word of a path that was just activated; what came before is not about now.
            rhythm = ReceiptRhythm(liveness)
            if case .settling(let settling) = health, let received = liveness.lastReceived, received > settling.since {
                heard(liveness, bytes: 0, at: received)
            }
            return
        }
        guard case .arrival(let bytes, let gap) = rhythm.observed(liveness, health.question) else {
            return steadiness.observed(liveness, at: now)
        }
        steadiness.observed(liveness, at: now)
        if let awaiting = former?.awaitingSince, let received = liveness.lastReceived, health.question == .none {
            exchange.answered(after: max(received - awaiting, .zero), at: now)
        }
        if let gap { learnKeepAlive(after: gap, liveness, former, at: now) }
        heard(liveness, bytes: bytes, at: now)
    }

    /// Something authentic arrived on the active path.
    private mutating func heard(_ liveness: PathLiveness, bytes: UInt64, at now: Instant) {
        if let index = activeIndex { candidates[index].answered(roundTrip: nil, at: now) }
        let isAnswer = bytes <= ReceiptRhythm.bytesOfAnswer
        switch health {
        case .healthy: break
        case .asking:
            if isAnswer { rhythm.flowEnded() }
            health = .healthy
        case .suspect(let suspicion):
            guard suspicion.cause != .deaf else { return }
            steadiness.suspicionCleared(at: now)
            if isAnswer { rhythm.flowEnded() }
            health = .healthy
        case .settling(let settling):
            guard let received = liveness.lastReceived, received > settling.since else { return }
            firstWord()
            if let handover = log.heard(at: received) { actions.append(.handedOver(handover)) }
            removeDeparted()
        case .outage:
            firstWord()
            // The gateway may be waiting for its own timers; a packet from here ends that.
            actions.append(.ping)
        }
    }

    /// The active path works. What the gateway numbered while nothing came is missing, and says nothing of the path from now on.
    private mutating func firstWord() {
        health = .healthy
        steadiness = PathSteadiness()
    }

    private mutating func learnKeepAlive(
        after gap: Interval, _ liveness: PathLiveness, _ former: PathLiveness?, at now: Instant
    ) {
        if gap <= PathTimings.trafficGap { lastTraffic = now }
        guard tunnels > 0, let former else { return }
        let interval = keepAlive.interval
        keepAlive.arrived(after: gap, at: now)
        if liveness.peerChallenges != former.peerChallenges { keepAlive.challenged(at: now) }
        if keepAlive.interval != interval { sayKeepAlive() }
    }

    /// A challenge was answered on a path.
    mutating func answered(on local: NetworkAddress, roundTrip: Interval?, at now: Instant) {
        guard let index = index(of: local) else { return }
        candidates[index].answered(roundTrip: roundTrip, at: now)
        guard activeIndex != index else {
            openChallenge = nil
            if case .suspect(let suspicion) = health, suspicion.cause == .deaf { health = .healthy }
            return
        }
        switch health {
        case .outage(let outage): move(to: index, outage.reason, at: now)
        case .healthy, .asking, .suspect, .settling: break
        }
    }

    // MARK: Silence

    /// When the application began to wait, if it waits for anything; else the present.
    func silenceStart(at now: Instant) -> Instant {
        if let since = health.silentSince { return since }
        guard let liveness, let received = liveness.lastReceived else { return liveness?.awaitingSince ?? now }
        if rhythm.isFlowing, now - received <= ReceiptRhythm.window { return received }
        return liveness.awaitingSince.map { max($0, received) } ?? now
    }

    /// What would make the policy ask, and when.
    private var question: (cause: PathHealth.Cause, at: Instant, silentSince: Instant)? {
        guard let liveness else { return nil }
        let flow = rhythm.questionableFrom(liveness)
        let usual = exchange.patience(liveness, at: liveness.lastReceived ?? .origin)
        let patience = usual ?? max(liveness.probeTimeout, PathTimings.answerSlack)
        let answer = liveness.awaitingSince.map { $0 + patience }
        if let flow, flow <= answer ?? .never, let received = rhythm.lastReceived { return (.flow, flow, received) }
        guard let answer, let awaiting = liveness.awaitingSince else { return nil }
        return (usual == nil ? .unanswered : .exchange, answer, max(awaiting, liveness.lastReceived ?? awaiting))
    }

    /// Takes the health of the active path as far as the time says.
    mutating func judge(at now: Instant) {
        judgeOpenChallenge(at: now)
        switch health {
        case .healthy:
            guard case .on(let local) = course, let question, now >= question.at else { return }
            ask(question.cause, local, silentSince: question.silentSince, at: now)
        case .asking(let question):
            guard now >= question.answerDue else { return }
            suspect(question.cause, silentSince: question.silentSince, at: now)
        case .suspect(let suspicion): race(suspicion, at: now)
        case .settling(let settling):
            guard now >= settling.answerDue else { return }
            suspect(.unsettled, silentSince: settling.silentSince, at: now)
        case .outage(let outage): endure(outage, at: now)
        }
    }

    private mutating func ask(
        _ cause: PathHealth.Cause, _ local: NetworkAddress, silentSince: Instant, at now: Instant
    ) {
        guard let liveness else { return }
        // A PING tells a gateway that sees another address of a NAT where to send; a challenge is answered at once, where an
        // acknowledgement may be held back.
        actions.append(.ping)
        actions.append(.probe(local))
        if openChallenge == nil {
            openChallenge = .init(nextStep: now + challengePatience(liveness), silentSince: silentSince)
        }
        let patience: Interval
        switch cause {
        case .flow, .exchange:
            patience = liveness.smoothedRTT + max(liveness.rttVariation * 2, PathTimings.answerSlack)
        case .unanswered, .deaf, .unsettled, .wake:
            patience = max(liveness.probeTimeout, PathTimings.answerSlack)
        }
        health = .asking(.init(cause: cause, answerDue: now + patience, silentSince: silentSince))
    }

    private func challengePatience(_ liveness: PathLiveness) -> Interval {
        max(liveness.probeTimeout, PathTimings.raceSilence / 2)
    }

    /// Data that arrives does not say that anything leaves: a path that leaves challenges unanswered is deaf.
    private mutating func judgeOpenChallenge(at now: Instant) {
        guard var challenge = openChallenge, now >= challenge.nextStep, case .on(let local) = course, let liveness
        else {
            return
        }
        switch health {
        case .healthy, .asking:
            guard challenge.count >= PathTimings.challengesOfDeafness else {
                challenge.count += 1
                challenge.nextStep = now + challengePatience(liveness)
                openChallenge = challenge
                actions.append(.probe(local))
                return
            }
            openChallenge = nil
            suspect(.deaf, silentSince: challenge.silentSince, at: now)
        case .suspect, .settling, .outage: openChallenge = nil
        }
    }

    mutating func suspect(_ cause: PathHealth.Cause, silentSince: Instant, at now: Instant) {
        probeEverything(at: now)
        let suspicion = suspicion(cause, silentSince: silentSince, at: now)
        health = .suspect(suspicion)
        if cause == .flow || cause == .exchange,
            let index = bestStandby(besides: activeIndex.map { candidates[$0] }, doubting: .link),
            candidates[index].isValidated, candidates[index].rank.cost == .unmetered
        {
            // A flow that stops and a path that does not answer: dead, or as good as dead.
            move(to: index, .silence, at: now)
        } else {
            race(suspicion, at: now)
        }
    }

    private func suspicion(
        _ cause: PathHealth.Cause, silentSince: Instant, at now: Instant
    ) -> PathHealth.Suspicion {
        switch cause {
        case .unsettled, .deaf:
            // It has had its time.
            return .init(
                cause: cause, since: now, silentSince: silentSince, raceFrom: now,
                decideAt: now + PathTimings.unconditionalSilence)
        case .flow, .exchange, .unanswered, .wake:
            let timeout = liveness?.probeTimeout ?? PathTimings.settlingTime
            return .init(
                cause: cause, since: now, silentSince: silentSince,
                raceFrom: silentSince + max(timeout * 3 / 2, PathTimings.raceSilence),
                decideAt: max(now + timeout, silentSince + max(timeout * 2, PathTimings.unconditionalSilence)))
        }
    }

    /// A standby that has answered since takes over; or one that answered before, when it is time to decide.
    private mutating func race(_ suspicion: PathHealth.Suspicion, at now: Instant) {
        let standbys = standbys(besides: activeIndex.map { candidates[$0] }, doubting: .link)
        if now >= suspicion.raceFrom,
            let winner = standbys.first(where: { candidates[$0].lastAnswer.map { $0 > suspicion.since } ?? false })
        {
            return move(to: winner, suspicion.cause.reason, at: now)
        }
        guard now >= suspicion.decideAt else { return }
        if let known = standbys.first(where: { candidates[$0].isValidated && !candidates[$0].isOverdue(at: now) }) {
            return move(to: known, suspicion.cause.reason, at: now)
        }
        endure(outage(suspicion.cause.reason, silentSince: suspicion.silentSince, at: now), at: now)
    }

    /// After sleep nothing is known of any path.
    mutating func suspectEverything(at now: Instant) {
        rhythm.flowEnded()
        liveness?.awaitingSince = nil
        actions.append(.raceConnection(.wake))
        guard case .on = course else { return }
        suspect(.wake, silentSince: now, at: now)
        actions.append(.ping)
    }

    // MARK: Outage

    func outage(_ reason: Handover.Reason, silentSince: Instant, at now: Instant) -> PathHealth.Outage {
        PathHealth.Outage(
            reason: reason, since: now, silentSince: silentSince, nextProbe: now, nextRace: now + PathTimings.raceAfter,
            raceWait: PathTimings.raceAfter)
    }

    /// Asks every path again and again: the first answer wins.
    private mutating func endure(_ outage: PathHealth.Outage, at now: Instant) {
        health = .outage(outage)
        // Nobody waits: the battery is spared until somebody does.
        guard tunnels > 0 else { return }
        var outage = outage
        if now >= outage.nextProbe {
            probeEverything(at: now)
            let age = now - outage.since
            let step = PathTimings.outageProbing.first { age < $0.until }?.every
            outage.nextProbe = now + (step ?? PathTimings.longestRaceWait)
        }
        if now >= outage.nextRace {
            actions.append(.raceConnection(outage.reason))
            outage.raceWait = min(outage.raceWait * 2, PathTimings.longestRaceWait)
            outage.nextRace = now + outage.raceWait
        }
        health = .outage(outage)
    }

    private mutating func probeEverything(at now: Instant) {
        for index in candidates.indices { probe(index, at: now) }
    }

    mutating func probe(_ index: Int, at now: Instant) {
        guard let local = candidates[index].local else { return }
        candidates[index].lastProbe = now
        actions.append(.probe(local))
    }

    // MARK: Deadline

    var healthDeadline: Instant? {
        switch health {
        case .healthy:
            if case .on = course { (question?.at).sooner(openChallenge?.nextStep) } else { nil }
        case .asking(let question): min(question.answerDue, openChallenge?.nextStep ?? .never)
        case .suspect(let suspicion):
            // Before the race an answer changes nothing yet.
            hasAnswer(since: suspicion.since) ? min(suspicion.raceFrom, suspicion.decideAt) : suspicion.decideAt
        case .settling(let settling): settling.answerDue
        case .outage(let outage): tunnels > 0 ? min(outage.nextProbe, outage.nextRace) : nil
        }
    }

    private func hasAnswer(since instant: Instant) -> Bool {
        candidates.indices.contains { index in
            index != activeIndex && candidates[index].lastAnswer.map { $0 > instant } ?? false
        }
    }
}

extension Instant {
    /// Later than everything.
    static var never: Instant { Instant(nanoseconds: .max) }
}
