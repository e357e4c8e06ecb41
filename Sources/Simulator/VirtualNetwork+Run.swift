import HeapModule
public import Primitives

/// How a run of a virtual network ended.
public enum RunOutcome: Hashable, Sendable {
    /// The condition of the run came true.
    case reached
    /// Nothing is under way, no node has a deadline and no action is due: nothing will ever happen again.
    case quiet
    /// The time limit came first.
    case timeLimit
    /// A host does not come to rest: its deadline stays in the past, or datagrams are sent without end at one instant.
    case restless(host: String)
}

extension VirtualNetwork {
    /// Events that may happen at one instant before the run is given up as restless; bounds the work of a faulty node.
    static let mostEventsPerInstant = 20_000
    /// Datagrams that a node may send in answer to one input before the run is given up as restless.
    static let mostTransmissionsPerInput = 10_000
    /// How often a node may leave its deadline in the past at one instant before the run is given up as restless.
    static let mostDeadlinesPerInput = 100

    struct Event: Comparable {
        enum Kind {
            case leave(LinkID, Direction, Datagram)
            case wake(HostID)
            case action(Int)
        }

        var at: Instant
        var sequence: UInt64
        var kind: Kind

        static func < (a: Event, b: Event) -> Bool { (a.at, a.sequence) < (b.at, b.sequence) }
        static func == (a: Event, b: Event) -> Bool { (a.at, a.sequence) == (b.at, b.sequence) }
    }

    /// A host that does not come to rest; nil when no host is to blame.
    struct Restless: Error { var host: HostID? }

    /// Lets time pass until `condition` holds, nothing is left to happen, or `limit` has come.
    ///
    /// The condition is asked before the first event and after each one. At the end `now` is the instant of the last event,
    /// or `limit` if that was reached.
    public func run(
        until limit: Instant, stoppingWhen condition: (VirtualNetwork) -> Bool = { _ in false }
    ) -> RunOutcome {
        do {
            try drainAll()
            while !condition(self) {
                guard let next = events.min else { return .quiet }
                guard next.at <= limit else {
                    now = limit
                    return .timeLimit
                }
                events.removeMin()
                try advance(to: next.at)
                try happen(next)
            }
            return .reached
        } catch let restless as Restless {
            return .restless(host: restless.host.map { hosts[$0.index].name } ?? "the scenario")
        } catch {
            preconditionFailure("a run throws nothing but Restless: \(error)")
        }
    }

    private func advance(to instant: Instant) throws {
        if instant > now {
            now = instant
            eventsThisInstant = 0
        }
        eventsThisInstant += 1
        if eventsThisInstant > Self.mostEventsPerInstant { throw Restless(host: lastReceiver) }
    }

    private func happen(_ event: Event) throws {
        switch event.kind {
        case .leave(let link, let direction, let datagram):
            try leave(link, direction, datagram)
        case .wake(let host):
            // A node may have moved its deadline since this wake-up was armed; then another one is armed too.
            guard hosts[host.index].armed == event.at else { return }
            hosts[host.index].armed = nil
            try drain(host)
        case .action(let index):
            actions[index](self)
            try drainAll()
        }
    }

    func push(_ kind: Event.Kind, at instant: Instant) {
        events.insert(Event(at: max(instant, now), sequence: eventsScheduled, kind: kind))
        eventsScheduled += 1
    }

    // MARK: - Nodes

    /// Drains every host: an action of the scenario may have commanded any of them.
    private func drainAll() throws {
        for index in hosts.indices { try drain(HostID(index: index)) }
    }

    /// Takes a node's outputs in the order of the contract: transmissions, deadline, next wake-up.
    private func drain(_ host: HostID) throws {
        guard !hosts[host.index].isAsleep else { return }
        let node = hosts[host.index].node
        var deadlines = 0
        try transmit(from: host, node)
        while let deadline = node.nextDeadline, deadline <= now {
            deadlines += 1
            if deadlines > Self.mostDeadlinesPerInput { throw Restless(host: host) }
            node.deadlineReached(at: now)
            try transmit(from: host, node)
        }
        guard let deadline = node.nextDeadline, deadline != hosts[host.index].armed else { return }
        hosts[host.index].armed = deadline
        push(.wake(host), at: deadline)
    }

