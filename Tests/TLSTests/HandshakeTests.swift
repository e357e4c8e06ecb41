import Cryptography
import Testing

@testable import TLS

struct HandshakeTests {
    @Test(
        "a handshake completes with every kind of key, however its bytes are cut",
        arguments: [Fixture.ed25519, Fixture.ecdsa, Fixture.rsa], [0, 1, 37, 1200])
    func complete(identity: Result<Identity, CryptographyError>, pieces: Int) throws {
        let identity = try identity.get()
        let handshake = try Handshake(
            client: Fixture.client(trusting: identity), server: Fixture.server(identity))
        try handshake.run(pieces == 0 ? .whole : .bytes(pieces))
        let client = try #require(handshake.client.summary)
        let server = try #require(handshake.server.summary)
        #expect(client.applicationProtocol == "h3" && server.applicationProtocol == "h3")
        #expect(!client.isResumed && !server.isResumed)
        #expect(client.peerPublicKeyHash == identity.certificate.publicKeyHash)
        #expect(client.peerSubject == "CN=server.test")
        #expect(server.peerPublicKeyHash == nil)
        #expect(handshake.client.parameters == [Array("server parameters".utf8)])
        #expect(handshake.server.parameters == [Array("client parameters".utf8)])
        #expect(handshake.client.tickets.count == 2)
        #expect(handshake.secretsAgree)
    }

