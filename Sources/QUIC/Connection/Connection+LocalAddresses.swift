public import Primitives

/// Connection migration as the end that moves, always the client, does it (RFC 9000 §9.2).
extension Connection {
    /// Why a local address cannot be used, or cannot be used yet.
    public enum PathRefusal: Error, Hashable, Sendable {
        /// RFC 9000 §9: only clients migrate.
        case notClient
        /// RFC 9000 §9: not before the handshake is confirmed.
        case handshakeNotConfirmed
        /// The server forbids it (disable_active_migration), or this end's configuration does.
        case migrationDisabled
        /// No path leaves from this local address.
        case unknownAddress
        /// The server has told no address of this family.
        case noServerAddress
        /// The server has given no connection ID for another path yet (RFC 9000 §9.5).
        case noConnectionID
        /// As many paths as a connection may know are in use.
        case tooManyPaths
        /// The connection is over.
        case connectionEnded
    }

    /// Makes a path from `local` to the peer known and starts to validate it; it does not become active.
    ///
    /// Data goes on over the active path. `.path(.validated)` or `.path(.failed)` tells the outcome. A path that is
    /// known already is validated again.
    public func addLocalAddress(_ local: NetworkAddress, at now: Instant) throws(PathRefusal) {
        try requireMigration()
        let path: NetworkPath
        if let known = self.path(from: local) {
            path = known
        } else {
            guard paths.paths.count < Self.maximumPaths else { throw .tooManyPaths }
            guard let remote = serverAddress(of: local.ip.family) else { throw .noServerAddress }
            path = makePath(local: local, remote: remote)
            path.amplification = .lifted
            // Another socket at the same address of ours: the same path of the network.
            if local.ip == activePath.local.ip, remote == activePath.remote { path.adoptBooks(of: activePath) }
            paths.append(path)
            events.append(.path(.added(PathDescription(path))))
        }
        // Without a spare connection ID the path waits for a NEW_CONNECTION_ID frame.
        _ = peerConnectionIDs.assign(to: path.id)
        if path !== activePath || !path.validator.isValidated { beginValidation(of: path, at: now) }
    }

    /// Tells how large datagrams the interface with the address `local` carries, in bytes of UDP payload: path MTU
    /// discovery on paths from there goes no further. Other paths have their own limits.
    public func limitDatagrams(from local: NetworkAddress, to bytes: Int) {
        for path in paths.paths where path.local == local {
            path.interfaceLimit = max(bytes, MTUDiscovery.base)
            limitDatagrams(on: path)
        }
    }

    /// Moves the connection to the path from `local`, validated or not.
    ///
    /// What is in flight on the path left behind is sent again at once: whether it arrives nobody knows. A copy that does is
    /// acknowledged, and what has not left again by then stays.
    public func activate(_ local: NetworkAddress, at now: Instant) throws(PathRefusal) {
        try requireMigration()
        guard let path = path(from: local) else { throw .unknownAddress }
        guard peerConnectionIDs.assign(to: path.id) else { throw .noConnectionID }
        activate(path, at: now)
    }

    /// Forgets the paths from `local`, which is gone; what was in flight on them is sent again at once.
    ///
    /// The active path moves to a validated one if there is one, else to any other; without another path the
    /// connection keeps this one until an address is added or the idle timeout ends it.
    public func removeLocalAddress(_ local: NetworkAddress, at now: Instant) throws(PathRefusal) {
        guard role == .client else { throw .notClient }
        guard state.isOpen else { throw .connectionEnded }
        let leaving = paths.paths.filter { $0.local == local }
        guard !leaving.isEmpty else { throw .unknownAddress }
        if activePath.local == local {
            let others = paths.paths.filter { $0.local != local && peerConnectionIDs.assign(to: $0.id) }
            guard let next = others.first(where: \.validator.isValidated) ?? others.first else { return }
            activate(next, at: now)
        }
        for path in leaving { forget(path, at: now) }
    }

