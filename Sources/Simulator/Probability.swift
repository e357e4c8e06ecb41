import Primitives

/// A probability from 0 to 1; values outside are brought to the nearer end.
public struct Probability: Hashable, Comparable, Sendable, ExpressibleByFloatLiteral, ExpressibleByIntegerLiteral {
    /// The probability as a fraction of 1.
    public let fraction: Double

    /// Creates a probability from a fraction of 1.
    public init(_ fraction: Double) { self.fraction = min(max(fraction, 0), 1) }
    /// Creates a probability from a literal fraction of 1.
    public init(floatLiteral value: Double) { self.init(value) }
    /// Creates certainty (1) or impossibility (0).
    public init(integerLiteral value: Int) { self.init(Double(value)) }

    public static func < (a: Probability, b: Probability) -> Bool { a.fraction < b.fraction }
}

extension SeededGenerator {
    /// Draws once: whether an event of probability `p` happens. Draws nothing when it is impossible.
    mutating func happens(_ p: Probability) -> Bool {
        guard p.fraction > 0 else { return false }
        // 53 random bits: exactly what a Double in [0, 1) holds, the same on every machine.
        return Double(next() >> 11) * 0x1p-53 < p.fraction
    }

    /// A number from 0 to `bound`, both included.
    mutating func number(upTo bound: UInt64) -> UInt64 {
        bound == .max ? next() : next() % (bound + 1)
    }

    /// A generator for one purpose, whose numbers do not depend on what other purposes draw.
    static func derived(from seed: UInt64, purpose: UInt64) -> SeededGenerator {
        var mixer = SeededGenerator(seed: seed ^ (purpose &* 0xD1B5_4A32_D192_ED03))
        return SeededGenerator(seed: mixer.next())
    }
}
