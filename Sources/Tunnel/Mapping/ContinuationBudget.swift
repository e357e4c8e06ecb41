import Primitives

/// How often a tunnel may go to another origin without anything coming of it.
struct ContinuationBudget: Hashable, Sendable {
    /// Attempts in a row; then the application is told. Bounds the work that broken origins make.
    static let mostAttempts = 8
    /// Bytes for the application that something has come of an attempt from on: a byte for each would be too little.
    static let progress = 64 << 10

    private var attempts = 0
    private var bytes = 0

    /// The application got so many bytes.
    mutating func passed(_ count: Int) {
        bytes = min(bytes.addingSaturating(count), Self.progress)
        if bytes == Self.progress { attempts = 0 }
    }

    /// The application got all of a response.
    mutating func responseEnded() { attempts = 0 }

    /// Whether another attempt may be made, which begins now.
    mutating func spend() -> Bool {
        guard attempts < Self.mostAttempts else { return false }
        attempts += 1
        bytes = 0
        return true
    }
}
