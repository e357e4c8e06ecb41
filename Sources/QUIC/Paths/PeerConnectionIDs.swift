import Primitives

/// The connection IDs that the peer gave us to address it with (RFC 9000 §5.1).
///
/// Every network path has one of its own (RFC 9000 §9.5), so that an observer cannot link them.
struct PeerConnectionIDs {
    /// RETIRE_CONNECTION_ID frames that may wait for their acknowledgement. A peer that keeps raising retire_prior_to
    /// faster than it acknowledges is closed with CONNECTION_ID_LIMIT_ERROR (CVE-2024-22189).
    static let maximumUnacknowledgedRetirements = 32
    /// Gaps in the sequence numbers that arrived; a peer counts by ones (RFC 9000 §5.1.1), so only lost packets make any.
    /// One that makes more is closed with PROTOCOL_VIOLATION.
    static let maximumSequenceGaps = 32

    struct Entry: Equatable {
        var sequence: UInt64
        var id: ConnectionID
        var resetToken: StatelessResetToken?
        /// The paths that use it. More than one only while the peer's NAT has rebound: the same connection ID then
        /// stands for the address before and the address after (RFC 9000 §9.5).
        var paths: [NetworkPathID]

        var isSpare: Bool { paths.isEmpty }
    }

    private(set) var entries: [Entry]
    private(set) var retirePriorTo: UInt64 = 0
    /// Sequence numbers whose RETIRE_CONNECTION_ID has to be sent, again or for the first time.
    private var retirementsToSend: [UInt64] = []
    private var unacknowledgedRetirements: Set<UInt64> = []
    /// Sequence numbers that arrived, so that a late copy of a frame does not bring a retired connection ID back.
    private var arrived = RangeSet()
    private let limit: Int

    /// - Parameters:
    ///   - id: the Source Connection ID of the peer's first packet, or the client's own random choice before that.
    ///   - limit: the active_connection_id_limit that we advertise.
    init(first id: ConnectionID, path: NetworkPathID, limit: Int) {
        entries = [Entry(sequence: 0, id: id, resetToken: nil, paths: [path])]
        self.limit = limit
        arrived.insert(0)
    }

    /// Whether the peer uses connection IDs of zero length, which every path shares.
    var areEmpty: Bool { entries.count == 1 && entries[0].id.count == 0 }

    /// Connection IDs that no path uses.
    var spareCount: Int { entries.count(where: \.isSpare) }

    /// Whether a RETIRE_CONNECTION_ID frame waits to be sent.
    var hasToSend: Bool { !retirementsToSend.isEmpty }

    /// The connection ID to put into packets on `path`.
    func id(for path: NetworkPathID) -> ConnectionID? {
        if areEmpty { return entries[0].id }
        return entries.first { $0.paths.contains(path) }?.id
    }

    /// Whether `token` ends a datagram that the peer sends on one of `paths` when it has lost its state.
    func hasResetToken(_ token: StatelessResetToken, onOneOf paths: [NetworkPathID]) -> Bool {
        var matches = 0
        // RFC 9000 §10.3.1: tokens of connection IDs that were not used yet, or were retired, do not count.
        for entry in entries where entry.paths.contains(where: paths.contains) {
            guard let known = entry.resetToken else { continue }
            // The time it takes says nothing about where they differ.
            matches += known.isEqualInConstantTime(to: token) ? 1 : 0
        }
        return matches > 0
    }

    /// The server's choice replaces the one that the client made up, after a Retry or its first packet (§7.2).
    mutating func replaceFirst(with id: ConnectionID) {
        guard !entries.isEmpty, entries[0].sequence == 0 else { return }
        entries[0].id = id
    }

    /// The stateless_reset_token transport parameter belongs to the connection ID of the handshake (§18.2).
    mutating func setResetTokenOfFirst(_ token: StatelessResetToken) {
        guard let index = entries.firstIndex(where: { $0.sequence == 0 }) else { return }
        entries[index].resetToken = token
    }

