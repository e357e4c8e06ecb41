import Primitives
import Telemetry

/// What was measured of one way.
struct BenchmarkResult {
    /// One rate.
    struct Rate {
        var direction: BenchmarkLoad.Direction
        var streams: Int
        var bytes: UInt64
        var duration: Interval
        /// Seconds of processor time of either side.
        var local: Double
        var remote: Double

        var gigabytes: Double { Double(bytes) / 1e9 }
        var megabytesPerSecond: Double { Double(bytes) / 1e6 / duration.seconds }
        var cost: Double { (local + remote) / gigabytes }
    }

    /// Quantiles of echo times.
    struct Latency {
        var median: Interval
        var p99: Interval

        init?(_ ascending: [Interval]) {
            guard !ascending.isEmpty else { return nil }
            median = ascending[ascending.count / 2]
            p99 = ascending[ascending.count * 99 / 100]
        }

        init(medianOf many: [Latency]) {
            median = many.map(\.median).sorted()[many.count / 2]
            p99 = many.map(\.p99).sorted()[many.count / 2]
        }
    }

    /// Resident bytes of either side.
    struct Memory {
        var local: Int
        var remote: Int
    }

    var kind: BenchmarkSystem.Kind
    var rates: [Rate] = []
    var alone: [Latency] = []
    var besideBulk: [Latency] = []
    var openings: [Double] = []
    var memory: Memory?
    var memoryWithTunnels: Memory?

    /// The median by cost of the rates of a direction and a number of connections.
    func rate(_ direction: BenchmarkLoad.Direction, _ streams: Int) -> Rate? {
        let all = rates.filter { $0.direction == direction && $0.streams == streams }
        // Without a cost, as without a tunnel, by rate.
        let sorted = all.sorted { ($0.cost, $0.megabytesPerSecond) < ($1.cost, $1.megabytesPerSecond) }
        return sorted.isEmpty ? nil : sorted[sorted.count / 2]
    }

    /// The median of the openings.
    var openingsPerSecond: Double? { openings.isEmpty ? nil : openings.sorted()[openings.count / 2] }

    // MARK: JSON

    var json: JSONValue {
        var members: [JSONValue.Member] = [.init("name", .string(kind.rawValue))]
        let shown = BenchmarkLoad.Direction.allCases.flatMap { direction in
            BenchmarkPlan.streams.compactMap { rate(direction, $0) }
        }
        if !shown.isEmpty { members.append(.init("rates", .array(shown.map(json)))) }
        let latencies = [("idle", alone), ("under_bulk", besideBulk)].filter { !$0.1.isEmpty }
        if !latencies.isEmpty {
            members.append(
                .init("ping_pong", .object(latencies.map { .init($0.0, json(Latency(medianOf: $0.1))) })))
        }
        if let openingsPerSecond { members.append(.init("new_tunnels_per_second", .number(openingsPerSecond))) }
        if let memory, let memoryWithTunnels {
            members.append(
                .init(
                    "resident_bytes",
                    .object([.init("idle", json(memory)), .init("with_idle_tunnels", json(memoryWithTunnels))])))
        }
        return .object(members)
    }

    private func json(_ rate: Rate) -> JSONValue {
        .object([
            .init("direction", .string(rate.direction.rawValue)), .init("streams", .count(rate.streams)),
            .init("bytes", .count(rate.bytes)), .init("seconds", .number(rate.duration.seconds)),
            .init("megabytes_per_second", .number(rate.megabytesPerSecond)),
            .init("local_cpu_seconds_per_gigabyte", .number(rate.local / rate.gigabytes)),
            .init("remote_cpu_seconds_per_gigabyte", .number(rate.remote / rate.gigabytes)),
        ])
    }

    private func json(_ latency: Latency) -> JSONValue {
        .object([
            .init("p50_microseconds", .number(Double(latency.median.nanoseconds) / 1e3)),
            .init("p99_microseconds", .number(Double(latency.p99.nanoseconds) / 1e3)),
        ])
    }

    private func json(_ memory: Memory) -> JSONValue {
        .object([.init("local", .count(memory.local)), .init("remote", .count(memory.remote))])
    }
}
