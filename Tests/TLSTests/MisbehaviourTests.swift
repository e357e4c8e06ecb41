import Cryptography
import TLS
import Testing

/// What a peer may not do, and how the engine answers (RFC 8446, RFC 9001 §4 and §8).
struct MisbehaviourTests {
    let identity: Identity
    let handshake: Handshake

    init() throws {
        identity = try Fixture.ed25519.get()
        handshake = try Handshake(client: Fixture.client(trusting: identity), server: Fixture.server(identity))
    }

    /// Runs a handshake in which the messages of `type` to `role` are changed, and returns how it fails.
    func failure(
        in handshake: Handshake? = nil, changing type: UInt8, to role: TLSRole, _ change: @escaping ([UInt8]) -> [UInt8]
    ) throws -> TLSError {
        let handshake = handshake ?? self.handshake
        handshake.tamper = { receiver, _, bytes in
            receiver == role && bytes.first == type ? change(bytes) : bytes
        }
        return try #require(TrustTests.failure(handshake))
    }

    /// The error with which an engine refuses bytes.
    static func refusal(of bytes: [UInt8], at level: EncryptionLevel, by end: HandshakeEnd) throws -> TLSError {
        do {
            try end.engine.receive(bytes.span, at: level)
        } catch {
            return error
        }
        throw CryptographyError("the bytes were accepted")
    }

    func clientHello() throws -> [UInt8] {
        try handshake.client.engine.start()
        handshake.client.drain()
        return try #require(handshake.client.toSend.first?.bytes)
    }

    @Test func aClientHelloWithoutTransportParametersIsAnsweredWithMissingExtension() throws {
        let failure = try failure(changing: 1, to: .server) {
            MessageEditing.removing(MessageEditing.transportParameters, from: $0)
        }
        #expect(failure.kind == .missingTransportParameters)
        #expect(failure.alert == TLSAlert.missingExtension.rawValue)
        #expect(handshake.server.trace.isEmpty)
    }

    @Test func encryptedExtensionsWithoutTransportParametersEndTheHandshake() throws {
        let failure = try failure(changing: 8, to: .client) {
            MessageEditing.removing(MessageEditing.transportParameters, from: $0)
        }
        #expect(failure.kind == .missingTransportParameters)
        #expect(failure.alert == TLSAlert.missingExtension.rawValue)
        #expect(handshake.client.secrets["oneRTT read"] == nil)
    }

    @Test func aClientHelloWithoutApplicationProtocolsIsRefused() throws {
        let failure = try failure(changing: 1, to: .server) {
            MessageEditing.removing(MessageEditing.applicationProtocols, from: $0)
        }
        #expect(failure.kind == .noApplicationProtocol)
        #expect(failure.alert == TLSAlert.noApplicationProtocol.rawValue)
    }

    @Test func aServerThatChoosesNoApplicationProtocolIsRefused() throws {
        let failure = try failure(changing: 8, to: .client) {
            MessageEditing.removing(MessageEditing.applicationProtocols, from: $0)
        }
        #expect(failure.kind == .noApplicationProtocol)
        #expect(failure.alert == TLSAlert.noApplicationProtocol.rawValue)
    }

    @Test func aServerThatChoosesAProtocolThatWasNotOfferedIsRefused() throws {
        let failure = try failure(changing: 8, to: .client) {
            MessageEditing.editingExtensions(of: $0) { extensions in
                extensions.map { $0.type == 16 ? (16, [0, 3, 2, 0x68, 0x39]) : $0 }
            }
        }
        // Newer releases of OpenSSL notice it themselves and call it a decode_error.
        #expect(failure.kind == .noApplicationProtocol || failure.kind == .handshakeFailed)
        #expect([TLSAlert.illegalParameter, .decodeError].map(\.rawValue).contains(failure.alert))
        #expect(handshake.client.summary == nil)
    }

    @Test func endsWithoutACommonApplicationProtocolSaySo() throws {
        let options = Fixture.options { $0.applicationProtocols = ["other"] }
        let handshake = try Handshake(
            client: Fixture.client(trusting: identity, options: options), server: Fixture.server(identity))
        let failure = try #require(TrustTests.failure(handshake))
        #expect(failure.kind == .noApplicationProtocol)
        #expect(failure.alert == TLSAlert.noApplicationProtocol.rawValue)
        #expect(handshake.server.toSend.isEmpty)
    }

    @Test func endsWithoutACommonKeyExchangeFail() throws {
        let handshake = try Handshake(
            client: Fixture.client(trusting: identity, options: Fixture.options { $0.groups = [.secp384r1] }),
            server: Fixture.server(identity, options: Fixture.options { $0.groups = [.x25519] }))
        let failure = try #require(TrustTests.failure(handshake))
        #expect(failure.kind == .handshakeFailed)
        #expect(failure.alert == TLSAlert.handshakeFailure.rawValue)
    }

    @Test func middleboxCompatibilityIsAProtocolViolation() throws {
        // RFC 9001 §8.4
        let hello = try clientHello()
        #expect(hello[38] == 0)
        let failure = try Self.refusal(
            of: MessageEditing.addingSessionID(to: hello), at: .initial, by: handshake.server)
        #expect(failure.kind == .protocolViolation)
        handshake.server.drain()
        #expect(handshake.server.trace.isEmpty)
    }

