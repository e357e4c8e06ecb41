public import ArgumentParser
internal import Configuration
public import Lab
internal import Primitives

extension BenchmarkPlan.Part: ExpressibleByArgument {}

/// `godwit bench`: what it costs here.
struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measure what the tunnel costs on this machine, beside ssh -L and stunnel.",
        discussion: """
            Starts a gateway, a local endpoint and an origin on loopback, and what else is installed, and measures all of \
            them in turns: bytes a second and processor time for a gigabyte, how long a byte takes there and back, new \
            tunnels a second, memory. Every byte is compared. Needs no privilege; nothing of yours is read or changed.
            """)

    @Argument(help: "What to measure: rate, latency, openings, memory (default: all).")
    var parts: [BenchmarkPlan.Part] = []

    @Option(
        name: .customLong("system"),
        help: "Measure only this way, one of \(BenchmarkPlan.allSystems.joined(separator: ", ")); repeatable.")
    var systems: [String] = []

    @Flag(help: "Print one line of JSON.")
    var json = false

    @Flag(help: "As short as it takes to see that it works.")
    var quick = false

    @Option(help: "How often everything is measured; medians are told.")
    var rounds: Int?

    @Option(help: "About how many seconds one measurement takes.")
    var seconds: Double?

    @Option(help: "How many idle tunnels memory is measured with, at most 4,000.")
    var idleTunnels: Int?

    @Option(
        help: ArgumentHelp(
            "A program that prints floor=CPU-seconds for a gigabyte, run in turns with the rates.",
            valueName: "command"))
    var floor: String?

    @Option(
        help: ArgumentHelp(
            "Where the remote sides and the origin are instead of loopback: a network namespace and its address. Needs root.",
            valueName: "name,address"))
    var far: String?

    func validate() throws {
        if let name = systems.first(where: { !BenchmarkPlan.allSystems.contains($0) }) {
            throw ValidationError(
                "there is no system \(name); there are \(BenchmarkPlan.allSystems.joined(separator: ", "))")
        }
        guard far == nil || farSide != nil else {
            throw ValidationError("--far must be the name of a network namespace, a comma and an IPv4 address")
        }
        guard (1...100).contains(rounds ?? 1) else { throw ValidationError("--rounds must be from 1 to 100") }
        guard (0.05...600).contains(seconds ?? 1) else { throw ValidationError("--seconds must be from 0.05 to 600") }
        guard (1...4000).contains(idleTunnels ?? 1) else {
            throw ValidationError("--idle-tunnels must be from 1 to 4000: one connection carries no more")
        }
    }

    private var farSide: FarSide? {
        let parts = (far ?? "").split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, !parts[0].isEmpty, let address = IPAddress(parts[1]) else { return nil }
        return FarSide(namespace: parts[0], address: address)
    }

    private var plan: BenchmarkPlan {
        var plan = quick ? BenchmarkPlan.quick : BenchmarkPlan()
        if !parts.isEmpty { plan.parts = parts }
        if !systems.isEmpty { plan.systems = systems }
        if let rounds { plan.rounds = rounds }
        if let seconds { plan.duration = .milliseconds(Int64(seconds * 1000)) }
        if let idleTunnels { plan.idleTunnels = idleTunnels }
        if let floor { plan.floor = floor.split(separator: " ").map(String.init) }
        if let farSide { plan.far = farSide }
        return plan
    }

    func run() throws {
        do {
            let report = try Benchmark(plan) { note("bench: \($0)") }.run()
            print(json ? report.json : report.table)
        } catch let failure as BenchmarkFailure {
            throw CommandFailure("\(failure)", .failed)
        }
    }
}
