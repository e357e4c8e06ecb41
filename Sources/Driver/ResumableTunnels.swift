import Primitives
public import Tunnel

/// Which tunnels of one connection can be resumed, by their names, from the grant until nothing is owed any more.
///
/// A tunnel whose TCP has ended in order lives on until its peer has reported everything.
public struct ResumableTunnels {
    private let relay: TunnelRelay
    private var names: [TunnelID: ResumptionID] = [:]
    /// Tunnels whose TCP is closed.
    private var closing: Set<TunnelID> = []
    /// Those of them that the relay did not have as resumable ones when they were added.
    private var unknown: [TunnelID] = []

    /// No tunnels yet.
    public init(of relay: TunnelRelay) { self.relay = relay }

    /// Whether a tunnel's TCP is there.
    public enum Stage: Hashable, Sendable {
        /// It is.
        case open
        /// It has ended; what the peer has not reported is owed still.
        case closing
    }

    /// A tunnel was granted a name, or was resumed.
    public mutating func insert(_ id: TunnelID, _ name: ResumptionID, _ stage: Stage = .open) {
        names[id] = name
        if stage == .closing { close(id) }
    }

    private mutating func close(_ id: TunnelID) {
        closing.insert(id)
        if relay.resumption(of: id) == nil { unknown.append(id) }
    }

    /// Whether a tunnel has a name but no TCP any more.
    public func isClosing(_ id: TunnelID) -> Bool { closing.contains(id) }

    /// TCP is about to end in order: `protection` notes what is owed.
    public mutating func willClose(_ id: TunnelID, _ protection: TunnelProtection?) {
        guard let name = names[id] else { return }
        close(id)
        guard let ring = relay.ring(of: id), let delivered = relay.delivered(of: id) else { return }
        protection?.willClose(name, readEnd: ring.end, written: delivered)
    }

    /// A tunnel is over, or has left; its name.
    @discardableResult
    public mutating func remove(_ id: TunnelID) -> ResumptionID? {
        closing.remove(id)
        return names.removeValue(forKey: id)
    }

    /// Removes tunnels to which nothing is owed any more; their names.
    ///
    /// Looks only at those that the relay has forgotten since the last call: many may be closing at a time.
    public mutating func removeSettled() -> [ResumptionID] {
        var gone = relay.takeForgotten()
        if !unknown.isEmpty {
            gone += unknown
            unknown = []
        }
        guard !gone.isEmpty else { return [] }
        return gone.compactMap { id in
            closing.contains(id) && relay.resumption(of: id) == nil ? remove(id) : nil
        }
    }

    /// Removes all of them; their names.
    public mutating func removeAll() -> [ResumptionID] { Array(names.keys).compactMap { remove($0) } }
}