    /// Takes in a NEW_CONNECTION_ID frame or the connection ID of the preferred address (RFC 9000 §19.15).
    ///
    /// - Parameter path: comes first when there are fewer connection IDs than paths.
    mutating func insert(
        _ frame: NewConnectionIDFrame, preferring path: NetworkPathID
    ) throws(TransportError) {
        guard !areEmpty else {
            throw violation(.protocolViolation, "NEW_CONNECTION_ID from a peer that uses no connection IDs")
        }
        if let known = entries.first(where: { $0.sequence == frame.sequence || $0.id == frame.id }) {
            guard known.sequence == frame.sequence, known.id == frame.id, known.resetToken == frame.resetToken else {
                throw violation(.protocolViolation, "NEW_CONNECTION_ID contradicts an earlier one")
            }
        } else if frame.sequence < retirePriorTo {
            // RFC 9000 §19.15: asked to retire it before it arrived.
            if !arrived.contains(frame.sequence) { try retire(frame.sequence) }
        } else if !arrived.contains(frame.sequence) {
            entries.append(Entry(sequence: frame.sequence, id: frame.id, resetToken: frame.resetToken, paths: []))
        }
        arrived.insert(frame.sequence)
        guard arrived.rangeCount <= Self.maximumSequenceGaps else {
            throw violation(.protocolViolation, "connection IDs are not numbered by ones")
        }
        if frame.retirePriorTo > retirePriorTo {
            retirePriorTo = frame.retirePriorTo
            try retireOutdated(preferring: path)
        }
        guard entries.count <= limit else {
            throw violation(.connectionIDLimitError, "more connection IDs than active_connection_id_limit")
        }
    }

    /// RFC 9000 §5.1.2: paths move to a newer connection ID before theirs is retired.
    private mutating func retireOutdated(preferring preferred: NetworkPathID) throws(TransportError) {
        let outdated = entries.filter { $0.sequence < retirePriorTo }
        entries.removeAll { $0.sequence < retirePriorTo }
        let paths = outdated.flatMap(\.paths)
        if paths.contains(preferred) { _ = assign(to: preferred) }
        for path in paths { _ = assign(to: path) }
        for entry in outdated { try retire(entry.sequence) }
    }

    /// Gives `path` a spare connection ID unless it has one; false when there is none.
    mutating func assign(to path: NetworkPathID) -> Bool {
        if areEmpty || id(for: path) != nil { return true }
        let spare = entries.indices.filter { entries[$0].isSpare }
        guard let index = spare.min(by: { entries[$0].sequence < entries[$1].sequence }) else { return false }
        entries[index].paths = [path]
        return true
    }

    /// Lets `path` use the connection ID of `other`: a rebinding is the same path to the client (RFC 9000 §9.3).
    mutating func share(_ other: NetworkPathID, with path: NetworkPathID) {
        for index in entries.indices where entries[index].paths.contains(other) { entries[index].paths.append(path) }
    }

    /// Whether two paths are the same to the peer: its NAT has given it another address (RFC 9000 §9.3).
    func areShared(by path: NetworkPathID, _ other: NetworkPathID) -> Bool {
        path != other && !areEmpty && entries.contains { $0.paths.contains(path) && $0.paths.contains(other) }
    }

    /// Gives `path` the connection ID with this sequence number: that of the preferred address (§9.6.1).
    /// Another one takes its place when it is in use or retired; false when there is none.
    mutating func assign(sequence: UInt64, to path: NetworkPathID) -> Bool {
        guard let index = entries.firstIndex(where: { $0.sequence == sequence && $0.isSpare }) else {
            return assign(to: path)
        }
        entries[index].paths = [path]
        return true
    }

    /// Replaces the connection ID of `path` by a spare one and retires the old; false when there is no spare.
    mutating func rotate(_ path: NetworkPathID) throws(TransportError) -> Bool {
        guard !areEmpty, spareCount > 0 else { return false }
        try release(path)
        return assign(to: path)
    }

    /// The path is gone: a connection ID that no other path uses is never used again (RFC 9000 §9.5).
    mutating func release(_ path: NetworkPathID) throws(TransportError) {
        guard !areEmpty else { return }
        for index in entries.indices.reversed() where entries[index].paths.contains(path) {
            entries[index].paths.removeAll { $0 == path }
            if entries[index].isSpare { try retire(entries.remove(at: index).sequence) }
        }
    }

    private mutating func retire(_ sequence: UInt64) throws(TransportError) {
        guard unacknowledgedRetirements.insert(sequence).inserted else { return }
        // RFC 9000 §5.1.2: the number of connection IDs retired but not acknowledged is limited.
        guard unacknowledgedRetirements.count <= Self.maximumUnacknowledgedRetirements else {
            throw violation(.connectionIDLimitError, "too many retired connection IDs wait for an acknowledgement")
        }
        retirementsToSend.append(sequence)
    }

    /// The next RETIRE_CONNECTION_ID frame to send.
    mutating func nextRetirementToSend() -> UInt64? {
        retirementsToSend.isEmpty ? nil : retirementsToSend.removeFirst()
    }

    mutating func retirementLost(_ sequence: UInt64) {
        guard unacknowledgedRetirements.contains(sequence), !retirementsToSend.contains(sequence) else { return }
        retirementsToSend.append(sequence)
    }

    mutating func retirementAcknowledged(_ sequence: UInt64) { unacknowledgedRetirements.remove(sequence) }

    private func violation(_ code: TransportErrorCode, _ reason: String) -> TransportError {
        TransportError(code, frameType: FrameType.newConnectionID.rawValue, reason)
    }
}
