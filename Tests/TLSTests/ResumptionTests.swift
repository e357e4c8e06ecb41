import Cryptography
import Primitives
import TLS
import Testing

struct ResumptionTests {
    let identity: Identity
    let secret = SecretBytes([UInt8](repeating: 3, count: 32))

    init() throws { identity = try Fixture.ed25519.get() }

    func server(_ change: (inout TLSServerConfiguration) -> Void = { _ in }) throws -> TLSContext {
        try Fixture.server(identity) { configuration in
            configuration.ticketSecret = secret
            change(&configuration)
        }
    }

    /// Runs a handshake and returns it; the ticket is offered when there is one.
    @discardableResult
    func connect(
        _ client: TLSContext, _ server: TLSContext, ticket: SessionTicket? = nil, name: String = "server.test",
        pieces: Handshake.Pieces = .whole
    ) throws -> Handshake {
        let handshake = try Handshake(client: client, server: server, name: name, ticket: ticket)
        try handshake.run(pieces)
        #expect(handshake.secretsAgree)
        #expect(handshake.client.summary?.isResumed == handshake.server.summary?.isResumed)
        return handshake
    }

    func isResumed(
        _ client: TLSContext, _ server: TLSContext, ticket: SessionTicket?, name: String = "server.test"
    ) throws -> Bool {
        try connect(client, server, ticket: ticket, name: name).client.summary?.isResumed ?? false
    }

    @Test("a ticket resumes, also in pieces, and its successor again", arguments: [0, 1])
    func resumes(pieces: Int) throws {
        let client = try Fixture.client(trusting: identity)
        let server = try server()
        var ticket = try #require(try connect(client, server).client.tickets.first)
        for _ in 0..<3 {
            let handshake = try connect(client, server, ticket: ticket, pieces: pieces == 0 ? .whole : .bytes(pieces))
            #expect(handshake.client.summary?.isResumed == true)
            // No certificate went over the wire, and the client still knows whose key it was.
            #expect(!handshake.server.trace.contains("handshake 11"))
            #expect(handshake.client.summary?.peerPublicKeyHash == identity.certificate.publicKeyHash)
            // The pre-shared key enters the early derivation.
            #expect(handshake.client.trace.prefix(3) == ["initial 1", "handshake read", "handshake write"])
            #expect(handshake.client.parameters.count == 1 && handshake.server.parameters.count == 1)
            ticket = try #require(handshake.client.tickets.last)
        }
    }

    @Test func aTicketOutlivesTheServerAndIsGoodAtAnyOtherWithTheSecret() throws {
        let client = try Fixture.client(trusting: identity)
        let ticket = try connect(client, server()).client.tickets.first
        #expect(try isResumed(client, server(), ticket: ticket))
        #expect(try isResumed(Fixture.client(trusting: identity), server(), ticket: ticket))
    }

    @Test func aTicketThatTheServerRefusesLeadsToAFullHandshake() throws {
        let client = try Fixture.client(trusting: identity)
        let ticket = try connect(client, server()).client.tickets.first
        let otherSecret = try server { $0.ticketSecret = SecretBytes([UInt8](repeating: 4, count: 32)) }
        #expect(try !isResumed(client, otherSecret, ticket: ticket))
        #expect(try !isResumed(client, server { $0.ticketSecret = nil }, ticket: ticket))
        #expect(try !isResumed(client, server { $0.sessionIDContext = [1] }, ticket: ticket))
        #expect(try isResumed(client, server(), ticket: ticket))
    }

    @Test func aTicketIsNotUsedUnderAnotherTrustNameOrIdentity() throws {
        let client = try Fixture.client(trusting: identity)
        let server = try server()
        let ticket = try connect(client, server).client.tickets.first
        let pinned = try TLSContext(
            client: TLSClientConfiguration(
                options: Fixture.options(),
                trust: .pinned(publicKeyHashes: [identity.certificate.publicKeyHash])))
        #expect(try !isResumed(pinned, server, ticket: ticket))
        #expect(try !isResumed(client, server, ticket: ticket, name: "192.0.2.1"))
        let named = try Fixture.client(trusting: identity, showing: Fixture.ecdsa.get())
        #expect(try !isResumed(named, server, ticket: ticket))
    }

