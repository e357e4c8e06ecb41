import Primitives

/// Links, addresses and sockets: what the system says of them is believed at once.
extension PathPolicy {
    /// Brings the candidates in line with the last snapshot.
    mutating func adoptLinks(at now: Instant) {
        recogniseActive()
        let wanted = wantedLinks()
        let isBound = activeIndex.map { candidates[$0].link != nil } ?? true
        for link in wanted {
            if let index = candidates.firstIndex(where: { $0.link?.isSame(as: link) ?? false }) {
                candidates[index].link = link
                candidates[index].rank = PathRank(link, configuration)
                // Something about the links changed: what was refused may be granted now.
                if case .refused = candidates[index].stage { candidates[index].stage = .refused(again: now) }
            } else {
                open(link, at: now)
            }
        }
        let gone = candidates.filter { candidate in
            candidate.link.map { link in !wanted.contains { $0.isSame(as: link) } } ?? false
        }
        var lost: PathCandidate?
        for candidate in gone {
            candidates.removeAll { $0 == candidate }
            guard let local = candidate.local else { continue }
            if course == .on(local) {
                lost = candidate
            } else {
                actions.append(.remove(local))
                actions.append(.closeSocket(local))
            }
        }
        if let lost { replace(lost, at: now) }
        // A socket that is bound to nothing moves with the system's routes; the gateway learns of it by a packet.
        if !isBound { actions.append(.ping) }
    }

    /// Finds the link of a socket that was bound before the links were known.
    private mutating func recogniseActive() {
        guard let index = activeIndex, candidates[index].link == nil, let local = candidates[index].local,
            let link = links.first(where: { $0.address == local.ip })
        else { return }
        candidates[index].link = link
        keepAlive.networkChanged(to: link.interface)
        candidates[index].rank = PathRank(link, configuration)
    }

    /// The links that should be paths, best first.
    private func wantedLinks() -> [LinkAddress] {
        func isActive(_ link: LinkAddress) -> Bool {
            activeIndex.map { candidates[$0].link?.isSame(as: link) ?? false } ?? false
        }
        let usable = links.filter { link in
            guard link.isUsable, !excluded.contains(link.address), canReach(from: link) else { return false }
            // Whatever its name: a connection that works is not torn from its path.
            return isActive(link) || added.contains(link.address)
                || !configuration.ignore.contains { $0.matches(link.interface) }
        }
        let ranked = usable.enumerated().sorted { a, b in
            if isActive(a.element) != isActive(b.element) { return isActive(a.element) }
            let ranks = (PathRank(a.element, configuration), PathRank(b.element, configuration))
            return ranks.0 == ranks.1 ? a.offset < b.offset : ranks.0 < ranks.1
        }
        return ranked.prefix(PathTimings.mostCandidates).map(\.element)
    }

    /// Whether a datagram from there can get to the gateway at all.
    func canReach(from link: LinkAddress) -> Bool {
        remotes.contains { remote in
            remote.ip.family == link.address.family && remote.ip.isLoopback == link.address.isLoopback
                && remote.ip.isLinkLocal == link.address.isLinkLocal
        }
    }

    private mutating func open(_ link: LinkAddress, at now: Instant) {
        candidates.append(PathCandidate(link: link, stage: .opening, rank: PathRank(link, configuration)))
        actions.append(.openSocket(link))
    }

    /// The address of the active path is gone.
    private mutating func replace(_ lost: PathCandidate, at now: Instant) {
        let interface = lost.link?.interface
        let successor = candidates.first { $0.link?.interface == interface && interface != nil }
        leave(lost, successor == nil ? .linkDown : .addressChanged, at: now)
    }

