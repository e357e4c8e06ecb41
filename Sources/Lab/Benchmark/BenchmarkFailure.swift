/// Why the benchmark cannot go on, in a sentence.
public struct BenchmarkFailure: Error, Hashable, Sendable, CustomStringConvertible {
    public var description: String

    init(_ description: String) { self.description = description }
}
