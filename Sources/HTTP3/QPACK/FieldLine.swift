/// A field as it came out of a field section: bytes that nothing has been checked of yet.
struct FieldLine: Hashable, Sendable {
    var name: [UInt8]
    var value: [UInt8]

    /// What each field costs beyond its bytes when field sections are measured (RFC 9114 §4.2.2), in bytes.
    static let overhead = 32
}
