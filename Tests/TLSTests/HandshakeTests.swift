import Cryptography
import TLS
import Testing

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
}
