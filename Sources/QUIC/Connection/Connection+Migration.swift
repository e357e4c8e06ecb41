import Primitives

/// Connection migration (RFC 9000 §9) as the end whose peer moves sees it.
extension Connection {
    /// Network paths that a connection knows at once. Packets from spoofed addresses make the one that has been silent
    /// for longest be forgotten, never the active or the last validated one.
    static let maximumPaths = 8

    /// A packet that passed authentication came from an address that is no path yet.
    ///
    /// - Returns: the new path; nil when nothing can be sent there.
    func adoptPath(_ arrival: PacketArrival, at now: Instant) -> NetworkPath? {
        // RFC 9000 §9: only clients migrate; a client knows its own paths beforehand.
        guard role == .server, progress == .confirmed else { return nil }
        let path = makePath(local: arrival.local, remote: arrival.remote)
        let rebound = ([activePath] + paths.paths).first {
            $0.destinationOfPeer == arrival.destination && $0.local == arrival.local
        }
        if let rebound {
            // RFC 9000 §9.5: without a new connection ID it is a rebinding, and the answer needs no new one either.
            peerConnectionIDs.share(rebound.id, with: path.id)
        } else if !peerConnectionIDs.assign(to: path.id) {
            // RFC 9000 §9.5: a new connection ID asks for a new one, and the peer has not provided any.
            return nil
        }
        if paths.paths.count >= Self.maximumPaths, let oldest = oldestStandby() { forget(oldest, at: now) }
        // RFC 9000 §9.3: an address that was validated stays so when only our own address differs.
        let isKnown = paths.paths.contains { $0.remote == path.remote && $0.amplification == .lifted }
        path.amplification = isKnown ? .lifted : .unvalidated
        path.amplification.received(arrival.datagramSize)
        path.destinationOfPeer = arrival.destination
        paths.append(path)
        if let rebound { take(path, for: rebound, at: now) }
        // RFC 9000 §8.2: validated before it is needed, so that a client that moves here meets no limit.
        beginValidation(of: path, at: now)
        releasePaths(besides: path, at: now)
        return path
    }

    /// RFC 9000 §9.3: the highest-numbered non-probing packet says where the peer is, or where it believes this end to be.
    func nonProbingPacketReceived(_ packetNumber: UInt64, on path: NetworkPath?, at now: Instant) {
        guard highestNonProbingPacket.map({ packetNumber > $0 }) ?? true else { return }
        highestNonProbingPacket = packetNumber
        // A path can be forgotten by a frame of the packet that came in on it.
        guard progress == .confirmed, let path, path !== activePath, paths[path.id] === path else { return }
        switch role {
        case .client: doubtActivePath(at: now)
        case .server: follow(path, at: now)
        }
    }

    /// A server that owes an answer on the active path and sends elsewhere could not reach this end there, most likely, and
    /// has gone back (RFC 9000 §9.3.2). The proof of the active path is not worth much then, however it came about: without
    /// a new one the client would draw the server back there with each answer, for ever.
    private func doubtActivePath(at now: Instant) {
        guard let since = activePath.awaitingSince, now - since > probeTimeout else { return }
        beginValidation(of: activePath, at: now)
    }

    private func follow(_ path: NetworkPath, at now: Instant) {
        // RFC 9000 §9.6.2: at the preferred address the server sends once it has validated the path.
        if path.remote == activePath.remote, !path.validator.isValidated {
            pathToFollow = path
            beginValidation(of: path, at: now)
        } else {
            peerMoved(to: path, at: now)
        }
    }

    private func peerMoved(to path: NetworkPath, at now: Instant) {
        let previous = activePath
        pathToFollow = nil
        if previous.validator.isValidated { lastValidatedPath = previous }
        // A path that was probed before is another one, even behind the same address of a NAT.
        if path.lastSent == nil { continueBooks(on: path) }
        leave(previous, for: path, at: now)
        activePath = path
        if path.validator.isValidated { giveUpFormerAddresses(of: path, at: now) }
        // RFC 9000 §9.3: sends to the new address and validates it.
        if !path.validator.isValidated { beginValidation(of: path, at: now) }
        if path.remote != previous.remote {
            statistics.peerMoves += 1
            // RFC 9000 §9.3.3: challenges the old path too, against an attacker that forwards packets.
            if previous.validator.isValidated { beginValidation(of: previous, at: now) }
            events.append(.path(.peerMoved(from: previous.remote, to: PathDescription(path))))
        }
        afterSwitch(to: path, at: now)
        events.append(.path(.activated(PathDescription(path))))
    }

