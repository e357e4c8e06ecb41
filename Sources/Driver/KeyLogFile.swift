import Glibc
import Synchronization

/// The file named by SSLKEYLOGFILE, to which the secrets of connections are appended for tools such as Wireshark.
///
/// Whoever reads it reads everything: it is made for its owner alone.
public final class KeyLogFile: Sendable {
    private let descriptor: Int32

    /// Opens or creates the file, readable by its owner; nil when that fails.
    public init?(path: String) {
        descriptor = unsafe open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o600)  // the call copies the path
        guard descriptor >= 0 else { return nil }
    }

    deinit { _ = close(descriptor) }

    /// Appends one line, with one call, so that lines of several threads do not mix.
    public func append(_ line: String) {
        let bytes = Array((line + "\n").utf8)
        // The pointer is used during the call only.
        _ = unsafe bytes.withUnsafeBytes { unsafe write(descriptor, $0.baseAddress, $0.count) }
    }
}