    /// Leaves the active path, which the system has taken away, for the best one that is left.
    mutating func leave(_ lost: PathCandidate, _ reason: Handover.Reason, at now: Instant) {
        guard let local = lost.local else { return }
        let silentSince = silenceStart(at: now)
        if pinned == local.ip { pinned = nil }
        course = .stranded(lost, reason)
        depart(local)
        // The new address of the same link is as good as the old one was; its socket is there within this turn.
        let isRenewed = candidates.contains {
            $0.stage == .opening && reason == .addressChanged && $0.link?.interface == lost.link?.interface
        }
        if !isRenewed, let next = bestStandby(besides: lost, doubting: .address) {
            move(to: next, from: lost, reason, silentSince: silentSince, at: now)
            actions.append(.closeSocket(local))
            return
        }
        actions.append(.closeSocket(local))
        var waiting = outage(reason, silentSince: silentSince, at: now)
        // A socket may be there within this turn.
        waiting.nextProbe = now + PathTimings.socketRetry
        health = .outage(waiting)
    }

    private mutating func depart(_ local: NetworkAddress) {
        if departed.count == PathTimings.mostDeparted { actions.append(.remove(departed.removeFirst())) }
        departed.append(local)
    }

    mutating func removeDeparted() {
        for local in departed { actions.append(.remove(local)) }
        departed = []
    }

    // MARK: Sockets

    mutating func socketIsOpen(_ link: LinkAddress, _ local: NetworkAddress, at now: Instant) {
        guard
            let index = candidates.firstIndex(where: {
                $0.stage == .opening && $0.link?.isSame(as: link) ?? false
            })
        else {
            // The link went away meanwhile.
            actions.append(.closeSocket(local))
            return
        }
        candidates[index].stage = .validating(local)
        candidates[index].lastProbe = now
        actions.append(.add(local))
        if case .on = course, pinned == link.address { return move(to: index, .manual, at: now) }
        switch (course, health) {
        case (.stranded(let lost, let reason), _):
            move(to: index, from: lost, reason, silentSince: silenceStart(at: now), at: now)
        case (.on, .outage(let outage)):
            // Nothing answers on the others: there is nothing to lose.
            move(to: index, outage.reason, at: now)
        case (.on, _), (.disconnected, _): break
        }
    }

    mutating func socketIsRefused(_ link: LinkAddress, at now: Instant) {
        guard
            let index = candidates.firstIndex(where: {
                $0.stage == .opening && $0.link?.isSame(as: link) ?? false
            })
        else { return }
        refuse(index, at: now)
        guard case .stranded(let lost, let reason) = course, let next = bestStandby(besides: lost, doubting: .address)
        else { return }
        move(to: next, from: lost, reason, silentSince: silenceStart(at: now), at: now)
    }

    private mutating func refuse(_ index: Int, at now: Instant) {
        let doublings = Int64(1) << Int64(min(candidates[index].refusals, 16))
        candidates[index].refusals += 1
        let wait = min(PathTimings.socketRetry * doublings, PathTimings.longestSocketRetry)
        candidates[index].stage = .refused(again: now + wait)
        candidates[index].proof = nil
    }

    /// A write error says that the path is of no use now, and nothing about the connection.
    mutating func writeFailed(from local: NetworkAddress, at now: Instant) {
        awaitedActivations.removeAll { $0 == local }
        guard let index = index(of: local), candidates[index].link != nil else { return }
        let lost = candidates[index]
        refuse(index, at: now)
        if course == .on(local) {
            leave(lost, .writeError, at: now)
        } else {
            actions.append(.remove(local))
            actions.append(.closeSocket(local))
        }
    }

    mutating func retrySockets(at now: Instant) {
        for index in candidates.indices {
            guard case .refused(let again) = candidates[index].stage, now >= again, let link = candidates[index].link
            else { continue }
            candidates[index].stage = .opening
            actions.append(.openSocket(link))
        }
    }

    var socketDeadline: Instant? {
        candidates.lazy.compactMap { candidate -> Instant? in
            if case .refused(let again) = candidate.stage { again } else { nil }
        }.min()
    }
}

extension LinkAddress {
    /// Whether it is the same address of the same interface, whatever else changed.
    func isSame(as other: LinkAddress) -> Bool {
        address == other.address && index == other.index && interface == other.interface
    }
}
