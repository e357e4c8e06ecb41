/// A small deterministic generator (SplitMix64) for simulations and tests: same seed, same numbers.
///
/// Not for secrets or for anything an attacker must not predict; that is `KeyedGenerator` in Cryptography.
public struct SeededGenerator: RandomNumberGenerator, Sendable {
    var state: UInt64

    /// Creates a generator; every seed gives its own sequence.
    public init(seed: UInt64) { state = seed }

    /// The next 64 pseudo-random bits.
    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
