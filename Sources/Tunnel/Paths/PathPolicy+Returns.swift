import Primitives
import QUIC

/// Switches that nothing forces: back to a better path that has proven itself, and away from one that got bad.
extension PathPolicy {
    // MARK: Standbys

    /// Challenges the standbys now and then while traffic flows, so that one that is known to work still does.
    mutating func revalidate(at now: Instant) {
        guard candidates.count > 1, isBusy(at: now), health == .healthy else { return }
        let active = activeIndex
        for index in candidates.indices where index != active {
            guard let due = revalidationDue(candidates[index]), now >= due else { continue }
            probe(index, at: now)
        }
    }

    private func revalidationDue(_ candidate: PathCandidate) -> Instant? {
        let asked = [candidate.lastProbe, candidate.lastAnswer].compactMap { $0 }
        guard candidate.local != nil, let last = asked.max() else { return nil }
        switch candidate.rank.cost {
        case .unmetered: return last + PathTimings.revalidation
        case .metered: return last + PathTimings.meteredRevalidation
        }
    }

    /// Whether traffic flowed just now: an idle connection challenges nobody.
    private func isBusy(at now: Instant) -> Bool {
        tunnels > 0 && lastTraffic.map { now - $0 <= PathTimings.trafficGap } ?? false
    }

    var revalidationDeadline: Instant? {
        guard candidates.count > 1, tunnels > 0, health == .healthy, let lastTraffic else { return nil }
        let active = activeIndex
        var due: Instant?
        for index in candidates.indices where index != active { due = due.sooner(revalidationDue(candidates[index])) }
        // Later than that the connection is idle.
        return due.flatMap { $0 <= lastTraffic + PathTimings.trafficGap ? $0 : nil }
    }

    // MARK: Return

    /// The path to go back to, once it has proven itself.
    private var better: Int? {
        guard candidates.count > 1, tunnels > 0, health == .healthy, pinned == nil, let active = activeIndex else {
            return nil
        }
        var best = active
        for index in candidates.indices where candidates[index].isValidated {
            if candidates[index].rank < candidates[best].rank { best = index }
        }
        return best == active ? nil : best
    }

    mutating func considerReturn(at now: Instant) {
        guard let index = better else { return }
        if let choiceEnds, now < choiceEnds, returns.isCalm, !isFarWorse(index),
            now >= returns.nextAllowed(configuration.switchesPerMinute, at: now)
        {
            return move(to: index, .returned, at: now)
        }
        let wait = returns.proof(configuration.returnAfter, at: now)
        guard var proof = candidates[index].proof else {
            candidates[index].proof = .init(since: now, nextProbe: now)
            return considerReturn(at: now)
        }
        if let probed = candidates[index].lastProbe, probed >= proof.since, now >= answerDue(index, probed),
            candidates[index].lastAnswer.map({ $0 < probed }) ?? true
        {
            // It did not answer in time: everything begins again.
            proof.since = now
        }
        if isFarWorse(index) { proof.since = now }
        if now >= proof.since + wait, isAnswered(index, since: proof.since),
            now >= returns.nextAllowed(configuration.switchesPerMinute, at: now)
        {
            return move(to: index, .returned, at: now)
        }
        if now >= proof.nextProbe {
            probe(index, at: now)
            proof.nextProbe = now + proofGap(of: wait)
        }
        candidates[index].proof = proof
    }

    /// Whether it answers so slowly that it would have to be left again: a better rank makes a bad link no better.
    private func isFarWorse(_ index: Int) -> Bool {
        guard let roundTrip = candidates[index].roundTrip, let liveness else { return false }
        return roundTrip > max(liveness.smoothedRTT * PathTimings.clearlyBetter, PathTimings.degradedRTT)
    }

    private func proofGap(of wait: Interval) -> Interval {
        min(max(wait / PathTimings.proofs, PathTimings.shortestProofGap), PathTimings.longestProofGap)
    }

    /// Whether the last challenge of the proof was answered.
    private func isAnswered(_ index: Int, since: Instant) -> Bool {
        guard let probed = candidates[index].lastProbe, let answered = candidates[index].lastAnswer else {
            return false
        }
        return probed >= since && answered >= probed
    }

    private func answerDue(_ index: Int, _ probed: Instant) -> Instant {
        probed + max((candidates[index].roundTrip ?? .zero) * 3, PathTimings.proofPatience)
    }

    var returnDeadline: Instant? {
        guard let index = better, let proof = candidates[index].proof else { return nil }
        guard isAnswered(index, since: proof.since) else {
            let due = candidates[index].lastProbe.map { answerDue(index, $0) }
            return proof.nextProbe.after(lastProceeded).sooner(due?.after(lastProceeded))
        }
        let proven = proof.since + returns.proof(configuration.returnAfter, at: lastProceeded)
        let allowed = returns.nextAllowed(configuration.switchesPerMinute, at: lastProceeded)
        return max(proven, allowed).after(lastProceeded).sooner(proof.nextProbe.after(lastProceeded))
    }

    // MARK: Degradation

    /// Leaves a path that still works, but far worse than before and than another one.
    mutating func considerLeaving(at now: Instant) {
        guard let from = degradedFrom(at: now), now >= from, let index = clearlyBetter(at: now) else { return }
        guard now >= returns.nextAllowed(configuration.switchesPerMinute, at: now) else { return }
        move(to: index, .degraded, at: now)
    }

    private func degradedFrom(at now: Instant) -> Instant? {
        guard tunnels > 0, pinned == nil, health == .healthy else { return nil }
        return steadiness.degradedFrom(at: now)
    }

    private func clearlyBetter(at now: Instant) -> Int? {
        guard let active = activeIndex, let liveness else { return nil }
        return standbys(besides: candidates[active], doubting: .link).first { index in
            let candidate = candidates[index]
            guard candidate.isValidated, !candidate.isOverdue(at: now), let roundTrip = candidate.roundTrip else {
                return false
            }
            // What is lost takes a round trip more to arrive; next to that a longer path is the shorter one.
            return steadiness.isLossy
                ? roundTrip <= liveness.smoothedRTT * PathTimings.clearlyBetter
                : roundTrip * PathTimings.clearlyBetter <= liveness.smoothedRTT
        }
    }

    /// A time to look again; what arrives meanwhile is looked at anyway.
    var degradationDeadline: Instant? {
        guard let from = degradedFrom(at: lastProceeded), clearlyBetter(at: lastProceeded) != nil else { return nil }
        return max(from, returns.nextAllowed(configuration.switchesPerMinute, at: lastProceeded))
    }
}
