import FoundationEssentials
import Glibc

/// A program that was started from here, in a process group of its own: what a terminal sends does not reach it.
///
/// Foundation's `Process` would do, but linking it takes memory in every process of the program.
final class ChildProcess {
    /// Its standard streams; no other descriptor of this program is left open in it.
    struct Streams {
        var input: ChildFile
        var output: ChildFile
        var error: ChildFile
    }

    let identifier: Int32
    /// What the system said at its end.
    private var end: Int32?

    /// Where this program is.
    static func ownProgram() throws -> String {
        try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    }

    /// Starts a program with this process's environment, and `variables` instead of what that says of them.
    ///
    /// - Parameter program: Its path.
    init(
        _ program: String, _ arguments: [String], variables: [String: String] = [:], _ streams: Streams
    ) throws(ChildFailure) {
        let environment = ProcessInfo.processInfo.environment.merging(variables) { $1 }
        var child: pid_t = 0
        // Copies for the call, ended by nil, freed after it; attributes and actions are made and freed here.
        var words = unsafe ([program] + arguments).map { unsafe strdup($0) } + [nil]
        var settings = unsafe environment.map { unsafe strdup("\($0)=\($1)") } + [nil]
        var actions = unsafe posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        var none = sigset_t()
        defer { unsafe (words + settings).forEach { unsafe free($0) } }
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        for (target, source) in [streams.input, streams.output, streams.error].enumerated() {
            unsafe posix_spawn_file_actions_adddup2(&actions, source.descriptor, Int32(target))
        }
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        unsafe sigemptyset(&none)
        unsafe posix_spawnattr_setsigmask(&attributes, &none)
        unsafe posix_spawnattr_setpgroup(&attributes, 0)
        unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK))
        let code = withExtendedLifetime(streams) {
            unsafe posix_spawn(&child, program, &actions, &attributes, &words, &settings)
        }
        guard code == 0 else { throw ChildFailure(program, code) }
        identifier = child
    }

    /// Whether it has not ended.
    var isRunning: Bool { wait(WNOHANG) == nil }

    /// Whether it has ended with status 0.
    var hasSucceeded: Bool { wait(WNOHANG) == 0 }

    /// Waits for its end, and tells whether it ended with status 0.
    @discardableResult
    func waitForEnd() -> Bool { wait(0) == 0 }

    private func wait(_ options: Int32) -> Int32? {
        guard end == nil else { return end }
        var status: Int32 = 0
        var result: pid_t
        // The call writes the status.
        repeat { result = unsafe waitpid(identifier, &status, options) } while result < 0 && errno == EINTR
        if result != 0 { end = result < 0 ? -1 : status }
        return end
    }
}

/// Why a program could not be started.
struct ChildFailure: Error, CustomStringConvertible {
    let description: String

    init(_ program: String, _ code: Int32) {
        // The text is the system's and is copied at once.
        let reason = unsafe strerror(code).map { unsafe String(cString: $0) }
        description = "cannot start \(program): \(reason ?? "error \(code)")"
    }
}

/// A file or an end of a pipe, closed with the object or before.
final class ChildFile {
    private(set) var descriptor: Int32

    /// Opens a file to add to its end, making it where it is missing, for this user only.
    init(addingTo path: String) throws(ChildFailure) {
        // The path is copied.
        descriptor = unsafe open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw ChildFailure(path, errno) }
    }

    /// Takes what is written and has nothing to read.
    static func nothing() throws(ChildFailure) -> ChildFile { try ChildFile(addingTo: "/dev/null") }

    private init(_ descriptor: Int32) { self.descriptor = descriptor }

    /// Both ends of a new pipe.
    static func pipe() throws(ChildFailure) -> (reading: ChildFile, writing: ChildFile) {
        var ends: [Int32] = [-1, -1]
        // The call writes two descriptors.
        guard unsafe Glibc.pipe(&ends) == 0 else { throw ChildFailure("a pipe", errno) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        return (ChildFile(ends[0]), ChildFile(ends[1]))
    }

    deinit { close() }

    func close() {
        if descriptor >= 0 { Glibc.close(descriptor) }
        descriptor = -1
    }

    /// Writes a few bytes, fewer than a pipe holds.
    func write(_ text: String) {
        // The bytes are read during the call only.
        _ = unsafe Array(text.utf8).withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
    }

    /// Reads until the end.
    func readToEnd() -> String {
        var text: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            // The memory is written during the call only.
            let count = unsafe buffer.withUnsafeMutableBytes { unsafe read(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return String(decoding: text, as: UTF8.self) }
            text += buffer.prefix(count)
        }
    }
}
