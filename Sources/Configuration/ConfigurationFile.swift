internal import Glibc

/// The one place where configuration is read from and written to disk.
///
/// The system calls marked unsafe take a path as a C string: the compiler makes one from a `String` for the call's duration.
public enum ConfigurationFile {
    /// Bytes in the largest file that is read; a larger one is an error.
    public static let largest = 4 << 20

    /// What a write does with a file that exists.
    public enum Existing: Sendable {
        /// Leaves it and fails.
        case keep
        /// Puts the new file into its place in one step, with the old owner.
        case replace
    }

    /// Reads a text file.
    public static func read(_ path: String) throws(ConfigurationError) -> String {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure(path, "cannot be read", errno) }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            // Unsafe: the pointer is valid for the call and its length goes with it.
            let count = unsafe buffer.withUnsafeMutableBytes { unsafe Glibc.read(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure(path, "cannot be read", errno) }
            if count == 0 { break }
            bytes += buffer.prefix(count)
            guard bytes.count <= largest else {
                throw ConfigurationError(source: path, message: "is larger than 4 MiB; give a configuration file")
            }
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw ConfigurationError(source: path, message: "is not UTF-8 text; save it as UTF-8")
        }
        return text
    }

    /// Whether something exists at a path.
    public static func exists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }

    /// Makes a folder and those above it, for the owner only.
    public static func makeFolder(_ path: String) throws(ConfigurationError) {
        var partial = ""
        for part in path.split(separator: "/", omittingEmptySubsequences: false) {
            partial += part + "/"
            if part.isEmpty || exists(partial) { continue }
            guard unsafe mkdir(partial, 0o700) == 0 || errno == EEXIST else {
                throw failure(partial, "cannot be made", errno)
            }
        }
    }

    /// Writes a file so that a reader, or a crash, meets either the old content or the new.
    public static func write(
        _ text: String, to path: String, mode: UInt32, existing: Existing
    ) throws(ConfigurationError) {
        let temporary = "\(path).\(getpid()).new"
        _ = unsafe unlink(temporary)
        let descriptor = unsafe open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode)
        guard descriptor >= 0 else { throw failure(path, "cannot be written", errno) }
        defer {
            close(descriptor)
            _ = unsafe unlink(temporary)
        }
        keepOwner(of: path, descriptor)
        guard writeAll(Array(text.utf8), descriptor), fchmod(descriptor, mode) == 0, fsync(descriptor) == 0 else {
            throw failure(path, "cannot be written", errno)
        }
        switch existing {
        case .replace:
            guard unsafe rename(temporary, path) == 0 else { throw failure(path, "cannot be replaced", errno) }
        case .keep:
            // link, unlike rename, fails when the name is taken.
            guard unsafe link(temporary, path) == 0 else {
                let advice = errno == EEXIST ? "exists; nothing was written over it" : "cannot be written"
                throw errno == EEXIST
                    ? ConfigurationError(source: path, message: advice) : failure(path, advice, errno)
            }
        }
        synchronizeFolder(of: path)
    }

    /// Runs a change of a file alone: other processes that change files of the same folder wait.
    public static func withLock<Result>(
        on path: String, _ body: () throws(ConfigurationError) -> Result
    ) throws(ConfigurationError) -> Result {
        let folder = folder(of: path)
        let descriptor = unsafe open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure(folder, "cannot be opened", errno) }
        defer { close(descriptor) }
        guard flock(descriptor, LOCK_EX) == 0 else { throw failure(folder, "cannot be locked", errno) }
        return try body()
    }

    private static func folder(of path: String) -> String {
        let folder = Surroundings.folder(of: path)
        return folder.isEmpty ? "." : folder
    }

    /// A gateway that runs as a user of its own must still be able to read what root rewrites.
    private static func keepOwner(of path: String, _ descriptor: Int32) {
        var status = stat()
        // Unsafe: `status` is a local that outlives the call.
        guard unsafe stat(path, &status) == 0 else { return }
        _ = fchown(descriptor, status.st_uid, status.st_gid)
    }

    private static func writeAll(_ bytes: [UInt8], _ descriptor: Int32) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            // Unsafe: the pointer is valid for the call and its length goes with it.
            let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }

    private static func synchronizeFolder(of path: String) {
        let descriptor = unsafe open(folder(of: path), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        fsync(descriptor)
        close(descriptor)
    }

    private static func failure(_ path: String, _ what: String, _ code: Int32) -> ConfigurationError {
        let advice =
            switch code {
            case ENOENT: "there is no such file or folder; check the path"
            case EACCES, EPERM: "permission denied; check its owner and mode, or run as its owner"
            case EISDIR: "it is a folder; give a file"
            case ENOTDIR: "a part of the path is no folder; check the path"
            case EROFS: "the file system is read-only; choose another place"
            case ENOSPC: "the disk is full; make room"
            // Unsafe: strerror lends a C string, copied at once.
            default: unsafe "\(String(cString: strerror(code))); check the path"
            }
        return ConfigurationError(source: path, message: "\(what): \(advice)")
    }
}

extension Surroundings {
    /// Those of this process: the variables that paths and invites may name, and the user.
    public static func process(
        variables names: [String] = ["XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "HOME", "GODWIT_INVITE"]
    ) -> Surroundings {
        var variables: [String: String] = [:]
        for name in names {
            // Unsafe: getenv lends a C string, copied at once; nothing in this program changes the environment.
            if let value = unsafe getenv(name) { variables[name] = unsafe String(cString: value) }
        }
        return Surroundings(variables: variables, userID: geteuid())
    }
}

extension GatewayConfiguration {
    /// Reads a `gateway.toml` from disk.
    public static func load(_ path: String, surroundings: Surroundings) throws(ConfigurationError)
        -> GatewayConfiguration
    {
        try GatewayConfiguration(text: ConfigurationFile.read(path), source: path, surroundings: surroundings)
    }
}

extension LocalConfiguration {
    /// Reads a `local.toml`, and the file of invites it may name, from disk.
    public static func load(_ path: String, surroundings: Surroundings) throws(ConfigurationError) -> LocalConfiguration
    {
        try LocalConfiguration(
            text: ConfigurationFile.read(path), source: path, surroundings: surroundings,
            invites: { (path) throws(ConfigurationError) in try ConfigurationFile.read(path) })
    }
}

extension UsersFile {
    /// Reads a `users.toml` from disk.
    public static func load(_ path: String) throws(ConfigurationError) -> UsersFile {
        try UsersFile(text: ConfigurationFile.read(path), source: path)
    }

    /// Writes the users, readable by the owner only, in one step.
    public func save(_ path: String, existing: ConfigurationFile.Existing) throws(ConfigurationError) {
        try ConfigurationFile.write(text, to: path, mode: 0o600, existing: existing)
    }
}
