import LocalEndpoint
import Primitives
import Testing
import Tunnel

@Suite("SOCKS5")
struct SOCKS5HandshakeTests {
    static let greeting: [UInt8] = [5, 1, 0]
    static let connectIPv4: [UInt8] = [5, 1, 0, 1, 192, 0, 2, 1, 0, 80]

    static func name(_ host: String, port: UInt16 = 443, command: UInt8 = 1) -> [UInt8] {
        [5, command, 0, 3, UInt8(host.utf8.count)] + Array(host.utf8) + [UInt8(port >> 8), UInt8(port & 0xff)]
    }

    static func login(_ user: String, _ password: String) -> [UInt8] {
        [1, UInt8(user.utf8.count)] + Array(user.utf8) + [UInt8(password.utf8.count)] + Array(password.utf8)
    }

    /// Everything a negotiation answers to some pieces, and how many of their bytes it took.
    static func run(
        _ pieces: [[UInt8]], _ handshake: SOCKS5Handshake = SOCKS5Handshake()
    ) -> (actions: [SOCKS5Handshake.Action], taken: Int) {
        var handshake = handshake
        var actions: [SOCKS5Handshake.Action] = []
        var taken = 0
        for piece in pieces {
            taken += handshake.receive(piece.span)
            while let action = handshake.nextAction() { actions.append(action) }
        }
        return (actions, taken)
    }

    @Test(
        "CONNECT is taken with every kind of address",
        arguments: [
            (connectIPv4, "192.0.2.1:80"),
            ([5, 1, 0, 4, 0x20, 1, 0xd, 0xb8] + Array(repeating: 0, count: 11) + [1, 0, 22], "[2001:db8::1]:22"),
            (name("Build.Internal"), "build.internal:443"), (name("192.0.2.1"), "192.0.2.1:443"),
            (name("::1"), "[::1]:443"),
        ] as [([UInt8], String)])
    func connects(request: [UInt8], destination: String) throws {
        let (actions, taken) = Self.run([Self.greeting, request])
        #expect(actions == [.reply([5, 0]), .connect(try #require(HostPort(destination)))])
        #expect(taken == 3 + request.count)
    }

    @Test("bytes behind the request are left to the tunnel")
    func payload() {
        let bytes = Self.greeting + Self.connectIPv4 + Array("GET / HTTP/1.1".utf8)
        let (actions, taken) = Self.run([bytes])
        #expect(actions.count == 2)
        #expect(taken == 13)
    }

