public import Primitives

/// What the user orders.
extension PathPolicy {
    /// Makes an address a standby, also one of an interface that is ignored, or validates it again.
    public mutating func add(_ address: IPAddress, at now: Instant) throws(PathRequestError) {
        _ = try usableLink(address)
        excluded.remove(address)
        added.insert(address)
        if let index = candidates.firstIndex(where: { $0.link?.address == address }), candidates[index].local != nil {
            probe(index, at: now)
        }
        adoptLinks(at: now)
        proceed(at: now)
    }

    /// Moves the connection to an address, and keeps it there until that path fails.
    public mutating func use(_ address: IPAddress, at now: Instant) throws(PathRequestError) {
        _ = try usableLink(address)
        excluded.remove(address)
        added.insert(address)
        pinned = address
        adoptLinks(at: now)
        if let index = candidates.firstIndex(where: { $0.link?.address == address && $0.local != nil }) {
            move(to: index, .manual, at: now)
        }
        proceed(at: now)
    }

    /// Gives a path up; its address is not used again until it is added.
    public mutating func remove(_ address: IPAddress, at now: Instant) throws(PathRequestError) {
        guard course != .disconnected else { throw .notConnected }
        guard let index = candidates.firstIndex(where: { $0.link?.address == address }) else {
            throw .unknownAddress(address)
        }
        let leaving = candidates[index]
        if case .on(let local) = course, local == leaving.local {
            guard let next = bestStandby(besides: leaving, doubting: .address) else { throw .lastPath(address) }
            move(to: next, .manual, at: now)
        }
        if pinned == address { pinned = nil }
        added.remove(address)
        excluded.insert(address)
        adoptLinks(at: now)
        proceed(at: now)
    }

    private func usableLink(_ address: IPAddress) throws(PathRequestError) -> LinkAddress {
        guard course != .disconnected else { throw .notConnected }
        guard let link = links.first(where: { $0.address == address }) else { throw .unknownAddress(address) }
        guard link.isUsable else { throw .unusable(address, interface: link.interface) }
        guard canReach(from: link) else { throw .unreachable(address) }
        return link
    }
}
