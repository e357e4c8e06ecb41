public import Primitives

/// What is measured, and for how long.
public struct BenchmarkPlan: Sendable {
    /// What can be measured.
    public enum Part: String, CaseIterable, Sendable {
        /// Bytes a second and their cost, one and several connections, both ways.
        case rate
        /// How long a byte takes there and back, alone and beside a download.
        case latency
        /// New tunnels a second.
        case openings
        /// Resident memory, alone and with idle tunnels.
        case memory
    }

    /// What is measured.
    public var parts = Part.allCases
    /// Names of the ways that are compared.
    public var systems = BenchmarkPlan.allSystems
    /// How often everything is measured, the ways in turns; medians are told.
    public var rounds = 3
    /// About how long one measurement takes.
    public var duration = Interval.seconds(2)
    /// How long memory may settle.
    public var settling = Interval.seconds(5)
    /// Idle tunnels; one connection to a gateway carries at most 4,096.
    public var idleTunnels = 1000
    /// A program with its arguments that tells `floor=CPU-seconds` for a gigabyte, run in turns with the rates.
    public var floor: [String] = []
    /// Where the remote sides and the origin are.
    public var far = FarSide.loopback

    /// A plan that measures everything.
    public init() {}

    /// Everything, for as short as it takes to see that it works.
    public static var quick: BenchmarkPlan {
        var plan = BenchmarkPlan()
        plan.rounds = 1
        plan.duration = .milliseconds(200)
        plan.settling = .milliseconds(500)
        plan.idleTunnels = 100
        return plan
    }

    /// The names of all ways.
    public static var allSystems: [String] { BenchmarkSystem.Kind.allCases.map(\.rawValue) }

    /// Connections at once, for each of the rates.
    static let streams = [1, 8]
    /// Threads that open tunnels.
    static let openers = 32
    /// The least and the most bytes of a transfer, whatever the rate seems to be.
    static let transferBounds = UInt64(8 << 20)...UInt64(16 << 30)
    /// Bytes of the transfer that finds out the rate, the window and the path MTU.
    static let warmUp = UInt64(64 << 20)
}
