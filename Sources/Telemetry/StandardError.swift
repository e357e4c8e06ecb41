internal import Glibc

/// Writes whole lines to standard error; the one place where the log leaves the process.
public enum StandardError {
    /// Writes a line in as few system calls as the kernel allows. What cannot be written is dropped: a log that is not read must not stop a
    /// tunnel with an error.
    public static func write(_ line: String) {
        var rest = Array(line.utf8)[...]
        while !rest.isEmpty {
            // Unsafe: the pointer is valid for the call and its length goes with it.
            let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }
}
