/// PATH_CHALLENGE data that waits for its PATH_RESPONSE (RFC 9000 §8.2.2); each is answered once, and never again.
struct ReceivedChallenges: Equatable {
    /// Answers that may wait on one path; beyond it the oldest is dropped (CVE-2023-49295).
    static let maximumWaiting = 4

    private var waiting: [UInt64] = []
    /// Challenges that have arrived so far.
    private(set) var total: UInt64 = 0

    var isEmpty: Bool { waiting.isEmpty }

    /// Answers that wait.
    var count: Int { waiting.count }

    mutating func received(_ data: UInt64) {
        total &+= 1
        if waiting.count == Self.maximumWaiting { waiting.removeFirst() }
        waiting.append(data)
    }

    /// Takes out everything that waits.
    mutating func takeAll() -> [UInt64] {
        defer { waiting = [] }
        return waiting
    }
}