    private func transmit(from host: HostID, _ node: any VirtualNode) throws {
        var transmissions = 0
        while let datagram = node.nextTransmission(at: now) {
            transmissions += 1
            if transmissions > Self.mostTransmissionsPerInput { throw Restless(host: host) }
            if let failure = send(datagram, from: host) {
                record(.refused(failure), hosts[host.index].name, datagram)
                node.sendFailed(datagram, failure, at: now)
            }
        }
    }

    private func send(_ datagram: Datagram, from host: HostID) -> SendFailure? {
        guard let interface = hosts[host.index].interfaces[datagram.source.ip] else { return .addressNotAvailable }
        if links[interface.link.index][interface.sending].state == .down { return .networkUnreachable }
        if let mtu = interface.mtu, datagram.packetSize > mtu { return .messageTooLong }
        hosts[host.index].sentDatagrams += 1
        hosts[host.index].sentBytes += ByteCount(datagram.bytes.count)
        record(.sent, hosts[host.index].name, datagram)
        enter(interface.link, interface.sending, datagram)
        return nil
    }

    private func deliver(_ datagram: Datagram, to host: HostID) throws {
        guard hosts[host.index].interfaces[datagram.destination.ip] != nil else {
            return record(.dropped(.noRoute), hosts[host.index].name, datagram)
        }
        guard !hosts[host.index].isAsleep else {
            return record(.dropped(.asleep), hosts[host.index].name, datagram)
        }
        record(.delivered, hosts[host.index].name, datagram)
        lastReceiver = host
        hosts[host.index].node.receive(datagram, at: now)
        try drain(host)
    }

    // MARK: - Links and routes

    private func enter(_ link: LinkID, _ direction: Direction, _ datagram: Datagram) {
        // Taken out before it is called, so that an interceptor may command the network.
        let interceptor = links[link.index][direction].interceptor
        let ordinal = links[link.index][direction].seen
        links[link.index][direction].seen += 1
        switch interceptor?(datagram, ordinal, now) ?? .pass {
        case .pass:
            carry(datagram, over: link, direction)
        case .drop:
            links[link.index][direction].intercept()
            record(.dropped(.intercepted), links[link.index].name, datagram)
        case .replace(let others):
            if others.isEmpty { links[link.index][direction].intercept() }
            for other in others { carry(other, over: link, direction) }
        }
    }

    private func carry(_ datagram: Datagram, over link: LinkID, _ direction: Direction) {
        do throws(Dropped) {
            let (first, second) = try links[link.index][direction].enter(datagram, at: now)
            push(.leave(link, direction, first.packet), at: first.at)
            if let second { push(.leave(link, direction, second.packet), at: second.at) }
        } catch {
            record(.dropped(error.reason), links[link.index].name, datagram)
        }
    }

    private func leave(_ link: LinkID, _ direction: Direction, _ datagram: Datagram) throws {
        do throws(Dropped) {
            try links[link.index][direction].leave(datagram)
        } catch {
            return record(.dropped(error.reason), links[link.index].name, datagram)
        }
        switch direction {
        case .outbound: try forward(datagram, to: links[link.index].upstream)
        case .inbound: try deliver(datagram, to: links[link.index].host)
        }
    }

    func forward(_ datagram: Datagram, to upstream: Upstream) throws {
        switch upstream {
        case .host(let host):
            try deliver(datagram, to: host)
        case .internet:
            route(datagram, from: .internet)
        case .translator(let id):
            let translated = translators[id.index].translation.translateOutbound(datagram, at: now)
            try forward(translated, to: translators[id.index].upstream)
        }
    }

    /// Finds the way toward a destination as seen from the internet or from the inside of a translator.
    func route(_ datagram: Datagram, from place: Upstream) {
        switch routes[Destination(from: place, address: datagram.destination.ip)] {
        case nil:
            record(.dropped(.noRoute), "internet", datagram)
        case .link(let link):
            enter(link, .inbound, datagram)
        case .translator(let id):
            do throws(Dropped) {
                let translated = try translators[id.index].translation.translateInbound(datagram, at: now)
                route(translated, from: .translator(id))
            } catch {
                record(.dropped(error.reason), translators[id.index].name, datagram)
            }
        }
    }

    func record(_ kind: Trace.Record.Kind, _ place: String, _ datagram: Datagram?) {
        trace.append(kind, at: place, datagram, time: now)
    }
}