    /// A peer that does not know of its new address is behind a NAT that gave it one, and most likely in the same network.
    /// RFC 9000 §9.4: books begin anew nevertheless where the address is another one; what the network carried is restored
    /// with caution once the new address has answered, in a round-trip time that fits.
    private func take(_ path: NetworkPath, for rebound: NetworkPath, at now: Instant) {
        continueBooks(on: path)
        if path.lineage == path.id { path.books.remembered = rebound.books.entry(at: now) }
    }

    /// RFC 9000 §9.4: a change of port alone is a rebinding; the network is the same.
    private func continueBooks(on path: NetworkPath) {
        guard path.remote.ip == activePath.remote.ip, path.local == activePath.local, !path.validator.isValidated else {
            return
        }
        path.adoptBooks(of: activePath)
    }

    /// A client whose NAT has rebound is to be found at one address only: what was sent to another has not arrived since.
    private func giveUpFormerAddresses(of path: NetworkPath, at now: Instant) {
        for former in paths.paths where peerConnectionIDs.areShared(by: path.id, former.id) {
            sendAgainEverything(sentOn: former, at: now)
        }
    }

    /// Packets whose content goes out again at once when a path is left that may still deliver them: what a peer waits for
    /// that lost the path, and half of a first window, so that one which did not gets new data, too.
    static let copiesAtSwitch = 5
    /// Streams of which what is oldest in flight goes out again then, so that a few messages do not wait until what is in
    /// flight of a transfer beside them is settled.
    static let headsAtSwitch = 64
    /// Bytes of each of them: about a packet.
    static let headBytesAtSwitch = 1_000

    /// What is in flight on a path that has stopped answering goes out again on the next one, at once. Of a path that may
    /// still work what is oldest does, of all and of each stream; the rest is acknowledged or found lost within the old
    /// path's probe timeout. On a path of the same lineage, where only an address of ours or a port changed,
    /// acknowledgements tell as before.
    func leave(_ path: NetworkPath, for next: NetworkPath, at now: Instant) {
        // The peer may come back to the network by another path before this one is forgotten.
        networks.remember(path, at: now)
        path.isRemembered = true
        if lossTimer.probeCount > 0 {
            sendAgainEverything(sentOn: path, at: now)
        } else {
            if next.lineage != path.lineage { path.books.left() }
            sendAgainOldest(Self.copiesAtSwitch, in: application)
            sendAgainHeadsOfStreams()
            sendAgainWindows()
        }
    }

    /// What every change of the active path needs: timers that fit it, probes without back-off, and a window that fits a
    /// network that may have changed meanwhile.
    func afterSwitch(to path: NetworkPath, at now: Instant) {
        path.isRemembered = false
        path.books.returned(at: now)
        lossTimer.restartBackoff()
        application.received.tellAgain()
        application.received.policy.pathChanged()
        application.received.policy.measured(roundTrip: path.rtt.smoothed)
        ackFrequency.pathChanged()
        // What the peer was asked fits the path that was left; whether this one works shows by the first acknowledgement.
        wantsImmediateAck = true
        pacingDeadline = nil
        updateLossDeadline()
    }

    func beginValidation(of path: NetworkPath, at now: Instant) {
        path.validator.begin(
            at: now, probeTimeout: path.rtt.probeTimeout(maxAckDelay: peerMaximumAckDelay),
            currentProbeTimeout: probeTimeout,
            initialProbeTimeout: RTTEstimator().probeTimeout(maxAckDelay: peerMaximumAckDelay))
    }

    func makePath(local: NetworkAddress, remote: NetworkAddress) -> NetworkPath {
        defer { nextPathID += 1 }
        let path = NetworkPath(
            id: NetworkPathID(rawValue: nextPathID), local: local, remote: remote,
            algorithm: configuration.congestionControl, ceiling: datagramCeiling)
        path.books.remembered = networks.recall(from: local.ip, to: remote.ip)
        return path
    }

    /// The path that can be spared: silent for longest, neither in use nor the one to return to.
    private func oldestStandby(besides kept: NetworkPath? = nil) -> NetworkPath? {
        paths.paths.filter { $0 !== activePath && $0 !== lastValidatedPath && $0 !== kept }
            .min { ($0.lastReceived ?? .origin) < ($1.lastReceived ?? .origin) }
    }

