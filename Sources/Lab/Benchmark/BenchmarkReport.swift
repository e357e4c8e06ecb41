import Primitives
import Telemetry

/// What a benchmark found out, as a table and as JSON.
public struct BenchmarkReport {
    private let plan: BenchmarkPlan
    var results: [BenchmarkResult] = []
    /// Ways that could not be measured, and why.
    var leftOut: [(name: String, why: String)] = []
    /// CPU-seconds for a gigabyte, of the program that was named for it.
    var floors: [Double] = []

    init(_ plan: BenchmarkPlan) { self.plan = plan }

    private var floor: Double? { floors.isEmpty ? nil : floors.sorted()[floors.count / 2] }

    /// One line of JSON; what it means stands in the README.
    public var json: String {
        var members: [JSONValue.Member] = [
            .init("version", .integer(1)), .init("rounds", .count(plan.rounds)),
            .init("idle_tunnels", .count(plan.idleTunnels)), .init("openers", .count(BenchmarkPlan.openers)),
            .init("bytes_exact", .bool(true)),
        ]
        if let floor { members.append(.init("floor_cpu_seconds_per_gigabyte", .number(floor))) }
        members.append(.init("systems", .array(results.map(\.json))))
        let out = leftOut.map { JSONValue.object([.init("name", .string($0.name)), .init("why", .string($0.why))]) }
        members.append(.init("left_out", .array(out)))
        return JSONValue.object(members).text
    }

    /// A table for people.
    public var table: String {
        var lines: [String] = []
        if plan.parts.contains(.rate) { lines += rateLines }
        if plan.parts.contains(.latency) {
            lines += [
                row("byte and echo, µs", ["idle p50", "p99", "under bulk p50", "p99"])
            ]
            lines += results.map { result in
                let measured = [result.alone, result.besideBulk].filter { !$0.isEmpty }
                let cells = measured.map(BenchmarkResult.Latency.init(medianOf:)).flatMap {
                    ["\($0.median.microseconds)", "\($0.p99.microseconds)"]
                }
                return row(result.kind.rawValue, cells)
            }
            lines.append("")
        }
        if plan.parts.contains(.openings) {
            lines.append(row("new tunnels a second", []))
            lines += results.map { row($0.kind.rawValue, [$0.openingsPerSecond.map { "\(Int($0))" } ?? "-"]) }
            lines.append("")
        }
        if plan.parts.contains(.memory) { lines += memoryLines }
        lines += leftOut.map { "left out: \($0.name): \($0.why)" }
        return lines.joined(separator: "\n")
    }

    private var rateLines: [String] {
        let cases = BenchmarkLoad.Direction.allCases.flatMap { direction in
            BenchmarkPlan.streams.map { (direction, $0) }
        }
        var lines = [row("MB/s (CPU-s/GB: local + remote)", cases.map { "\($0.0.rawValue), \($0.1) at once" })]
        for result in results {
            lines.append(
                row(
                    result.kind.rawValue,
                    cases.map { direction, streams in
                        guard let rate = result.rate(direction, streams) else { return "-" }
                        let speed = "\(Int(rate.megabytesPerSecond))"
                        guard result.kind != .direct else { return speed }
                        return "\(speed) (\(hundredths(rate.local / rate.gigabytes)) + "
                            + "\(hundredths(rate.remote / rate.gigabytes)))"
                    }))
        }
        if let floor, let own = results.first(where: { $0.kind == .godwit }) {
            lines.append(
                row(
                    "godwit to floor \(hundredths(floor))",
                    cases.map { direction, streams in
                        own.rate(direction, streams).map { "\(hundredths($0.cost / floor)) times" } ?? "-"
                    }))
        }
        return lines + [""]
    }

    private var memoryLines: [String] {
        var lines = [row("resident MB: local + remote", ["idle", "with \(plan.idleTunnels) idle tunnels"])]
        for result in results {
            guard let memory = result.memory, let more = result.memoryWithTunnels else { continue }
            lines.append(
                row(
                    result.kind.rawValue,
                    [memory, more].map { "\(megabytes($0.local)) + \(megabytes($0.remote))" }))
        }
        return lines + [""]
    }

    private func row(_ name: String, _ cells: [String]) -> String {
        ([pad(name, 32)] + cells.map { pad($0, 22) }).joined()
    }

    private func pad(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(1, width - text.count))
    }

    private func hundredths(_ value: Double) -> String {
        let rounded = Int((value * 100).rounded())
        let fraction = "\(rounded % 100)"
        return "\(rounded / 100)." + (fraction.count < 2 ? "0" : "") + fraction
    }

    private func megabytes(_ bytes: Int) -> String {
        let tenths = (bytes * 10 + (1 << 19)) >> 20
        return "\(tenths / 10).\(tenths % 10)"
    }
}
