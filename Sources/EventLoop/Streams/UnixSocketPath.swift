internal import CSockets
internal import Glibc

/// The file that stands for a Unix-domain socket.
enum UnixSocketPath {
    /// Checks the directory and removes a socket that nobody answers at.
    static func makeFree(_ path: String) throws(SystemError) {
        try checkDirectory(of: path)
        var status = stat()
        // Writes nothing but `status`; the path is used during the call only.
        guard unsafe lstat(path, &status) == 0 else {
            if errno == ENOENT { return }
            throw SystemError(.bind, .path(path), code: errno)
        }
        // Whatever is no socket was not left behind by us.
        guard status.st_mode & S_IFMT == S_IFSOCK else { throw SystemError(.bind, .path(path), code: EEXIST) }
        let probe = unsafe gw_unix_connect(path)  // copies the path
        if probe >= 0 {
            gw_close(probe)
            throw SystemError(.bind, .path(path), code: EADDRINUSE)
        }
        // EAGAIN: somebody listens and is too busy to answer.
        guard -probe == ECONNREFUSED || -probe == ENOENT else {
            throw SystemError(.bind, .path(path), code: -probe == EAGAIN ? EADDRINUSE : -probe)
        }
        remove(path)
    }

    static func remove(_ path: String) {
        _ = unsafe unlink(path)  // the path is used during the call only
    }

    /// Another user who may write to the directory could put a socket of theirs in our place.
    private static func checkDirectory(of path: String) throws(SystemError) {
        let directory = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        var status = stat()
        // Writes nothing but `status`; the path is used during the call only.
        guard unsafe stat(directory, &status) == 0 else { throw SystemError(.bind, .path(path), code: errno) }
        guard status.st_mode & S_IFMT == S_IFDIR else { throw SystemError(.bind, .path(path), code: ENOTDIR) }
        let isOurs = status.st_uid == geteuid() || status.st_uid == 0
        // Sticky directories such as /tmp let only the owner of a file replace it.
        let isOpenToAll = status.st_mode & S_IWOTH != 0 && status.st_mode & S_ISVTX == 0
        guard isOurs, !isOpenToAll else { throw SystemError(.bind, .path(path), code: EPERM) }
    }
}

extension ByteStream {
    /// Connects to a Unix-domain socket; the outcome is known at once.
    public static func connect(
        path: String, on loop: EventLoop, handler: any ByteStreamHandler
    ) throws(SystemError) -> ByteStream {
        let descriptor = try check(unsafe gw_unix_connect(path), .connect, .path(path))  // copies the path
        let stream = ByteStream(socket: descriptor, kind: .local, remoteAddress: nil, on: loop)
        stream.setHandler(handler)
        return stream
    }
}
