public import Primitives

// What a scenario can do to a network, before it runs or from a scheduled action.

extension VirtualNetwork {
    /// Has `action` happen at an instant; afterwards every node is drained, so an action may command nodes too.
    public func schedule(at instant: Instant, _ action: @escaping (VirtualNetwork) -> Void) {
        actions.append(action)
        push(.action(actions.count - 1), at: instant)
    }

    /// Writes a line of words into the trace.
    public func note(_ words: String) { record(.note(words), "scenario", nil) }

    /// Sets the state of one direction of a link; datagrams under way are lost if it does not work when they arrive.
    ///
    /// A host whose sending direction goes down or comes back hears of it from its link monitor.
    public func set(_ state: LinkState, of link: LinkID, _ direction: Direction) {
        let before = links[link.index][direction].state
        links[link.index][direction].state = state
        note("\(links[link.index].name) \(direction) is \(state)")
        guard (before == .down) != (state == .down) else { return }
        for index in hosts.indices {
            // A link has one address at each end.
            let interface = hosts[index].interfaces.first { $0.value.link == link && $0.value.sending == direction }
            guard let address = interface?.key else { continue }
            tell(HostID(index: index), state == .down ? .linkDown(address) : .available(address))
        }
    }

    /// Sets the state of both directions of a link.
    public func set(_ state: LinkState, of link: LinkID) {
        for direction in Direction.allCases { set(state, of: link, direction) }
    }

    /// Changes the conditions of one direction of a link for datagrams that enter from now on.
    public func change(_ link: LinkID, _ direction: Direction, _ change: (inout LinkConditions) -> Void) {
        change(&links[link.index][direction].conditions)
        note("\(links[link.index].name) \(direction) has new conditions")
    }

    /// Changes the conditions of both directions of a link for datagrams that enter from now on.
    public func change(_ link: LinkID, _ change: (inout LinkConditions) -> Void) {
        for direction in Direction.allCases { self.change(link, direction, change) }
    }

    /// Has every datagram that enters one direction of a link looked at; nil ends it.
    public func intercept(_ link: LinkID, _ direction: Direction, with interceptor: Interceptor?) {
        links[link.index][direction].interceptor = interceptor
    }

    /// Has a translator forget its mappings, so that what passes next comes from a new outside port or address.
    public func rebind(_ translator: TranslatorID, _ rebinding: Rebinding) {
        translators[translator.index].translation.rebind(rebinding)
        note("\(translators[translator.index].name) forgets its mappings (\(rebinding))")
    }

    /// Puts a datagram onto the internet out of nowhere: an attacker off the path, whose source may be forged.
    public func inject(_ datagram: Datagram) {
        record(.sent, "attacker", datagram)
        route(datagram, from: .internet)
    }

    /// Takes an address off a host: sending from it fails, what arrives for it is dropped.
    public func removeAddress(_ address: IPAddress, from host: HostID) {
        guard let interface = hosts[host.index].interfaces.removeValue(forKey: address) else { return }
        let upstream = links[interface.link.index].upstream
        routes[Destination(from: upstream, address: address)] = nil
        note("\(hosts[host.index].name) loses an address")
        tell(host, .removed(address))
    }

    /// Suspends a host: it receives, sends and times nothing until it wakes; what arrives meanwhile is lost.
    public func suspend(_ host: HostID) {
        hosts[host.index].asleepSince = now
        note("\(hosts[host.index].name) sleeps")
    }

    /// Wakes a suspended host; deadlines that have passed fire now.
    public func wake(_ host: HostID) {
        let sleep = hosts[host.index].asleepSince.map { now - $0 } ?? .zero
        hosts[host.index].asleepSince = nil
        hosts[host.index].armed = nil
        note("\(hosts[host.index].name) wakes")
        hosts[host.index].node.woke(after: sleep, at: now)
        push(.action(actions.count), at: now)
        actions.append { _ in }
    }

    /// Replaces what a host runs, as when a process was killed and started again with nothing in memory.
    public func restart(_ host: HostID, running node: any VirtualNode) {
        hosts[host.index].node = node
        hosts[host.index].armed = nil
        note("\(hosts[host.index].name) restarts")
    }

    func tell(_ host: HostID, _ change: AddressChange) {
        guard !hosts[host.index].isAsleep else { return }
        hosts[host.index].node.localAddressChanged(change, at: now)
    }
}
