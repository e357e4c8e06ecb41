/// The connection IDs that we gave the peer to address us with (RFC 9000 §5.1).
struct LocalConnectionIDs {
    /// Connection IDs kept active at the peer when it allows as many: the current one, one for a rebinding and the
    /// rest for migrations that follow each other faster than a round trip.
    static let preferredPoolSize = 6

    struct Entry: Equatable {
        var sequence: UInt64
        var id: ConnectionID
        var resetToken: StatelessResetToken
    }

    private(set) var active: [Entry] = []
    private var sequencesToSend: [UInt64] = []
    private(set) var nextSequence: UInt64 = 0
    /// Sequence numbers below this one were told the peer.
    private var announced: UInt64 = 0

    /// Whether the pool should be filled up, given the peer's active_connection_id_limit.
    func isShort(peerLimit: UInt64) -> Bool {
        UInt64(active.count) < min(peerLimit, UInt64(Self.preferredPoolSize))
    }

    /// Whether a NEW_CONNECTION_ID frame waits to be sent.
    var hasToSend: Bool { !sequencesToSend.isEmpty }

    /// Adds the connection ID of the handshake or of the preferred address, of which the peer learns otherwise.
    mutating func addKnownToPeer(_ id: ConnectionID, resetToken: StatelessResetToken) {
        append(id, resetToken: resetToken)
        announced = nextSequence
    }

    private mutating func append(_ id: ConnectionID, resetToken: StatelessResetToken) {
        active.append(Entry(sequence: nextSequence, id: id, resetToken: resetToken))
        nextSequence += 1
    }

    /// Adds a connection ID that a NEW_CONNECTION_ID frame will tell the peer.
    mutating func issue(_ id: ConnectionID, resetToken: StatelessResetToken) {
        sequencesToSend.append(nextSequence)
        append(id, resetToken: resetToken)
    }

    /// Takes in a RETIRE_CONNECTION_ID frame that arrived in a packet for `destination` (RFC 9000 §19.16).
    ///
    /// - Returns: the connection ID that is no longer used; nil when it was retired before.
    mutating func retire(
        _ sequence: UInt64, arrivedFor destination: ConnectionID
    ) throws(TransportError) -> ConnectionID? {
        guard sequence < announced else {
            throw TransportError(
                .protocolViolation, frameType: FrameType.retireConnectionID.rawValue,
                "retires a connection ID never issued")
        }
        guard let index = active.firstIndex(where: { $0.sequence == sequence }) else { return nil }
        guard active[index].id != destination else {
            throw TransportError(
                .protocolViolation, frameType: FrameType.retireConnectionID.rawValue,
                "retires the connection ID of the packet it came in")
        }
        sequencesToSend.removeAll { $0 == sequence }
        return active.remove(at: index).id
    }

    /// The next NEW_CONNECTION_ID frame to send.
    mutating func nextToSend() -> Entry? {
        while !sequencesToSend.isEmpty {
            let sequence = sequencesToSend.removeFirst()
            guard let entry = active.first(where: { $0.sequence == sequence }) else { continue }
            announced = max(announced, sequence + 1)
            return entry
        }
        return nil
    }

    mutating func lost(_ sequence: UInt64) {
        guard active.contains(where: { $0.sequence == sequence }), !sequencesToSend.contains(sequence) else { return }
        sequencesToSend.append(sequence)
    }
}
