/// Why a tunnel's bytes, or one response in them, cannot be followed or continued.
struct MappingFault: Error, Hashable, Sendable {
    /// One sentence for the log.
    let reason: String

    init(_ reason: String) { self.reason = reason }
}
