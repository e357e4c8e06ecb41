import EventLoop
import Primitives
import Telemetry

/// What the tunnel costs on this machine, in turns with the other ways that are installed.
///
/// ```
///   threads of this process ─► local side ═► remote side ─► origin (threads of this process)
/// ```
/// The two sides are processes whose processor time and memory are read from /proc. Each byte of each transfer is
/// compared; a wrong one ends the benchmark.
public final class Benchmark {
    private let plan: BenchmarkPlan
    private let tell: (String) -> Void
    private let processes: BenchmarkProcesses
    private let origin: BenchmarkOrigin
    private var systems: [BenchmarkSystem] = []
    private var report: BenchmarkReport

    /// Prepares it; `tell` hears of its progress.
    public init(_ plan: BenchmarkPlan, tell: @escaping (String) -> Void) throws {
        self.plan = plan
        self.tell = tell
        DescriptorLimit.raise()
        processes = try BenchmarkProcesses()
        origin = try BenchmarkOrigin(at: plan.far)
        report = BenchmarkReport(plan)
    }

    /// Measures, and removes everything again.
    public func run() throws -> BenchmarkReport {
        defer { processes.end() }
        try startSystems()
        if plan.parts.contains(.memory) { try forEach("memory", measureMemory) }
        if plan.parts.contains(.rate) { try forEach("first transfer", warmUp) }
        for round in 1...max(1, plan.rounds) {
            if plan.parts.contains(.rate) {
                for direction in BenchmarkLoad.Direction.allCases {
                    for streams in BenchmarkPlan.streams {
                        try measureFloor()
                        try forEach("round \(round), \(direction.rawValue), \(streams) at once") { system, index in
                            try measureRate(direction, streams, of: system, index)
                        }
                    }
                }
            }
            if plan.parts.contains(.latency) { try forEach("round \(round), ping-pong", measureLatency) }
            if plan.parts.contains(.openings) { try forEach("round \(round), new tunnels", measureOpenings) }
        }
        return report
    }

    private func startSystems() throws {
        let start = BenchmarkStart(processes: processes, far: plan.far, origin: origin.port)
        for kind in BenchmarkSystem.Kind.allCases where plan.systems.contains(kind.rawValue) {
            do {
                systems.append(try start.start(kind))
                report.results.append(BenchmarkResult(kind: kind))
            } catch let failure as BenchmarkFailure where kind != .godwit {
                report.leftOut.append((kind.rawValue, failure.description))
                tell("\(kind.rawValue) is left out: \(failure)")
            }
        }
    }

    private func forEach(_ what: String, _ measure: (BenchmarkSystem, Int) throws -> Void) throws {
        tell(what)
        for (index, system) in systems.enumerated() {
            do {
                try measure(system, index)
            } catch let failure as BenchmarkFailure {
                throw BenchmarkFailure("\(what), \(system.kind.rawValue): \(failure)")
            }
        }
    }

    // MARK: The parts

    private func figures(_ system: BenchmarkSystem) -> (local: ProcessFigures, remote: ProcessFigures) {
        (ProcessFigures(of: system.local), ProcessFigures(of: system.remote))
    }

    private func measureMemory(_ system: BenchmarkSystem, _ index: Int) throws {
        guard system.kind != .direct else { return }
        Clock.wait(plan.settling)
        let before = figures(system)
        let streams = try BenchmarkLoad.idle(plan.idleTunnels, through: system.entry)
        Clock.wait(plan.settling)
        let after = figures(system)
        report.results[index].memory = .init(local: before.local.residentMemory, remote: before.remote.residentMemory)
        report.results[index].memoryWithTunnels = .init(
            local: after.local.residentMemory, remote: after.remote.residentMemory)
        withExtendedLifetime(streams) {}
        origin.endIdle()
    }

    /// What is learned about a path is learned before anything counts.
    private func warmUp(_ system: BenchmarkSystem, _ index: Int) throws {
        let duration = try BenchmarkLoad.transfer(.down, through: system.entry, bytes: BenchmarkPlan.warmUp, streams: 1)
        rates[system.kind] = Double(BenchmarkPlan.warmUp) / duration.seconds
    }
    /// Bytes a second of the first transfers, by which later ones get their length.
    private var rates: [BenchmarkSystem.Kind: Double] = [:]

    private func measureRate(
        _ direction: BenchmarkLoad.Direction, _ streams: Int, of system: BenchmarkSystem, _ index: Int
    ) throws {
        let wanted = UInt64((rates[system.kind] ?? 0) * plan.duration.seconds)
        let bounds = BenchmarkPlan.transferBounds
        let share = min(max(wanted, bounds.lowerBound), bounds.upperBound) / UInt64(streams)
        let bytes = share * UInt64(streams)
        let before = figures(system)
        let duration = try BenchmarkLoad.transfer(direction, through: system.entry, bytes: bytes, streams: streams)
        let after = figures(system)
        report.results[index].rates.append(
            .init(
                direction: direction, streams: streams, bytes: bytes, duration: duration,
                local: after.local.processorTime - before.local.processorTime,
                remote: after.remote.processorTime - before.remote.processorTime))
    }

    private func measureFloor() throws {
        guard let program = plan.floor.first else { return }
        let text = try processes.run(program, Array(plan.floor.dropFirst()))
        let field = text.split(whereSeparator: \.isWhitespace).first { $0.hasPrefix("floor=") }
        guard let field, let cost = Double(field.dropFirst("floor=".count)) else {
            throw BenchmarkFailure("`\(program)` does not tell floor=CPU-seconds")
        }
        report.floors.append(cost)
    }

    private func measureLatency(_ system: BenchmarkSystem, _ index: Int) throws {
        let alone = try BenchmarkLoad.echoes(through: system.entry, for: plan.duration)
        let beside = try BenchmarkLoad.echoesBesideBulk(through: system.entry, for: plan.duration)
        if let alone = BenchmarkResult.Latency(alone) { report.results[index].alone.append(alone) }
        if let beside = BenchmarkResult.Latency(beside) { report.results[index].besideBulk.append(beside) }
    }

    private func measureOpenings(_ system: BenchmarkSystem, _ index: Int) throws {
        report.results[index].openings.append(
            try BenchmarkLoad.openings(through: system.entry, for: plan.duration, threads: BenchmarkPlan.openers))
    }
}
