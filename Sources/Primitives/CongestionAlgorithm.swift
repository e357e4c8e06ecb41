/// How much may be in flight and how fast it leaves, and what congestion does to both: a closed choice. The raw values are what
/// configurations and reports say.
public enum CongestionAlgorithm: String, Hashable, Sendable, CaseIterable {
    /// RFC 9002 §7.
    case newReno = "newreno"
    /// RFC 9438.
    case cubic
    /// draft-ietf-ccwg-bbr-06.
    case bbr

    /// What is used where nobody chose.
    public static let standard = CongestionAlgorithm.cubic
}