    @Test func aResumptionMayChangeToASuiteOfTheSameHash() throws {
        let first = try Fixture.client(
            trusting: identity, options: Fixture.options { $0.cipherSuites = [.aes128GCM] })
        let second = try Fixture.client(
            trusting: identity, options: Fixture.options { $0.cipherSuites = [.chaCha20Poly1305] })
        let other = try Fixture.client(
            trusting: identity, options: Fixture.options { $0.cipherSuites = [.aes256GCM] })
        let server = try server()
        let ticket = try connect(first, server).client.tickets.first
        let handshake = try connect(second, server, ticket: ticket)
        #expect(handshake.client.suites == [.chaCha20Poly1305] && handshake.server.suites == [.chaCha20Poly1305])
        #expect(handshake.client.summary?.isResumed == true)
        #expect(try !isResumed(other, server, ticket: ticket))
    }

    @Test func aResumptionPassesAHelloRetryRequest() throws {
        let client = try Fixture.client(
            trusting: identity, options: Fixture.options { $0.groups = [.secp256r1, .x25519] })
        let server = try Fixture.server(identity, options: Fixture.options { $0.groups = [.x25519] })
        let ticket = try connect(client, server).client.tickets.first
        let handshake = try connect(client, server, ticket: ticket)
        #expect(handshake.client.summary?.isResumed == true)
        #expect(
            handshake.client.trace.prefix(4) == ["initial 1", "initial 1", "handshake read", "handshake write"])
    }

    @Test func aResumedClientIsStillKnownToTheServer() throws {
        let own = try Fixture.ecdsa.get()
        let client = try Fixture.client(trusting: identity, showing: own)
        let server = try server { $0.clientVerification = .required(anchors: [own.certificate]) }
        let ticket = try connect(client, server).client.tickets.first
        let handshake = try connect(client, server, ticket: ticket)
        #expect(handshake.server.summary?.isResumed == true)
        #expect(handshake.server.summary?.peerPublicKeyHash == own.certificate.publicKeyHash)
    }

    @Test func aTicketEndsWithTheRulesUnderWhichTheClientWasAccepted() throws {
        let own = try Fixture.ecdsa.get()
        let other = try Fixture.rsa.get()
        let client = try Fixture.client(trusting: identity, showing: own)
        let ticket = try connect(
            client, server { $0.clientVerification = .required(anchors: [own.certificate, other.certificate]) }
        ).client.tickets.first
        let stricter = try server { $0.clientVerification = .required(anchors: [other.certificate]) }
        let handshake = try Handshake(client: client, server: stricter, ticket: ticket)
        #expect(TrustTests.failure(handshake)?.kind == .unknownAuthority)
    }

    @Test func theNumberOfTicketsIsTheServersChoice() throws {
        let client = try Fixture.client(trusting: identity)
        for count in [0, 1, 4] {
            #expect(try connect(client, server { $0.ticketCount = count }).client.tickets.count == count)
        }
    }

    @Test func damagedTicketsAreLeftAside() throws {
        let client = try Fixture.client(trusting: identity)
        let server = try server()
        let ticket = try #require(try connect(client, server).client.tickets.first)
        var generator = SeededGenerator(seed: 5)
        var damaged: [[UInt8]] = [[], [1], [UInt8](repeating: 1, count: 33), [UInt8](repeating: 0, count: 100_000)]
        damaged.append(ticket.bytes.dropLast())
        damaged.append(ticket.bytes + [0])
        for _ in 0..<300 {
            var bytes = ticket.bytes
            let index = Int.random(in: 0..<bytes.count, using: &generator)
            bytes[index] = bytes[index] ^ UInt8.random(in: 1...255, using: &generator)
            damaged.append(bytes)
        }
        for bytes in damaged {
            // Whatever libssl still takes for a session, a handshake begins; the server judges what was offered.
            let handshake = try Handshake(client: client, server: server, ticket: SessionTicket(bytes: bytes))
            try handshake.client.engine.start()
        }
        for bytes in damaged.prefix(6) {
            #expect(try !isResumed(client, server, ticket: SessionTicket(bytes: bytes)))
        }
    }
}
