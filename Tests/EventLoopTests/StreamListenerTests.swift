import CFaults
import EventLoop
import Glibc
import Primitives
import Testing

@Suite("Listeners")
struct StreamListenerTests {
    @Test("a flood of connections is accepted in bounded portions, all of them")
    func flood() throws {
        let loop = try EventLoop()
        let recorder = StreamRecorder()
        let listener = try StreamListener(tcp: loopback(), on: loop, handler: recorder)
        let connecting = ConnectRecorder()
        let address = try #require(listener.localAddress)
        let count = StreamListener.acceptsPerTurn + 20
        let attempts = try (0..<count).map { _ in
            try TCPConnectAttempt(to: address, on: loop, handler: connecting)
        }
        var largest = 0
        var before = 0
        #expect(
            loop.run {
                largest = max(largest, recorder.accepted.count - before)
                before = recorder.accepted.count
                return before == count
            })
        #expect(largest <= StreamListener.acceptsPerTurn)
        for attempt in attempts { attempt.cancel() }
        connecting.closeAll()
        for stream in recorder.accepted { stream.close() }
        listener.close()
    }

    @Test(
        "without descriptors the listener says so, pauses, does not spin, and goes on",
        arguments: [EMFILE, ENFILE, ENOBUFS])
    func exhaustion(error: Int32) throws {
        let loop = try EventLoop()
        let recorder = StreamRecorder()
        let listener = try StreamListener(tcp: loopback(), on: loop, handler: recorder)
        defer {
            faults_refuse_accepts(0, 0)
            listener.close()
        }
        faults_refuse_accepts(1, error)
        let connecting = ConnectRecorder()
        let attempt = try TCPConnectAttempt(
            to: try #require(listener.localAddress), on: loop, handler: connecting)
        #expect(loop.run { recorder.pauses.count == 1 })
        #expect(recorder.pauses.first?.code == error)
        #expect(!listener.isAccepting)
        let turns = loop.turnCount
        #expect(loop.run { recorder.accepted.count == 1 })
        #expect(loop.turnCount < turns + 10)
        #expect(recorder.pauses.count == 1)
        attempt.cancel()
        connecting.closeAll()
        for stream in recorder.accepted { stream.close() }
    }

    @Test("a connection that was gone before it was accepted does not stop the others")
    func connectionAborted() throws {
        let loop = try EventLoop()
        let recorder = StreamRecorder()
        let listener = try StreamListener(tcp: loopback(), on: loop, handler: recorder)
        defer {
            faults_refuse_accepts(0, 0)
            listener.close()
        }
        faults_refuse_accepts(2, ECONNABORTED)
        let connecting = ConnectRecorder()
        let attempt = try TCPConnectAttempt(
            to: try #require(listener.localAddress), on: loop, handler: connecting)
        #expect(loop.run { recorder.accepted.count == 1 })
        #expect(recorder.pauses.isEmpty)
        attempt.cancel()
        connecting.closeAll()
        for stream in recorder.accepted { stream.close() }
    }

    @Test("a port in use is one line that says where and what to do")
    func portInUse() throws {
        let loop = try EventLoop()
        let recorder = StreamRecorder()
        let listener = try StreamListener(tcp: loopback(), on: loop, handler: recorder)
        defer { listener.close() }
        let address = try #require(listener.localAddress)
        do {
            _ = try StreamListener(tcp: address, on: loop, handler: recorder)
            Issue.record("the second listener must fail")
        } catch let error {
            #expect(
                error.description
                    == "cannot listen on \(address): address already in use (EADDRINUSE); "
                    + "another process listens there; choose another port or stop it")
        }
    }

    // MARK: Unix-domain sockets

    func mode(of path: String) -> mode_t {
        var status = stat()
        return unsafe lstat(path, &status) == 0 ? status.st_mode & 0o7777 : 0
    }

    @Test("a Unix-domain socket carries bytes, is its user's alone, and is removed at the end")
    func unixSocket() throws {
        let loop = try EventLoop()
        let recorder = StreamRecorder()
        let path = temporaryPath("control.sock")
        defer { removeTemporary(path) }
        let listener = try StreamListener(path: path, on: loop, handler: recorder)
        #expect(mode(of: path) == 0o600)
        let client = try ByteStream.connect(path: path, on: loop, handler: recorder)
        #expect(loop.run { recorder.accepted.count == 1 })
        let server = try #require(recorder.accepted.first)
        #expect(server.kind == .local && server.peerUser == geteuid())
        server.setHandler(recorder)
        server.isReading = true
        let bytes = pattern(1000)
        _ = client.write(bytes.span)
        try client.shutdownWrite()
        #expect(loop.run { recorder.hasEnded })
        #expect(recorder.bytes == bytes)
        client.close()
        server.close()
        listener.close()
        #expect(mode(of: path) == 0)
    }

    @Test("a socket that a dead process left is replaced; one that answers is in use")
    func staleSocket() throws {
        let loop = try EventLoop()
        let recorder = StreamRecorder()
        let path = temporaryPath("control.sock")
        defer { removeTemporary(path) }
        let first = try StreamListener(path: path, on: loop, handler: recorder)
        #expect(throws: SystemError(.bind, .path(path), code: EADDRINUSE)) {
            _ = try StreamListener(path: path, on: loop, handler: recorder)
        }
        // A link keeps the file when the listener removes its own name, as if the process had been killed.
        try #require(unsafe link(path, path + ".kept") == 0)
        first.close()
        try #require(unsafe rename(path + ".kept", path) == 0)
        let second = try StreamListener(path: path, on: loop, handler: recorder)
        let client = try ByteStream.connect(path: path, on: loop, handler: recorder)
        client.close()
        second.close()
    }

    @Test("a file that is no socket is left alone")
    func foreignFile() throws {
        let loop = try EventLoop()
        let path = temporaryPath("control.sock")
        defer { removeTemporary(path) }
        close(unsafe open(path, O_CREAT | O_WRONLY, 0o644))
        #expect(throws: SystemError(.bind, .path(path), code: EEXIST)) {
            _ = try StreamListener(path: path, on: loop, handler: StreamRecorder())
        }
        #expect(mode(of: path) == 0o644)
    }

    @Test("a directory that everybody may write to is refused")
    func openDirectory() throws {
        let loop = try EventLoop()
        let path = temporaryPath("control.sock")
        defer { removeTemporary(path) }
        let directory = String(path.dropLast("/control.sock".count))
        try #require(unsafe chmod(directory, 0o777) == 0)
        #expect(throws: SystemError(.bind, .path(path), code: EPERM)) {
            _ = try StreamListener(path: path, on: loop, handler: StreamRecorder())
        }
    }

    @Test("a path that is too long is an error")
    func longPath() throws {
        let loop = try EventLoop()
        let path = temporaryPath(String(repeating: "x", count: 120))
        defer { removeTemporary(path) }
        #expect(throws: SystemError(.bind, .path(path), code: ENAMETOOLONG)) {
            _ = try StreamListener(path: path, on: loop, handler: StreamRecorder())
        }
    }
}
