import Configuration
import Glibc
import Primitives
import Testing

/// A folder of its own for one test.
private func withFolder(_ body: (String) throws -> Void) throws {
    let folder = "/tmp/godwit-test-\(Token.generate().text)"
    try ConfigurationFile.makeFolder(folder)
    defer { _ = unsafe system("rm -rf \(folder)") }
    try body(folder)
}

private func mode(_ path: String) -> UInt32 {
    var status = stat()
    // Unsafe: `status` is a local that outlives the call.
    _ = unsafe stat(path, &status)
    return status.st_mode & 0o777
}

@Suite("Configuration files on disk")
struct ConfigurationFileTests {
    @Test("a file is written whole, with the mode asked for, and never over another unless told to")
    func writes() throws {
        try withFolder { folder in
            let path = folder + "/a"
            try ConfigurationFile.write("one", to: path, mode: 0o600, existing: .keep)
            #expect(mode(path) == 0o600)
            #expect(throws: ConfigurationError.self) {
                try ConfigurationFile.write("two", to: path, mode: 0o600, existing: .keep)
            }
            #expect(try ConfigurationFile.read(path) == "one")
            try ConfigurationFile.write("two", to: path, mode: 0o644, existing: .replace)
            #expect(try ConfigurationFile.read(path) == "two")
            #expect(mode(path) == 0o644)
            #expect(mode(folder) == 0o700)
        }
    }

    @Test("what cannot be read is an error that names the file")
    func readErrors() throws {
        try withFolder { folder in
            for path in ["/nonexistent/x.toml", folder] {
                let error = #expect(throws: ConfigurationError.self) { try ConfigurationFile.read(path) }
                #expect(error?.source == path)
            }
            try ConfigurationFile.write(
                String(repeating: "a", count: 5 << 20), to: folder + "/b", mode: 0o600, existing: .keep)
            #expect(throws: ConfigurationError.self) { try ConfigurationFile.read(folder + "/b") }
        }
    }

    @Test("a change of users is kept")
    func users() throws {
        try withFolder { folder in
            let path = folder + "/users.toml"
            var users = UsersFile()
            try users.save(path, existing: .keep)
            let token = Token.generate()
            try ConfigurationFile.withLock(on: path) { () throws(ConfigurationError) in
                users = try UsersFile.load(path)
                try? users.add("laptop", token: token, created: 0)
                try users.save(path, existing: .replace)
            }
            #expect(try UsersFile.load(path).user(for: token)?.name == "laptop")
            #expect(mode(path) == 0o600)
        }
    }

    @Test("a list of invites beside the file is read")
    func invitesFile() throws {
        try withFolder { folder in
            let invite = Invite(token: .generate(), gateway: try #require(HostPort("gw.example:443")), pins: [])
            try ConfigurationFile.write(invite.text, to: folder + "/invites", mode: 0o600, existing: .keep)
            try ConfigurationFile.write(
                "gateways_file = \"invites\"", to: folder + "/local.toml", mode: 0o600, existing: .keep)
            let surroundings = Surroundings(variables: [:], userID: 0)
            #expect(
                try LocalConfiguration.load(folder + "/local.toml", surroundings: surroundings).gateways == [invite])
        }
    }
}