    @Test("a user and a password are demanded where they are configured")
    func authentication() {
        let closed = SOCKS5Handshake(user: "me", password: "secret")
        #expect(
            Self.run([[5, 2, 0, 2], Self.login("me", "secret"), Self.connectIPv4], closed).actions.prefix(2) == [
                .reply([5, 2]), .reply([1, 0]),
            ])
        #expect(Self.run([[5, 1, 0]], closed).actions == [.fail([5, 0xff], .noAcceptableMethod)])
        for wrong in [("me", "Secret"), ("me", ""), ("", "secret"), ("me2", "secret"), ("me", "secret2")] {
            #expect(
                Self.run([[5, 1, 2], Self.login(wrong.0, wrong.1), Self.connectIPv4], closed).actions
                    == [.reply([5, 2]), .fail([1, 1], .wrongCredentials)])
        }
    }

    @Test("an open proxy takes any password from programs that insist on one")
    func anyPassword() {
        let (actions, _) = Self.run([[5, 1, 2], Self.login("x", "y"), Self.connectIPv4])
        #expect(actions.count == 3)
        #expect(actions.first == .reply([5, 2]))
    }

    @Test(
        "what is not offered is refused with the code of RFC 1928 §6",
        arguments: [
            (name("a", command: 2), SOCKSReply.commandNotSupported, .command(2)),
            (name("a", command: 3), .commandNotSupported, .command(3)),
            (name("a", command: 9), .commandNotSupported, .command(9)),
            ([5, 1, 0, 2, 0], .addressTypeNotSupported, .addressType(2)),
            (name("a", port: 0), .generalFailure, .destination), (name(""), .generalFailure, .destination),
            (name("a b"), .generalFailure, .destination),
            (name("127.1"), .generalFailure, .destination),
            ([5, 1, 0, 3, 2, 0xff, 0xfe, 0, 80], .generalFailure, .destination),
        ] as [([UInt8], SOCKSReply, SOCKS5Fault)])
    func refuses(request: [UInt8], reply: SOCKSReply, fault: SOCKS5Fault) {
        #expect(Self.run([Self.greeting, request]).actions == [.reply([5, 0]), .fail(reply.message, fault)])
    }

    @Test("another protocol is refused at its first byte")
    func versions() {
        #expect(Self.run([[4, 1]]).actions == [.fail([0, 91, 0, 0, 0, 0, 0, 0], .version(4))])
        #expect(Self.run([Array("GET / HTTP/1.1\r\n".utf8)]).actions == [.fail([], .version(0x47))])
        #expect(
            Self.run([[5, 1, 0], [4]]).actions == [.reply([5, 0]), .fail([0, 91, 0, 0, 0, 0, 0, 0], .version(4))])
        #expect(Self.run([[5, 0]]).actions == [.fail([5, 0xff], .noAcceptableMethod)])
        #expect(Self.run([[5, 1, 2], [5]]).actions == [.reply([5, 2]), .fail([1, 1], .wrongCredentials)])
    }

    @Test("a reply is ten bytes with the code second")
    func replies() {
        #expect(SOCKSReply.connectionRefused.message == [5, 5, 0, 1, 0, 0, 0, 0, 0, 0])
    }

    @Test("any fragmentation comes to the same")
    func fragmentation() {
        var generator = SeededGenerator(seed: 6)
        let conversations: [[UInt8]] = [
            Self.greeting + Self.connectIPv4 + [1, 2, 3],
            [5, 2, 0, 2] + Self.login("me", "secret") + Self.name("example.com") + [9],
            [5, 1, 2] + Self.login("me", "no"), Self.greeting + Self.name("a", command: 3),
            [5, 255] + Array(repeating: 0, count: 255) + Self.connectIPv4,
        ]
        for bytes in conversations {
            for handshake in [SOCKS5Handshake(), SOCKS5Handshake(user: "me", password: "secret")] {
                let whole = Self.run([bytes], handshake)
                for _ in 0..<20 {
                    let pieces = Self.pieces(of: bytes, using: &generator)
                    let parts = Self.run(pieces, handshake)
                    #expect(parts.actions == whole.actions)
                    #expect(parts.taken == whole.taken)
                }
                #expect(Self.run(bytes.map { [$0] }, handshake).actions == whole.actions)
            }
        }
    }

    @Test("garbage never traps, and ends in at most one connect or failure")
    func garbage() {
        var generator = SeededGenerator(seed: 7)
        for round in 0..<5_000 {
            var bytes = (0..<Int.random(in: 0...40, using: &generator)).map { _ in
                UInt8.random(in: 0...6, using: &generator)
            }
            if round % 2 == 0, !bytes.isEmpty { bytes[0] = 5 }
            let pieces = Self.pieces(of: bytes, using: &generator)
            let ends = Self.run(pieces).actions.filter {
                if case .reply = $0 { false } else { true }
            }
            #expect(ends.count <= 1)
        }
    }

    /// A text cut at random places, with empty pieces among them.
    static func pieces(of bytes: [UInt8], using generator: inout SeededGenerator) -> [[UInt8]] {
        var pieces: [[UInt8]] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = Int.random(in: 0...min(rest.count, 12), using: &generator)
            pieces.append(Array(rest.prefix(count)))
            rest = rest.dropFirst(count)
        }
        return pieces
    }
}
