internal import COpenSSL

/// Something given to the cryptography could not be used: a file that is no certificate, a key that does not fit.
public struct CryptographyError: Error, Hashable, Sendable {
    /// One line for a human: what failed and why, with OpenSSL's words where it has any.
    public let reason: String

    /// Creates an error from a line for a human.
    public init(_ reason: String) { self.reason = reason }

    /// Creates an error from what failed and the oldest entry of OpenSSL's error queue, and empties that queue.
    init(openSSL what: String) {
        let detail = OpenSSLErrors.takeReason()
        reason = detail.map { "\(what): \($0)" } ?? what
    }
}

/// The calling thread's queue of OpenSSL errors.
public enum OpenSSLErrors {
    /// Forgets errors that earlier calls left behind; libssl takes any leftover for its own.
    public static func clear() { ERR_clear_error() }

    /// Empties the queue and returns the text of its oldest entry, which is where the failure began.
    public static func takeReason() -> String? {
        let code = ERR_get_error()
        ERR_clear_error()
        guard code != 0 else { return nil }
        // The text is a constant of the library.
        guard let text = unsafe ERR_reason_error_string(code) else { return "OpenSSL error \(code)" }
        return unsafe String(cString: text)
    }
}
