import Primitives
import Testing

@testable import QUIC
@testable import Tunnel

/// A policy with a clock of its own and sockets that open at once: says what it wanted and when.
struct PolicyBench {
    static let start = Instant.origin + .seconds(1_000)
    static let gateway = NetworkAddress(IPAddress(ipv4: 0xc000_0201), port: 4_433)
    static let wifi = link("wlan0", 10)
    static let cellular = link("wwan0", 20, metric: 1_000)
    static let wired = link("eth0", 30)

    /// The round-trip time of the active path.
    var roundTrip = Interval.milliseconds(20)
    var policy: PathPolicy
    private(set) var now = PolicyBench.start
    /// What was wanted since it was last taken.
    private var wanted: [(at: Instant, action: PathAction)] = []
    private(set) var opened: [LinkAddress: NetworkAddress] = [:]
    var refused: Set<LinkAddress> = []
    private var ports: UInt16 = 5_000
    private(set) var active: NetworkAddress
    private var received: [NetworkAddress: (at: Instant, bytes: UInt64)] = [:]
    var awaitingSince: Instant?
    var peerChallenges: UInt64 = 0
    private var packetsReceived: UInt64 = 0
    private var packetsNumbered: UInt64 = 0

    /// Creates a policy; cellular interfaces are not metered unless a test wants it so.
    init(_ change: (inout PathPolicy.Configuration) -> Void = { _ in }) {
        var configuration = PathPolicy.Configuration(metered: [])
        change(&configuration)
        policy = PathPolicy(configuration)
        active = Self.wifi.networkAddress(port: 4_000)
    }

    static func link(
        _ interface: String, _ host: UInt32, metric: UInt32? = 100, index: UInt32 = 1, isUsable: Bool = true
    ) -> LinkAddress {
        LinkAddress(
            interface: interface, index: index, address: IPAddress(ipv4: 0x0a00_0000 + host), mtu: 1_500,
            routeMetric: metric, isUsable: isUsable)
    }

    /// Connected over the first link, the others validated, one tunnel open; what that took is not of interest.
    static func connected(
        _ links: [LinkAddress] = [wifi, cellular], validating: [LinkAddress] = [],
        _ change: (inout PathPolicy.Configuration) -> Void = { _ in }
    ) -> PolicyBench {
        var bench = PolicyBench(change)
        bench.policy.linksChanged(links + validating, at: bench.now)
        if let first = links.first { bench.active = first.networkAddress(port: 4_000) }
        bench.opened = links.first.map { [$0: bench.active] } ?? [:]
        bench.policy.connected(local: bench.active, remote: gateway, at: bench.now)
        bench.policy.demandChanged(tunnels: 1, at: bench.now)
        bench.drain()
        // So old that a better path has to prove itself.
        bench.pass(PathTimings.firstChoice)
        bench.hear(bytes: 100)
        for link in links.dropFirst() { bench.answer(link) }
        _ = bench.take()
        return bench
    }

    /// Another connection, over this link.
    mutating func begin(on link: LinkAddress) {
        policy.disconnected(at: now)
        drain()
        active = link.networkAddress(port: 4_001)
        opened = [link: active]
        policy.connected(local: active, remote: Self.gateway, at: now)
        drain()
        hear(bytes: 100)
    }

    // MARK: Inputs

    mutating func pass(_ milliseconds: Int64) { pass(.milliseconds(milliseconds)) }

    /// Lets time pass, with every deadline on the way.
    mutating func pass(_ interval: Interval) {
        let end = now + interval
        var deadlines = 0
        while let deadline = policy.nextDeadline, deadline <= end {
            deadlines += 1
            guard deadlines < 100_000 else {
                Issue.record("the policy does not come to rest at \(now)")
                return
            }
            now = max(now, deadline)
            policy.deadlineReached(at: now)
            drain()
        }
        now = end
    }

    /// What the connection says at the end of a turn.
    mutating func observe() {
        let last = received[active]
        var liveness = PathLiveness(
            local: active, lastReceived: last?.at, awaitingSince: awaitingSince, bytesReceived: last?.bytes ?? 0,
            bytesSent: 0, smoothedRTT: roundTrip, rttVariation: .milliseconds(1),
            probeTimeout: roundTrip + .milliseconds(29), peerChallenges: peerChallenges)
        liveness.packetsReceived = packetsReceived
        liveness.packetsNumbered = packetsNumbered
        policy.observed(liveness, at: now)
        drain()
    }