    @Test func aSecondClientHelloWithOtherTransportParametersIsRefused() throws {
        let handshake = try Handshake(
            client: Fixture.client(
                trusting: identity, options: Fixture.options { $0.groups = [.secp256r1, .x25519] }),
            server: Fixture.server(identity, options: Fixture.options { $0.groups = [.x25519] }))
        var count = 0
        let failure = try failure(in: handshake, changing: 1, to: .server) { hello in
            count += 1
            guard count == 2 else { return hello }
            return MessageEditing.editingExtensions(of: hello) { extensions in
                extensions.map { $0.type == 57 ? (57, [1, 2, 3]) : $0 }
            }
        }
        #expect(failure.kind == .handshakeFailed)
        #expect(failure.alert == TLSAlert.illegalParameter.rawValue)
    }

    @Test(
        "types that QUIC does not carry, or not there, are unexpected",
        arguments: [0, 2, 3, 4, 5, 8, 11, 13, 15, 20, 24, 25, 254, 255])
    func forbiddenTypesInInitialPackets(type: UInt8) throws {
        let failure = try Self.refusal(of: [type], at: .initial, by: handshake.server)
        #expect(failure.kind == .unexpectedMessage)
        #expect(failure.alert == TLSAlert.unexpectedMessage.rawValue)
    }

    @Test func keyUpdateAndLateCertificateRequestsAreRefusedAfterTheHandshake() throws {
        // RFC 9001 §6 and §4.4
        for (end, type) in [(\Handshake.client, 24), (\Handshake.server, 24), (\Handshake.client, 13)]
            as [(KeyPath<Handshake, HandshakeEnd>, UInt8)]
        {
            let handshake = try Handshake(
                client: Fixture.client(trusting: identity), server: Fixture.server(identity))
            try handshake.run()
            let failure = try Self.refusal(
                of: MessageEditing.message(type, [0]), at: .oneRTT, by: handshake[keyPath: end])
            #expect(failure.kind == .unexpectedMessage)
            #expect(failure.alert == TLSAlert.unexpectedMessage.rawValue)
        }
    }

    @Test func aServerThatHasGivenItsHandshakeBackRefusesWhatComesAllTheSame() throws {
        for (level, kind) in [
            (EncryptionLevel.oneRTT, TLSError.Kind.unexpectedMessage), (.handshake, .protocolViolation),
        ] {
            let handshake = try Handshake(client: Fixture.client(trusting: identity), server: Fixture.server(identity))
            try handshake.run()
            handshake.server.engine.releaseHandshake()
            let finished = MessageEditing.message(20, [UInt8](repeating: 0, count: 32))
            #expect(try Self.refusal(of: finished, at: level, by: handshake.server).kind == kind)
        }
    }

    @Test func bytesOfALevelThatIsNotInUseAreAProtocolViolation() throws {
        let failure = try Self.refusal(of: [11, 0, 0], at: .handshake, by: handshake.server)
        #expect(failure.kind == .protocolViolation)
    }

    @Test("bytes behind the last message of a level are a protocol violation", arguments: [0, 1])
    func bytesOfALevelThatIsOver(pieces: Int) throws {
        // RFC 9001 §4.1.3
        let hello = try clientHello()
        let server = handshake.server
        if pieces == 0 {
            #expect(try Self.refusal(of: hello + hello, at: .initial, by: server).kind == .protocolViolation)
        } else {
            try server.engine.receive(hello.span, at: .initial)
            #expect(try Self.refusal(of: [1], at: .initial, by: server).kind == .protocolViolation)
        }
        // What was said before stands: the server's flight is there to send.
        server.drain()
        #expect(server.trace.contains("initial 2"))
    }

    @Test func oversizedMessagesAreRefusedByTheirHeader() throws {
        for length in [16_385, 0x01_f000, 0xff_ffff] {
            let handshake = try Handshake(
                client: Fixture.client(trusting: identity), server: Fixture.server(identity))
            let header = [1, UInt8(length >> 16), UInt8(length >> 8 & 0xff), UInt8(length & 0xff)]
            let failure = try Self.refusal(of: header, at: .initial, by: handshake.server)
            #expect(failure.kind == .handshakeFailed)
            #expect(failure.alert == TLSAlert.illegalParameter.rawValue)
        }
        try handshake.server.engine.receive([1, 0, 0x40, 0].span, at: .initial)
    }

    @Test(
        "a changed Finished or signature does not decrypt",
        arguments: [
            (UInt8(20), TLSRole.client), (UInt8(20), TLSRole.server), (UInt8(15), TLSRole.client),
        ])
    func forgedProofs(type: UInt8, receiver: TLSRole) throws {
        let failure = try failure(changing: type, to: receiver) { Array($0.dropLast()) + [($0.last ?? 0) ^ 1] }
        #expect(failure.kind == .handshakeFailed)
        #expect(failure.alert == 51)
        #expect(failure.reason.contains("decrypt error"))
    }

    @Test func malformedMessagesAreDecodeErrors() throws {
        let failure = try Self.refusal(
            of: MessageEditing.message(1, [3, 3, 0]), at: .initial, by: handshake.server)
        #expect(failure.kind == .handshakeFailed)
        #expect(failure.alert == TLSAlert.decodeError.rawValue)
    }

    @Test func anErrorStandsForEveryLaterCall() throws {
        let hello = try clientHello()
        let first = try Self.refusal(of: [24], at: .initial, by: handshake.server)
        #expect(try Self.refusal(of: hello, at: .initial, by: handshake.server) == first)
        #expect(throws: first) { try handshake.server.engine.start() }
    }

    @Test func emptyInputChangesNothing() throws {
        let empty: [UInt8] = []
        for level in EncryptionLevel.allCases { try handshake.server.engine.receive(empty.span, at: level) }
        try handshake.run()
        #expect(handshake.secretsAgree)
    }
}
