import Cryptography
import Primitives
import Testing

@testable import QUIC

@Suite("Sample packets (RFC 9001 appendix A, RFC 9369 appendix A)")
struct SamplePacketTests {
    static let clientID = connectionID("8394c8f03e515708")
    static let serverID = connectionID("f067a5502a4262b5")
    static let chaChaSecret = hexBytes("9ac312a7f877468ebe69422748ad00a15443f18203a07d6060f688f30f21632b")
    static let chaChaPacketNumber: UInt64 = 654_360_564

    static func bytes(_ secret: SecretBytes) -> [UInt8] { (0..<secret.count).map { secret.span[$0] } }

    /// Writes and seals an Initial packet.
    static func initial(
        _ version: Version, to destination: ConnectionID, from source: ConnectionID, keys: SealingKeys,
        packetNumber: UInt64, length: Int, payload: [UInt8], padding: Int
    ) -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: 1_200)
        var size = 0
        do {
            var span = buffer.mutableSpan
            var writer = ByteWriter(&span)
            var layout = writer.writeLongHeader(
                LongHeaderFields(
                    version: version, type: .initial, destinationConnectionID: destination,
                    sourceConnectionID: source, packetNumber: packetNumber, packetNumberLength: length))
            writer.write(payload.span)
            writer.write(repeating: 0, count: padding)
            writer.finishPacket(&layout)
            size = writer.position
            keys.seal(&writer.bytes, layout, packetNumber: packetNumber)
        }
        return Array(buffer[..<size])
    }

    static func isValid(_ retry: [UInt8], answering id: ConnectionID, version: Version) -> Bool {
        RetryIntegrity.isValid(retry.span, originalDestination: id, version: version)
    }

    @Test(
        "A.1: the Initial secrets follow from the client's connection ID",
        arguments: [
            (
                .v1, "c00cf151ca5be075ed0ebfb5c80323c42d6b7db67881289af4008f1f6c357aea",
                "3c199828fd139efd216c155ad844cc81fb82fa8d7446fa7d78be803acdda951b"
            ),
            (
                .v2, "14ec9d6eb9fd7af83bf5a668bc17a7e283766aade7ecd0891f70f9ff7f4bf47b",
                "0263db1782731bf4588e7e4d93b7463907cb8cd8200b5da55a8bd488eafc37c1"
            ),
        ] as [(Version, String, String)])
    func secrets(version: Version, client: String, server: String) {
        let secrets = InitialSecrets(destinationConnectionID: Self.clientID, version: version)
        #expect(Self.bytes(secrets.client) == hexBytes(client))
        #expect(Self.bytes(secrets.server) == hexBytes(server))
    }

    @Test(
        "A.2: the client's Initial packet is sealed byte for byte",
        arguments: [(.v1, SamplePackets.clientInitialV1), (.v2, SamplePackets.clientInitialV2)]
            as [(Version, [UInt8])])
    func sealClientInitial(version: Version, sample: [UInt8]) throws {
        let keys = InitialSecrets.keys(for: Self.clientID, version: version, role: .client)
        let packet = Self.initial(
            version, to: Self.clientID, from: .empty, keys: try #require(keys.write), packetNumber: 2, length: 4,
            payload: SamplePackets.clientPayload, padding: 1_162 - SamplePackets.clientPayload.count)
        #expect(packet == sample)
    }

    @Test(
        "A.3: the server's Initial packet is sealed byte for byte",
        arguments: [(.v1, SamplePackets.serverInitialV1), (.v2, SamplePackets.serverInitialV2)]
            as [(Version, [UInt8])])
    func sealServerInitial(version: Version, sample: [UInt8]) throws {
        let keys = InitialSecrets.keys(for: Self.clientID, version: version, role: .server)
        let packet = Self.initial(
            version, to: .empty, from: Self.serverID, keys: try #require(keys.write), packetNumber: 1, length: 2,
            payload: SamplePackets.serverPayload, padding: 0)
        #expect(packet == sample)
    }

    @Test(
        "A.2 and A.3: the other end opens them",
        arguments: [
            (.v1, SamplePackets.clientInitialV1, .server, 2), (.v1, SamplePackets.serverInitialV1, .client, 1),
            (.v2, SamplePackets.clientInitialV2, .server, 2), (.v2, SamplePackets.serverInitialV2, .client, 1),
        ] as [(Version, [UInt8], Role, UInt64)])
    func open(version: Version, sample: [UInt8], role: Role, packetNumber: UInt64) throws {
        guard case .long(let header)? = scan(sample).first else {
            Issue.record("not a long header")
            return
        }
        #expect(header.version == version && header.type == .initial)
        let keys = InitialSecrets.keys(for: Self.clientID, version: version, role: role)
        var datagram = sample
        var span = datagram.mutableSpan
        let opened = try keys.read?.open(&span, header, largestReceived: nil)
        let packet = try #require(opened)
        #expect(packet.packetNumber == packetNumber)
        let payload = Array(datagram[packet.payload])
        let expected = role == .server ? SamplePackets.clientPayload : SamplePackets.serverPayload
        #expect(payload.starts(with: expected))
        #expect(payload.dropFirst(expected.count).allSatisfy { $0 == 0 })
        #expect(refusal(payload, in: .initial, from: role.peer) == nil)
    }

    @Test(
        "A.4: the Retry packet and its integrity tag",
        arguments: [(.v1, SamplePackets.retryV1, 0xff), (.v2, SamplePackets.retryV2, 0xff)]
            as [(Version, [UInt8], UInt8)])
    func retry(version: Version, sample: [UInt8], unusedBits: UInt8) throws {
        let token = Array("token".utf8)
        let packet = written {
            $0.writeRetry(
                version: version, destination: .empty, source: Self.serverID, originalDestination: Self.clientID,
                token: token.span, unusedBits: unusedBits)
        }
        #expect(packet == sample)
        guard case .retry(let header)? = scan(sample).first else {
            Issue.record("not a Retry packet")
            return
        }
        #expect(Array(sample[header.token]) == token && header.sourceConnectionID == Self.serverID)
        #expect(Self.isValid(sample, answering: Self.clientID, version: version))
        #expect(!Self.isValid(sample, answering: Self.serverID, version: version))
        for index in sample.indices {
            var changed = sample
            changed[index] ^= 1
            #expect(!Self.isValid(changed, answering: Self.clientID, version: version))
        }
    }

    @Test(
        "A.5: a ChaCha20-Poly1305 packet with a short header, both ways",
        arguments: [(.v1, SamplePackets.chaChaV1), (.v2, SamplePackets.chaChaV2)] as [(Version, [UInt8])])
    func chaCha(version: Version, sample: [UInt8]) throws {
        let keys = OneRTTKeys()
        let secret = SecretBytes(Self.chaChaSecret)
        keys.installSealing(suite: .chaCha20Poly1305, secret: secret, version: version)
        keys.installOpening(suite: .chaCha20Poly1305, secret: secret, version: version)
        var buffer = [UInt8](repeating: 0, count: 64)
        var size = 0
        do {
            var span = buffer.mutableSpan
            var writer = ByteWriter(&span)
            var layout = writer.writeShortHeader(
                ShortHeaderFields(
                    destinationConnectionID: .empty, packetNumber: Self.chaChaPacketNumber, packetNumberLength: 3,
                    keyPhase: .zero))
            writer.write(ControlFrame.ping)
            writer.finishPacket(&layout)
            size = writer.position
            var run = SealedRun()
            keys.seal(&writer.bytes, layout, packetNumber: Self.chaChaPacketNumber, acknowledging: nil, run: &run)
            keys.protectHeaders(of: &run, in: &writer.bytes)
        }
        #expect(Array(buffer[..<size]) == sample)

        guard case .short(let header)? = scan(sample, localConnectionIDLength: 0).first else {
            Issue.record("not a short header")
            return
        }
        var datagram = sample
        var span = datagram.mutableSpan
        let opened = try keys.open(
            &span, header, largestReceived: Self.chaChaPacketNumber - 1, at: .origin, probeTimeout: .seconds(1))
        let packet = try #require(opened)
        #expect(packet.packetNumber == Self.chaChaPacketNumber && Array(datagram[packet.payload]) == [1])
    }

    @Test(
        "A.5: the secret after a key update",
        arguments: [
            (.v1, "1223504755036d556342ee9361d253421a826c9ecdf3c7148684b36b714881f9"),
            (.v2, "c69374c49e3d2a9466fa689e49d476db5d0dfbc87d32ceeaa6343fd0ae4c7d88"),
        ] as [(Version, String)])
    func keyUpdateSecret(version: Version, secret: String) {
        let material = KeyMaterial(
            suite: .chaCha20Poly1305, version: version, secret: SecretBytes(Self.chaChaSecret))
        #expect(Self.bytes(material.updated().secret) == hexBytes(secret))
    }
}