    @Test func outputsComeInTheOrderInWhichQUICNeedsThem() throws {
        let identity = try Fixture.ed25519.get()
        let handshake = try Handshake(client: Fixture.client(trusting: identity), server: Fixture.server(identity))
        try handshake.run()
        // The client can acknowledge Handshake packets as soon as it can read them, long before its Finished.
        #expect(
            handshake.client.trace == [
                "initial 1", "handshake read", "handshake write", "parameters", "oneRTT read", "handshake 20",
                "oneRTT write", "complete", "ticket", "ticket",
            ])
        // The server can send in 1-RTT before it can read there.
        #expect(
            handshake.server.trace == [
                "parameters", "initial 2", "handshake write", "handshake read", "handshake 8", "handshake 11",
                "handshake 15", "handshake 20", "oneRTT write", "oneRTT read", "oneRTT 4", "oneRTT 4", "complete",
            ])
    }

    @Test("both ends agree in every cipher suite", arguments: CipherSuite.allCases)
    func cipherSuites(suite: CipherSuite) throws {
        let identity = try Fixture.ed25519.get()
        let options = Fixture.options { $0.cipherSuites = [suite] }
        let handshake = try Handshake(
            client: Fixture.client(trusting: identity, options: options), server: Fixture.server(identity))
        try handshake.run()
        #expect(handshake.client.suites == [suite] && handshake.server.suites == [suite])
        #expect(handshake.client.summary?.suite == suite)
        #expect(handshake.secretsAgree)
        #expect(handshake.client.secrets.values.allSatisfy { $0.count == suite.hash.length })
        #expect(handshake.client.trace.firstIndex(of: "handshake write") == 2)
    }

    @Test(
        "the server's order of cipher suites decides, but for a client that likes ChaCha20 best",
        arguments: [
            ([.chaCha20Poly1305, .aes128GCM, .aes256GCM], .chaCha20Poly1305),
            ([.aes256GCM, .aes128GCM, .chaCha20Poly1305], .aes128GCM),
            ([.aes256GCM, .chaCha20Poly1305], .aes256GCM),
        ] as [([CipherSuite], CipherSuite)])
    func preference(offered: [CipherSuite], chosen: CipherSuite) throws {
        let identity = try Fixture.ed25519.get()
        let handshake = try Handshake(
            client: Fixture.client(trusting: identity, options: Fixture.options { $0.cipherSuites = offered }),
            server: Fixture.server(
                identity,
                options: Fixture.options { $0.cipherSuites = [.aes128GCM, .aes256GCM, .chaCha20Poly1305] }))
        try handshake.run()
        #expect(handshake.client.suites == [chosen] && handshake.server.suites == [chosen])
    }

    @Test(
        "the client's secret is derived early with every key exchange",
        arguments: [
            KeyExchangeGroup.x25519, .secp256r1, .secp384r1,
        ])
    func groups(group: KeyExchangeGroup) throws {
        let identity = try Fixture.ed25519.get()
        let options = Fixture.options { $0.groups = [group] }
        let handshake = try Handshake(
            client: Fixture.client(trusting: identity, options: options), server: Fixture.server(identity))
        try handshake.run()
        #expect(handshake.client.trace.prefix(3) == ["initial 1", "handshake read", "handshake write"])
        #expect(handshake.secretsAgree)
    }

    @Test func aSecretThatCannotBeDerivedEarlyComesLater() throws {
        let identity = try Fixture.ed25519.get()
        let options = Fixture.options { $0.groups = [KeyExchangeGroup(rawValue: "ffdhe2048")] }
        let handshake = try Handshake(
            client: Fixture.client(trusting: identity, options: options),
            server: Fixture.server(identity, options: options))
        try handshake.run()
        #expect(
            handshake.client.trace == [
                "initial 1", "handshake read", "parameters", "oneRTT read", "handshake write", "handshake 20",
                "oneRTT write", "complete", "ticket", "ticket",
            ])
        #expect(handshake.secretsAgree)
    }

    @Test("a HelloRetryRequest is answered", arguments: [0, 1])
    func helloRetryRequest(pieces: Int) throws {
        let identity = try Fixture.ed25519.get()
        let handshake = try Handshake(
            client: Fixture.client(
                trusting: identity, options: Fixture.options { $0.groups = [.secp256r1, .x25519] }),
            server: Fixture.server(identity, options: Fixture.options { $0.groups = [.x25519] }))
        try handshake.run(pieces == 0 ? .whole : .bytes(pieces))
        #expect(
            handshake.client.trace.prefix(4) == ["initial 1", "initial 1", "handshake read", "handshake write"])
        #expect(handshake.server.trace.prefix(3) == ["parameters", "initial 2", "initial 2"])
        #expect(handshake.server.parameters.count == 1)
        #expect(handshake.secretsAgree && handshake.client.summary != nil && handshake.server.summary != nil)
    }

    @Test("a chain of 38 KB passes, in whole and in the pieces of packets", arguments: [0, 1200])
    func bigChain(pieces: Int) throws {
        var identity: Identity? = nil
        for depth in 0..<3 {
            // 400 names of about 30 bytes make a certificate of more than 12 KB.
            let names = (0..<400).map { "name-\($0)-of-certificate-\(depth).test" }
            var template = Fixture.template(
                ["server.test"] + names, purpose: depth == 2 ? .endpoint : .authority)
            template.commonName = "certificate \(depth)"
            identity = try Identity.generate(template, key: .ed25519, issuer: identity)
        }
        let chain = try #require(identity)
        #expect(chain.chain.map(\.der.count).reduce(0, +) > 38_000)
        let root = try #require(chain.chain.last)
        let trust = TLSClientConfiguration(options: Fixture.options(), trust: .anchors([root]))
        let handshake = try Handshake(client: TLSContext(client: trust), server: Fixture.server(chain))
        try handshake.run(pieces == 0 ? .whole : .bytes(pieces))
        #expect(handshake.client.summary?.peerPublicKeyHash == chain.certificate.publicKeyHash)
        #expect(handshake.secretsAgree)
    }

    @Test func longTransportParametersPass() throws {
        let identity = try Fixture.ed25519.get()
        let parameters = [UInt8](repeating: 1, count: 12_000)
        let handshake = try Handshake(
            client: Fixture.client(trusting: identity), server: Fixture.server(identity), clientParameters: parameters,
            serverParameters: [])
        try handshake.run(.bytes(1200))
        #expect(handshake.server.parameters == [parameters])
        #expect(handshake.client.parameters == [[]])
        #expect(handshake.client.summary != nil)
    }

    @Test func theServerChoosesTheProtocolThatItLikesBest() throws {
        let identity = try Fixture.ed25519.get()
        let handshake = try Handshake(
            client: Fixture.client(
                trusting: identity, options: Fixture.options { $0.applicationProtocols = ["h3", "other", "godwit"] }),
            server: Fixture.server(
                identity, options: Fixture.options { $0.applicationProtocols = ["none", "godwit", "h3"] }))
        try handshake.run()
        #expect(handshake.client.summary?.applicationProtocol == "godwit")
        #expect(handshake.server.summary?.applicationProtocol == "godwit")
    }

    @Test func keyLogLinesComeOnlyWhenEnabled() throws {
        let identity = try Fixture.ed25519.get()
        let handshake = try Handshake(
            client: Fixture.client(trusting: identity, options: Fixture.options { $0.keyLogging = .enabled }),
            server: Fixture.server(identity))
        try handshake.run()
        let labels = handshake.client.keyLog.compactMap { $0.split(separator: " ").first }
        #expect(
            Set(labels).isSuperset(of: [
                "CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_HANDSHAKE_TRAFFIC_SECRET", "CLIENT_TRAFFIC_SECRET_0",
                "SERVER_TRAFFIC_SECRET_0",
            ]))
        #expect(handshake.server.keyLog.isEmpty)
    }

    @Test func aServerGivesBackWhatOnlyItsHandshakeNeeded() throws {
        let identity = try Fixture.ed25519.get()
        let handshake = try Handshake(client: Fixture.client(trusting: identity), server: Fixture.server(identity))
        // Not before it is complete.
        handshake.server.engine.releaseHandshake()
        try handshake.run()
        #expect(handshake.server.summary != nil && handshake.client.summary != nil)
        for end in [handshake.server, handshake.client] { end.engine.releaseHandshake() }
        #expect(unsafe handshake.server.engine.ssl == nil)
        // A client waits for more tickets.
        #expect(unsafe handshake.client.engine.ssl != nil)
    }

    @Test func anEngineGoesWithItsLastReference() throws {
        let identity = try Fixture.ed25519.get()
        weak var engine: TLSEngine?
        weak var context: TLSContext?
        do {
            let handshake = try Handshake(client: Fixture.client(trusting: identity), server: Fixture.server(identity))
            try handshake.run()
            engine = handshake.client.engine
            context = try Fixture.server(identity)
        }
        #expect(engine == nil)
        #expect(context == nil)
    }
}
