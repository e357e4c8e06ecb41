import Cryptography
import Primitives
import TLS
import Testing

/// By what the ends recognise each other, and what they say when they do not.
struct TrustTests {
    /// The error with which a handshake ends, and the role at which it does.
    static func failure(_ handshake: Handshake) -> TLSError? {
        do {
            try handshake.run()
            return nil
        } catch {
            return error
        }
    }

    static func client(
        _ trust: ServerTrust, identity: Identity? = nil, at time: Int64 = Fixture.now
    ) throws -> TLSContext {
        let options = Fixture.options { $0.verificationTime = time }
        return try TLSContext(client: TLSClientConfiguration(options: options, trust: trust, identity: identity))
    }

    @Test(
        "the server's name must be in its certificate",
        arguments: [
            ("server.test", true), ("server.test.", true), ("SERVER.test", true), ("192.0.2.1", true),
            ("2001:db8::1", true), ("other.test", false), ("192.0.2.2", false), ("2001:db8::2", false),
            ("a.server.test", false),
        ])
    func names(name: String, matches: Bool) throws {
        let identity = try Fixture.ed25519.get()
        let handshake = try Handshake(
            client: Self.client(.anchors([identity.certificate])), server: Fixture.server(identity), name: name)
        let failure = Self.failure(handshake)
        #expect((failure == nil) == matches)
        guard !matches else { return }
        #expect(failure?.kind == .hostNameMismatch)
        #expect(failure?.alert == TLSAlert.badCertificate.rawValue)
        #expect(
            failure?.reason
                == "the peer's certificate (CN=server.test) is not for \"\(name)\"; use a name that it is for, "
                + "or an invite with the pin of its key")
    }

    @Test func anExpiredCertificateIsNamedWithItsDate() throws {
        let identity = try Fixture.ed25519.get()
        let handshake = try Handshake(
            client: Self.client(.anchors([identity.certificate]), at: Fixture.notAfter + 1),
            server: Fixture.server(identity))
        let failure = try #require(Self.failure(handshake))
        #expect(failure.kind == .certificateExpired)
        #expect(failure.alert == TLSAlert.certificateExpired.rawValue)
        #expect(failure.reason.contains("expired at 2030-03-17T"))
        #expect(failure.reason.contains("this machine's clock says \(CivilTime(unixTime: Fixture.notAfter + 1))Z"))
    }

    @Test func aCertificateOfTheFutureHintsAtTheClock() throws {
        let identity = try Fixture.ed25519.get()
        let handshake = try Handshake(
            client: Self.client(.anchors([identity.certificate]), at: Fixture.notBefore - 1),
            server: Fixture.server(identity))
        let failure = try #require(Self.failure(handshake))
        #expect(failure.kind == .certificateNotYetValid)
        #expect(failure.alert == TLSAlert.badCertificate.rawValue)
        #expect(failure.reason.contains("valid only from 2023-11-14T"))
        #expect(failure.reason.contains("this machine's clock says \(CivilTime(unixTime: Fixture.notBefore - 1))Z"))
    }

    @Test("an unknown authority is refused", arguments: [Fixture.ecdsa, Fixture.rsa])
    func unknownAuthority(other: Result<Identity, CryptographyError>) throws {
        let handshake = try Handshake(
            client: Self.client(.anchors([other.get().certificate])), server: Fixture.server(Fixture.ed25519.get()))
        let failure = try #require(Self.failure(handshake))
        #expect(failure.kind == .unknownAuthority)
        #expect(failure.alert == TLSAlert.unknownAuthority.rawValue)
    }

    @Test func theSystemsStoreDoesNotKnowASelfSignedCertificate() throws {
        let handshake = try Handshake(
            client: Self.client(.systemStore), server: Fixture.server(Fixture.ed25519.get()))
        #expect(Self.failure(handshake)?.kind == .unknownAuthority)
    }

    @Test func anIntermediateAuthorityCanBeTheAnchor() throws {
        let root = try Identity.generate(Fixture.template(["root"], purpose: .authority), key: .ecdsaP256)
        let middle = try Identity.generate(
            Fixture.template(["middle"], purpose: .authority), key: .ecdsaP256, issuer: root)
        let leaf = try Identity.generate(Fixture.template(["server.test"]), key: .ed25519, issuer: middle)
        #expect(leaf.chain.count == 3)
        for anchor in leaf.chain {
            let handshake = try Handshake(client: Self.client(.anchors([anchor])), server: Fixture.server(leaf))
            #expect(Self.failure(handshake) == nil)
        }
    }

    @Test func aServerSendsTheChainThatItWasGivenAndNoneOfItsClientsAuthorities() throws {
        let root = try Identity.generate(Fixture.template(["root"], purpose: .authority), key: .ecdsaP256)
        let middle = try Identity.generate(
            Fixture.template(["middle"], purpose: .authority), key: .ecdsaP256, issuer: root)
        let leaf = try Identity.generate(Fixture.template(["server.test"]), key: .ed25519, issuer: middle)
        func failure(sending chain: [Certificate]) throws -> TLSError? {
            let server = try Fixture.server(Identity(chain: chain, key: leaf.key)) {
                $0.clientVerification = .requested(anchors: [middle.certificate])
            }
            return Self.failure(try Handshake(client: Self.client(.anchors([root.certificate])), server: server))
        }
        #expect(try failure(sending: leaf.chain) == nil)
        #expect(try failure(sending: [leaf.certificate])?.kind == .unknownAuthority)
    }

    @Test("a pin decides alone: over names, dates and authorities", arguments: [Fixture.ed25519, Fixture.ecdsa])
    func pin(identity: Result<Identity, CryptographyError>) throws {
        let identity = try identity.get()
        let pin = identity.certificate.publicKeyHash
        let spare = [UInt8](repeating: 0, count: 32)
        let trust = ServerTrust.pinned(publicKeyHashes: [spare, pin])
        for name in ["anything.test", nil] {
            let handshake = try Handshake(
                client: Self.client(trust, at: Fixture.notAfter + 1), server: Fixture.server(identity), name: name)
            #expect(Self.failure(handshake) == nil)
            #expect(handshake.client.summary?.peerPublicKeyHash == pin)
        }
    }

    @Test func anotherKeyThanThePinnedOneIsRefused() throws {
        let trust = ServerTrust.pinned(publicKeyHashes: [try Fixture.rsa.get().certificate.publicKeyHash])
        let handshake = try Handshake(client: Self.client(trust), server: Fixture.server(Fixture.ed25519.get()))
        let failure = try #require(Self.failure(handshake))
        #expect(failure.kind == .pinMismatch)
        #expect(failure.alert == TLSAlert.badCertificate.rawValue)
        #expect(
            failure.reason == "the peer's certificate (CN=server.test) has another public key than the pinned one; "
                + "if the key was replaced, ask for an invite with the new pin")
        #expect(handshake.client.summary == nil && handshake.client.secrets["oneRTT write"] == nil)
    }

    /// A client and a server that asks it for a certificate.
    static func mutual(
        _ verification: ClientVerification, showing identity: Identity?
    ) throws -> Handshake {
        let server = try Fixture.ed25519.get()
        return try Handshake(
            client: Self.client(.anchors([server.certificate]), identity: identity),
            server: Fixture.server(server) { $0.clientVerification = verification })
    }

    @Test func aClientThatShowsItsCertificateIsKnownToTheServer() throws {
        let own = try Identity.generate(Fixture.template(["laptop"]), key: .ecdsaP256)
        for verification in [
            ClientVerification.required(anchors: [own.certificate]), .requested(anchors: [own.certificate]),
        ] {
            let handshake = try Self.mutual(verification, showing: own)
            try handshake.run(.bytes(100))
            #expect(handshake.server.summary?.peerPublicKeyHash == own.certificate.publicKeyHash)
            #expect(handshake.server.summary?.peerSubject == "CN=laptop")
            #expect(handshake.secretsAgree)
        }
    }

    @Test func aClientWithoutACertificateGetsInOnlyWhereNoneIsRequired() throws {
        let anchors = [try Fixture.ecdsa.get().certificate]
        let asked = try Self.mutual(.requested(anchors: anchors), showing: nil)
        #expect(Self.failure(asked) == nil)
        #expect(asked.server.summary?.peerPublicKeyHash == nil)

        let required = try Self.mutual(.required(anchors: anchors), showing: nil)
        let failure = try #require(Self.failure(required))
        #expect(failure.kind == .certificateMissing)
        #expect(failure.alert == TLSAlert.certificateRequired.rawValue)
        #expect(required.server.summary == nil)
    }

    @Test func aClientOfAnotherAuthorityDoesNotGetIn() throws {
        let anchors = [try Fixture.ecdsa.get().certificate]
        let stranger = try Identity.generate(Fixture.template(["stranger"]), key: .ed25519)
        for verification in [ClientVerification.required(anchors: anchors), .requested(anchors: anchors)] {
            let handshake = try Self.mutual(verification, showing: stranger)
            let failure = try #require(Self.failure(handshake))
            #expect(failure.kind == .unknownAuthority)
            #expect(failure.alert == TLSAlert.unknownAuthority.rawValue)
            #expect(failure.reason.contains("CN=stranger"))
        }
    }

    @Test func alertsOfThePeerAreExplained() {
        #expect(TLSError(peerAlert: 116).reason == "the peer ended the handshake: it demands a certificate from us")
        #expect(TLSError(peerAlert: 51).reason == "the peer ended the handshake: decrypt error (alert 51)")
        #expect(TLSError(peerAlert: 51).kind == .peerAlert && TLSError(peerAlert: 51).alert == 51)
        for alert in UInt8.min...UInt8.max { #expect(!TLSError(peerAlert: alert).reason.isEmpty) }
    }
}
