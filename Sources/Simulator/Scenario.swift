public import Primitives

/// A story on a virtual network, with what must be true of it, told in a few lines.
///
/// ```swift
/// Scenario("a ping crosses a slow link") { stage in
///     let client = stage.host("client", running: Pinger(), at: .v4(10, 0, 0, 2), .cellular)
///     let server = stage.host("server", running: Echo(), at: .v4(192, 0, 2, 1), .ideal)
///     stage.at(.seconds(1)) { $0.set(.blackhole, of: client.link) }
///     stage.completes(within: .seconds(2))
///     stage.sends(atMost: 4_000, from: client)
/// }
/// ```
///
/// `run()` gives a report; a failed one says its seed and shows the end of the trace.
public struct Scenario: Sendable, CustomStringConvertible {
    /// What the story shows, as a requirement.
    public let name: String
    /// The seed of everything random in it, unless `run(seed:)` names another.
    public let seed: UInt64
    private let detail: Trace.Detail
    private let tell: @Sendable (Stage) throws -> Void

    /// The time limit of a scenario that does not set its own with `completes(within:)`.
    public static let defaultLimit: Interval = .seconds(60)

    /// Declares a scenario; `tell` sets the stage and is called once for each run.
    public init(
        _ name: String, seed: UInt64 = 1, detail: Trace.Detail = .sizes,
        _ tell: @escaping @Sendable (Stage) throws -> Void
    ) {
        self.name = name
        self.seed = seed
        self.detail = detail
        self.tell = tell
    }

    public var description: String { name }

    /// Plays the story once.
    public func run(seed override: UInt64? = nil) -> ScenarioReport {
        let seed = override ?? self.seed
        let stage = Stage(network: VirtualNetwork(seed: seed, detail: detail))
        do {
            try tell(stage)
        } catch {
            return ScenarioReport(name: name, seed: seed, stage: stage, failures: ["could not be set up: \(error)"])
        }
        return ScenarioReport(name: name, seed: seed, stage: stage, failures: stage.play())
    }
}

/// What a scenario is told on: a network, a timetable and expectations.
public final class Stage {
    /// The network, for everything that has no shorthand here.
    public let network: VirtualNetwork
    private var limit = Scenario.defaultLimit
    private var cues: [Cue] = []
    private var expectations: [Expectation] = []
    private var quietAfterwards: Interval = .zero

    /// A host and the link it was first attached by.
    public struct Place: Sendable {
        /// The host.
        public let host: VirtualNetwork.HostID
        /// Its first link.
        public let link: VirtualNetwork.LinkID
        /// Its first address.
        public let address: IPAddress
    }

    private struct Cue {
        var condition: () -> Bool
        var action: (VirtualNetwork) -> Void
    }

    private struct Expectation {
        var check: (VirtualNetwork) -> String?
    }

    init(network: VirtualNetwork) { self.network = network }

    // MARK: - Places

    /// Adds a host with one address and a link, the same in both directions unless `inbound` is given.
    public func host(
        _ name: String, running node: any VirtualNode, at address: IPAddress,
        to upstream: VirtualNetwork.Upstream = .internet, _ outbound: LinkConditions, inbound: LinkConditions? = nil
    ) -> Place {
        let host = network.addHost(name, running: node)
        let link = network.attach(
            host, at: address, to: upstream, named: "\(name)-link", outbound: outbound, inbound: inbound ?? outbound)
        return Place(host: host, link: link, address: address)
    }

    /// Gives a host one more address with a link of its own, the same in both directions unless `inbound` is given.
    public func link(
        _ name: String, of place: Place, at address: IPAddress, to upstream: VirtualNetwork.Upstream = .internet,
        _ outbound: LinkConditions, inbound: LinkConditions? = nil
    ) -> VirtualNetwork.LinkID {
        network.attach(
            place.host, at: address, to: upstream, named: name, outbound: outbound, inbound: inbound ?? outbound)
    }

    // MARK: - Timetable

    /// Has something happen at a time since the start.
    public func at(_ elapsed: Interval, _ action: @escaping (VirtualNetwork) -> Void) {
        network.schedule(at: VirtualNetwork.start + elapsed, action)
    }

    /// Has something happen once, as soon as `condition` holds; it is asked after every event.
    public func when(_ condition: @escaping () -> Bool, _ action: @escaping (VirtualNetwork) -> Void) {
        cues.append(Cue(condition: condition, action: action))
    }