    /// The address that data leaves from.
    public var activeLocalAddress: NetworkAddress { activePath.local }

    /// The paths that are known, the active one first.
    public var networkPaths: [PathStatus] {
        ([activePath] + paths.paths.filter { $0 !== activePath }).map { path in
            PathStatus(path, use: path === activePath ? .active : .standby)
        }
    }

    func activate(_ path: NetworkPath, at now: Instant) {
        guard path !== activePath else { return }
        if activePath.validator.isValidated { lastValidatedPath = activePath }
        leave(activePath, for: path, at: now)
        activePath = path
        if isProofOld(path, at: now) { beginValidation(of: path, at: now) }
        // The server learns of the move by a non-probing packet (RFC 9000 §9.2), also when there is no data to send.
        pingRequested = true
        afterSwitch(to: path, at: now)
        events.append(.path(.activated(PathDescription(path))))
    }

    /// How long a path counts as it was proven: a NAT that keeps a mapping for a shorter time is not known.
    static let proofLifetime = Interval.seconds(15)

    /// Whether a move to the path begins with a datagram that proves it again. To a server that sees another address of
    /// a NAT there, its size is also the credit for an answer (RFC 9000 §8.1).
    private func isProofOld(_ path: NetworkPath, at now: Instant) -> Bool {
        guard path.validator.isValidated else { return true }
        return path.silence(at: now).map { $0 > Self.proofLifetime } ?? true
    }

    /// The path from a local address; toward the address of the server that is in use, if there are several.
    func path(from local: NetworkAddress) -> NetworkPath? {
        paths.path(from: local, to: activePath.remote) ?? paths.paths.first { $0.local == local }
    }

    /// Where to reach the server over a family of addresses: where it is reached now, where the handshake went, or at its
    /// preferred address (RFC 9000 §9.6: clients use its address of one family or the other).
    public func serverAddress(of family: IPAddress.Family) -> NetworkAddress? {
        if activePath.remote.ip.family == family { return activePath.remote }
        if handshakeRemote.ip.family == family { return handshakeRemote }
        guard let preferred = peerParameters?.preferredAddress,
            let remote = family == .ipv4 ? preferred.ipv4 : preferred.ipv6,
            remote.port != 0, configuration.preferredAddresses.contains(remote.ip)
        else { return nil }
        return remote
    }

    func requireMigration() throws(PathRefusal) {
        guard role == .client else { throw .notClient }
        guard state.isOpen else { throw .connectionEnded }
        guard progress == .confirmed else { throw .handshakeNotConfirmed }
        // RFC 9000 §18.2: disable_active_migration does not forbid the move to a preferred address, nor after it.
        let forbidden = peerParameters?.disablesActiveMigration == true && activePath.remote != preferredRemote
        guard configuration.allowsActiveMigration, !forbidden else { throw .migrationDisabled }
    }

    // MARK: The server's preferred address (RFC 9000 §9.6)

    /// Starts to validate the path to the preferred address; once it is validated the connection moves there.
    func probePreferredAddress(at now: Instant) {
        guard role == .client, let preferred = peerParameters?.preferredAddress,
            let remote = (activePath.remote.ip.family == .ipv4 ? preferred.ipv4 : preferred.ipv6),
            remote != activePath.remote, remote.port != 0, configuration.preferredAddresses.contains(remote.ip),
            paths.paths.count < Self.maximumPaths
        else { return }
        let path = makePath(local: activePath.local, remote: remote)
        guard peerConnectionIDs.assign(sequence: 1, to: path.id) else { return }
        path.amplification = .lifted
        path.interfaceLimit = activePath.interfaceLimit
        limitDatagrams(on: path)
        paths.append(path)
        preferredPath = path
        events.append(.path(.added(PathDescription(path))))
        beginValidation(of: path, at: now)
    }
}
