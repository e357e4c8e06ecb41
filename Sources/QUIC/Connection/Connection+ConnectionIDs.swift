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
        try peerConnectionIDs.insert(frame)
        // A path whose connection ID was retired without a spare one, or that waited for its first, can go on.
        for path in paths.paths where peerConnectionIDs.id(for: path.id) == nil && !path.validator.hasFailed {
            _ = peerConnectionIDs.assign(to: path.id)
        }
    }

    func retireConnectionIDReceived(
        _ sequence: UInt64, destination: ConnectionID
    ) throws(TransportError) {
        guard let id = try localConnectionIDs.retire(sequence, arrivedFor: destination) else { return }
        identifiers.retire(id, of: handle)
        replenishConnectionIDs()
    }

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