    /// Something arrives on the active path, and nothing is awaited any more.
    mutating func hear(bytes: UInt64) {
        awaitingSince = nil
        received[active] = (now, (received[active]?.bytes ?? 0) + bytes)
        observe()
    }

    /// A datagram each millisecond.
    mutating func flow(milliseconds: Int64, bytes: UInt64 = 1_200, losingOneIn: Int64 = .max) {
        for index in 1...milliseconds {
            pass(1)
            packetsNumbered += 1
            guard index % losingOneIn != 0 else { continue }
            packetsReceived += 1
            hear(bytes: bytes)
        }
    }

    /// So many packets of the gateway are lost without anybody noticing yet.
    mutating func loseOnTheWay(_ packets: UInt64) { packetsNumbered += packets }

    /// Something that has to be answered was sent now.
    mutating func send() {
        awaitingSince = now
        observe()
    }

    /// The gateway answers a challenge on a link.
    mutating func answer(_ link: LinkAddress, roundTrip: Interval = .milliseconds(60)) {
        guard let local = opened[link] else { return }
        policy.received(.answered(description(local), roundTrip: roundTrip), at: now)
        policy.received(.validated(description(local)), at: now)
        drain()
    }

    mutating func fail(_ link: LinkAddress) {
        guard let local = opened[link] else { return }
        policy.received(.failed(description(local)), at: now)
        drain()
    }

    mutating func links(_ links: [LinkAddress]) {
        policy.linksChanged(links, at: now)
        drain()
    }

    mutating func refuseWrites(on link: LinkAddress) {
        guard let local = opened[link] else { return }
        policy.sendFailed(from: local, at: now)
        drain()
    }

    mutating func command(_ command: (inout PathPolicy, Instant) throws -> Void) throws {
        try command(&policy, now)
        drain()
    }

    private func description(_ local: NetworkAddress) -> PathDescription {
        PathDescription(
            NetworkPath(id: NetworkPathID(rawValue: 1), local: local, remote: Self.gateway, ceiling: 1_472))
    }

    // MARK: Outputs

    mutating func drain() {
        while let action = policy.nextAction() {
            wanted.append((now, action))
            switch action {
            case .openSocket(let link):
                guard !refused.contains(link) else {
                    policy.socketFailed(link, at: now)
                    continue
                }
                ports += 1
                let local = link.networkAddress(port: ports)
                opened[link] = local
                policy.socketOpened(link, as: local, at: now)
            case .activate(let local, _):
                active = local
                awaitingSince = now
                policy.received(.activated(description(local)), at: now)
            case .closeSocket, .add, .probe, .ping, .remove, .keepAlive, .raceConnection, .handedOver: break
            }
        }
    }

    /// What was wanted since the last time.
    mutating func take() -> [PathAction] {
        defer { wanted = [] }
        return wanted.map(\.action)
    }

    /// The same with the time of each since an instant.
    mutating func takeTimes(of kind: (PathAction) -> Bool, since start: Instant) -> [Int64] {
        defer { wanted = [] }
        return wanted.filter { kind($0.action) }.map { ($0.at - start).milliseconds }
    }

    /// The activations since the last time, as interface and reason.
    mutating func takeMoves() -> [Move] {
        take().compactMap { action in
            guard case .activate(let local, let reason) = action else { return nil }
            return Move(interface(of: local), reason)
        }
    }

    func interface(of local: NetworkAddress) -> String {
        opened.first { $0.value == local }?.key.interface ?? "?"
    }

    func local(_ link: LinkAddress) throws -> NetworkAddress { try #require(opened[link]) }

    /// The interface that the connection is on.
    var place: String { interface(of: active) }
}

/// An activation.
struct Move: Equatable, CustomStringConvertible {
    var interface: String
    var reason: Handover.Reason

    init(_ interface: String, _ reason: Handover.Reason) {
        self.interface = interface
        self.reason = reason
    }

    var description: String { "\(interface) (\(reason))" }
}

extension PathAction {
    var isProbe: Bool { if case .probe = self { true } else { false } }
    var isRace: Bool { if case .raceConnection = self { true } else { false } }
    var isActivation: Bool { if case .activate = self { true } else { false } }
    var isKeepAlive: Bool { if case .keepAlive = self { true } else { false } }
}

extension LinkAddress {
    /// The same link, down.
    var down: LinkAddress {
        var copy = self
        copy.isUsable = false
        return copy
    }
}
