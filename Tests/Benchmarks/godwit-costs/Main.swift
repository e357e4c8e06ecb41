import ArgumentParser

/// What parts of Godwit cost in memory, without a network: see Tests/Benchmarks/bench.
@main
struct GodwitCosts: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "godwit-costs", abstract: "Measure what Godwit's protocols cost without a network.",
        subcommands: [HandshakesCommand.self, ClientsCommand.self])
}

/// A run that did not come to its end.
struct CostFailure: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}