    /// Lets time go on after every node has finished, to see that nothing more happens, or that something does.
    public func continues(for interval: Interval) { quietAfterwards = interval }

    // MARK: - Expectations

    /// Expects every node to have finished within a time since the start; the run is given up then.
    public func completes(within limit: Interval) { self.limit = limit }

    /// Expects a host to send no more than `count` bytes of UDP payload.
    public func sends(atMost count: ByteCount, from place: Place) {
        expectations.append(
            Expectation { network in
                let sent = network.bytesSent(by: place.host)
                guard sent > count else { return nil }
                return "\(network.name(of: place.host)) sent \(sent.bytes) bytes, the bound is \(count.bytes)"
            })
    }

    /// Expects a condition to hold at the end.
    public func expect(_ what: String, _ condition: @escaping () -> Bool) {
        expectations.append(Expectation { _ in condition() ? nil : "expected: \(what)" })
    }

    /// Expects a value at the end, and shows the one found if it differs.
    public func expect<Value: Equatable>(_ what: String, _ found: @escaping () -> Value, equals wanted: Value) {
        expectations.append(
            Expectation { _ in
                let value = found()
                return value == wanted ? nil : "expected \(what) to be \(wanted), found \(value)"
            })
    }

    // MARK: - The play

    /// Runs the network and returns what was not as expected.
    func play() -> [String] {
        var failures: [String] = []
        let outcome = network.run(until: VirtualNetwork.start + limit) { network in
            let isCued = self.takeCues()
            return !isCued && self.cues.isEmpty && network.isFinished
        }
        switch outcome {
        case .reached: break
        case .quiet: failures.append("nothing is left to happen, but not everybody has finished")
        case .timeLimit: failures.append("did not complete within \(limit.milliseconds) ms")
        case .restless(let host): failures.append("\(host) does not come to rest")
        }
        if outcome == .reached, quietAfterwards > .zero {
            _ = network.run(until: network.now + quietAfterwards)
        }
        return failures + expectations.compactMap { $0.check(network) }
    }

    /// Schedules for this moment what waits for a condition that holds; returns whether there was any.
    private func takeCues() -> Bool {
        guard !cues.isEmpty else { return false }
        var waiting: [Cue] = []
        for cue in cues {
            if cue.condition() { network.schedule(at: network.now, cue.action) } else { waiting.append(cue) }
        }
        let isCued = waiting.count < cues.count
        cues = waiting
        return isCued
    }
}

/// What came of one run of a scenario.
public struct ScenarioReport: CustomStringConvertible, Sendable {
    /// The scenario's name.
    public let name: String
    /// The seed of this run.
    public let seed: UInt64
    /// What was not as expected; empty for success.
    public let failures: [String]
    /// Virtual time from the start to the end.
    public let elapsed: Interval
    /// What happened.
    public let trace: Trace

    /// How many records of the trace a failed report shows.
    static let shownRecords = 60

    init(name: String, seed: UInt64, stage: Stage, failures: [String]) {
        self.name = name
        self.seed = seed
        self.failures = failures
        elapsed = stage.network.elapsed
        trace = stage.network.trace
    }

    /// Whether everything was as expected.
    public var succeeded: Bool { failures.isEmpty }

    public var description: String {
        let head = "\(name): \(succeeded ? "as expected" : "failed") after \(elapsed.milliseconds) ms, seed \(seed)"
        guard !succeeded else { return head }
        let reasons = failures.map { "\n  - \($0)" }.joined()
        let end = trace.text(last: Self.shownRecords, since: VirtualNetwork.start)
        return "\(head)\(reasons)\n\(end)"
    }
}

extension VirtualNetwork {
    func name(of host: HostID) -> String { hosts[host.index].name }
}

extension IPAddress {
    /// An IPv4 address from its four octets, for scenarios.
    public static func v4(_ a: UInt8, _ b: UInt8, _ c: UInt8, _ d: UInt8) -> IPAddress {
        IPAddress(ipv4: UInt32(a) << 24 | UInt32(b) << 16 | UInt32(c) << 8 | UInt32(d))
    }

    /// An address of the IPv6 documentation range 2001:db8::/32 with this interface part, for scenarios.
    public static func v6(_ interface: UInt64) -> IPAddress {
        IPAddress(ipv6High: 0x2001_0DB8_0000_0000, low: interface)
    }
}
