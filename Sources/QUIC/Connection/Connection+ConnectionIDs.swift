public import Primitives

extension Connection {
    /// Keeps the peer supplied with connection IDs, so that it can always migrate once more (netty-quic#698).
    func replenishConnectionIDs() {
        guard progress >= .complete, let limit = peerParameters?.activeConnectionIDLimit else { return }
        while localConnectionIDs.isShort(peerLimit: limit) {
            let (id, token) = identifiers.issue(for: handle, using: &generator)
            localConnectionIDs.issue(id, resetToken: token)
        }
    }

    func newConnectionIDReceived(_ frame: NewConnectionIDFrame, at now: Instant) throws(TransportError) {
        try peerConnectionIDs.insert(frame, preferring: activePath.id)
        // A path whose connection ID was retired without a spare one, or that waited for its first, can go on.
        for path in [activePath] + paths.paths where peerConnectionIDs.id(for: path.id) == nil {
            guard !path.validator.hasFailed, peerConnectionIDs.assign(to: path.id) else { continue }
            if path.validator.isValidating {
                path.validator.cancel()
                beginValidation(of: path, at: now)
            }
        }
    }

    func retireConnectionIDReceived(
        _ sequence: UInt64, destination: ConnectionID, at now: Instant
    ) throws(TransportError) {
        guard let id = try localConnectionIDs.retire(sequence, arrivedFor: destination) else { return }
        statistics.connectionIDsRetired += 1
        identifiers.retire(id, of: handle)
        replenishConnectionIDs()
        releasePaths(at: now)
    }

    /// Has the next packets protected with new keys (RFC 9001 §6), as soon as that is allowed: once the handshake is
    /// confirmed and the peer has acknowledged a packet under the current keys.
    public func requestKeyUpdate() { oneRTTKeys.requestUpdate() }

    /// Addresses the peer by another of its connection IDs from here on, so that what is sent now cannot be linked to
    /// what was sent before (RFC 9000 §5.1.2).
    ///
    /// - Returns: whether the peer had given a spare one.
    public func rotateConnectionID(at now: Instant) -> Bool {
        do throws(TransportError) {
            return try peerConnectionIDs.rotate(activePath.id)
        } catch {
            fail(error, at: now)
            return false
        }
    }

    /// The path is used no more: its connection ID is retired (RFC 9000 §9.5).
    func releasePeerConnectionID(of path: NetworkPath, at now: Instant) {
        do throws(TransportError) {
            try peerConnectionIDs.release(path.id)
        } catch {
            fail(error, at: now)
        }
    }
}
