import Glibc
import Simulator
import Testing

/// Plays a scenario and records what was not as expected, with the seed and the end of the trace.
///
/// `GODWIT_SEED=17 swift test --filter …` plays with that seed instead, to look into a failure or to search for one.
@discardableResult
func play(_ scenario: Scenario, seed: UInt64? = nil, sourceLocation: SourceLocation = #_sourceLocation)
    -> ScenarioReport
{
    let report = scenario.run(seed: seedFromEnvironment ?? seed)
    if !report.succeeded { Issue.record("\(report)", sourceLocation: sourceLocation) }
    return report
}

private let seedFromEnvironment: UInt64? = {
    // The environment is not changed while tests run, so the string outlives the copy made of it.
    guard let text = unsafe getenv("GODWIT_SEED") else { return nil }
    return unsafe UInt64(String(cString: text))
}()