    /// Gives the connection IDs back that the client's next move needs (netty-quic#698): those of paths that it has left,
    /// as the retirement of its own ID there tells, and of the one silent for longest when otherwise none were spare.
    func releasePaths(besides kept: NetworkPath? = nil, at now: Instant) {
        guard role == .server, !peerConnectionIDs.areEmpty else { return }
        for path in paths.paths where path !== activePath && path !== lastValidatedPath && path !== kept {
            let isLeft = !localConnectionIDs.active.contains { $0.id == path.destinationOfPeer }
            if isLeft { forget(path, at: now) }
        }
        guard peerConnectionIDs.spareCount == 0, let oldest = oldestStandby(besides: kept) else { return }
        forget(oldest, at: now)
    }

    /// Drops a path and what is in flight on it; its data goes out again on the active one.
    func forget(_ path: NetworkPath, at now: Instant) {
        sendAgainEverything(sentOn: path, at: now)
        // One that was left is remembered as it was then.
        if !path.isRemembered { networks.remember(path, at: now) }
        releasePeerConnectionID(of: path, at: now)
        paths.remove(path.id)
        if lastValidatedPath === path { lastValidatedPath = nil }
        if pathToFollow === path { pathToFollow = nil }
        if preferredPath === path { preferredPath = nil }
        events.append(.path(.removed(PathDescription(path))))
    }

    // MARK: Path validation

    func pathChallengeReceived(_ data: UInt64, on path: NetworkPath?) {
        // RFC 9000 §8.2.2: the answer goes out on the path the challenge came in on. Beyond a bound the oldest waiting
        // answer is dropped (CVE-2023-49295).
        path?.challenges.received(data)
    }

    func pathResponseReceived(_ data: UInt64, at now: Instant) {
        for path in paths.paths {
            let wasValidated = path.validator.isValidated
            switch path.validator.responseReceived(data, at: now) {
            case .ignored: continue
            case .reachable(let roundTrip):
                answered(path, roundTrip: roundTrip, at: now)
                path.amplification.addressValidated()
            case .validated(let roundTrip):
                answered(path, roundTrip: roundTrip, at: now)
                if !wasValidated { events.append(.path(.validated(PathDescription(path)))) }
                pathValidated(path, at: now)
            }
            return
        }
    }

    private func answered(_ path: NetworkPath, roundTrip: Interval, at now: Instant) {
        path.probed(roundTrip: roundTrip, at: now)
        events.append(.path(.answered(PathDescription(path), roundTrip: roundTrip)))
    }

    private func pathValidated(_ path: NetworkPath, at now: Instant) {
        path.amplification.addressValidated()
        if path === activePath {
            lastValidatedPath = nil
            giveUpFormerAddresses(of: path, at: now)
        }
        releasePaths(besides: path, at: now)
        if path === pathToFollow { peerMoved(to: path, at: now) }
        if path === preferredPath, role == .client {
            // RFC 9000 §9.6.1: once it is validated everything goes to the preferred address, for good.
            preferredPath = nil
            preferredRemote = path.remote
            activate(path, at: now)
        }
    }

    /// RFC 9000 §8.2.4: a path that failed is not a connection that failed.
    func validationFailed(of path: NetworkPath, at now: Instant) {
        events.append(.path(.failed(PathDescription(path))))
        guard path === activePath else {
            // While the new address is not validated either, the last one that was is the way back (RFC 9000 §9.3.2).
            let isWayBack = path === lastValidatedPath && !activePath.validator.isValidated
            if role == .server, !isWayBack { forget(path, at: now) }
            return
        }
        // RFC 9000 §9.3.2: back to the last validated address, or close without a word.
        guard let fallback = fallback(from: path) else {
            // An address that was validated once is the last validated one itself: an outage, and the client may return.
            if role == .server, !path.validator.wasEverValidated { abandon(.noViablePath) }
            return
        }
        activePath = fallback
        lastValidatedPath = nil
        afterSwitch(to: fallback, at: now)
        events.append(.path(.activated(PathDescription(fallback))))
        switch role {
        case .server: forget(path, at: now)
        case .client:
            // The server learns of the return by a non-probing packet, and what was lost on the way goes out again.
            pingRequested = true
            sendAgainEverything(sentOn: path, at: now)
        }
    }

    private func fallback(from path: NetworkPath) -> NetworkPath? {
        if let last = lastValidatedPath, last !== path, canAddress(last) { return last }
        return paths.paths.first { $0 !== path && $0.validator.isValidated && canAddress($0) }
    }

    private func canAddress(_ path: NetworkPath) -> Bool { peerConnectionIDs.id(for: path.id) != nil }
}
