import Cryptography
import Primitives
import Testing

@testable import QUIC

@Suite("Opening packets (RFC 9001 §5)")
struct PacketProtectionTests {
    /// A Handshake packet with `payload`, sealed with AES-256-GCM; `tamper` changes it before it is sealed.
    static func handshakePacket(
        _ payload: [UInt8], packetNumberLength: Int = 1, secret: SecretBytes, tamper: (inout [UInt8]) -> Void = { _ in }
    ) -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: 1_500)
        var layout = PacketLayout(start: 0, lengthField: nil, packetNumber: 0..<0, end: 0)
        do {
            var span = buffer.mutableSpan
            var writer = ByteWriter(&span)
            layout = writer.writeLongHeader(
                LongHeaderFields(
                    version: .v1, type: .handshake, destinationConnectionID: connectionID("01020304"),
                    sourceConnectionID: .empty, packetNumber: 5, packetNumberLength: packetNumberLength,
                    lengthWidth: .two))
            writer.write(payload.span)
            writer.finishPacket(&layout)
        }
        tamper(&buffer)
        do {
            var span = buffer.mutableSpan
            SealingKeys(suite: .aes256GCM, secret: secret, version: .v1).seal(&span, layout, packetNumber: 5)
        }
        return Array(buffer[..<layout.end])
    }

    static let secret = SecretBytes([UInt8](repeating: 9, count: 48))

    static func open(_ packet: [UInt8]) throws(TransportError) -> (OpenedPacket?, [UInt8]) {
        let keys = OpeningKeys(suite: .aes256GCM, secret: secret, version: .v1)
        guard case .long(let header)? = scan(packet).first else { return (nil, packet) }
        var datagram = packet
        var span = datagram.mutableSpan
        let opened = try keys.open(&span, header, largestReceived: nil)
        return (opened, datagram)
    }

    @Test("payloads of every length come back, padded as far as header protection needs", arguments: 1...4)
    func roundTrip(packetNumberLength: Int) throws {
        for count in [1, 2, 3, 4, 5, 16, 1_200] {
            let payload = [UInt8](repeating: 1, count: count)
            let (opened, datagram) = try Self.open(
                Self.handshakePacket(payload, packetNumberLength: packetNumberLength, secret: Self.secret))
            let packet = try #require(opened)
            let padding = max(0, 4 - packetNumberLength - count)
            #expect(Array(datagram[packet.payload]) == payload + [UInt8](repeating: 0, count: padding))
            #expect(packet.packetNumber == 5)
        }
    }

    @Test("a packet with any bit flipped is not authentic")
    func tampering() throws {
        let packet = Self.handshakePacket([1, 2, 3, 4], secret: Self.secret)
        for index in packet.indices {
            for bit in [0x01, 0x10, 0x80] as [UInt8] {
                var changed = packet
                changed[index] ^= bit
                #expect(try Self.open(changed).0 == nil)
            }
        }
    }

    @Test("a packet too short to be sampled is dropped")
    func tooShort() throws {
        for count in 0..<20 {
            let packet = hexBytes("e0000000010401020304 00") + [UInt8(count)] + [UInt8](repeating: 7, count: count)
            let (opened, _) = try Self.open(packet)
            #expect(opened == nil)
        }
    }

    @Test("reserved bits in an authentic packet are a violation, in one that is not they are noise")
    func reservedBits() throws {
        let packet = Self.handshakePacket([1, 2, 3, 4], secret: Self.secret) { $0[0] |= 0x04 }
        var code: TransportErrorCode?
        do throws(TransportError) { _ = try Self.open(packet) } catch { code = error.code }
        #expect(code == .protocolViolation)
        var forged = packet
        forged[packet.count - 1] ^= 1
        #expect(try Self.open(forged).0 == nil)
    }

    @Test("the second of two coalesced packets is opened at its place")
    func coalesced() throws {
        let first = Self.handshakePacket([1, 1, 1, 1], secret: Self.secret)
        let second = Self.handshakePacket([6, 0, 2, 1, 1], secret: Self.secret)
        var datagram = first + second
        guard case .long(let header)? = scan(datagram).last else {
            Issue.record("not a long header")
            return
        }
        let keys = OpeningKeys(suite: .aes256GCM, secret: Self.secret, version: .v1)
        var span = datagram.mutableSpan
        let opened = try keys.open(&span, header, largestReceived: 4)
        let packet = try #require(opened)
        #expect(packet.payload.lowerBound > first.count && Array(datagram[packet.payload]) == [6, 0, 2, 1, 1])
        #expect(Array(datagram[..<first.count]) == first)
    }

    @Test("the packet that reaches the integrity limit closes the connection (RFC 9001 §6.6)")
    func integrityLimit() {
        var limit = IntegrityLimit(limit: 3)
        var codes: [TransportErrorCode?] = []
        for _ in 0..<4 {
            do throws(TransportError) {
                try limit.openingFailed()
                codes.append(nil)
            } catch {
                codes.append(error.code)
            }
        }
        #expect(codes == [nil, nil, .aeadLimitReached, .aeadLimitReached])
    }

    @Test("a run of packets gets the same headers in one batch as one by one", arguments: CipherSuite.allCases)
    func batch(suite: CipherSuite) {
        let secret = SecretBytes([UInt8](repeating: 3, count: suite.hash.length))
        // More than one batch holds, so that it is split.
        let count = HeaderMaskBatch.capacity + 3
        let together = Self.sealRun(count, suite, secret, batchSize: count)
        let alone = Self.sealRun(count, suite, secret, batchSize: 1)
        #expect(together == alone)
        #expect(together.count == count * 60)
    }

    private static func sealRun(_ count: Int, _ suite: CipherSuite, _ secret: SecretBytes, batchSize: Int) -> [UInt8] {
        let keys = OneRTTKeys()
        keys.installSealing(suite: suite, secret: secret, version: .v1)
        var buffer = [UInt8](repeating: 0, count: count * 60)
        var span = buffer.mutableSpan
        var run = SealedRun()
        var writer = ByteWriter(&span)
        for number in 0..<UInt64(count) {
            var layout = writer.writeShortHeader(
                ShortHeaderFields(
                    destinationConnectionID: connectionID("0102030405060708"), packetNumber: number,
                    packetNumberLength: 1 + Int(number % 4), keyPhase: .zero))
            let end = layout.start + 60 - CipherSuite.tagLength
            writer.write(repeating: 1, count: end - writer.position)
            writer.finishPacket(&layout)
            keys.seal(&writer.bytes, layout, packetNumber: number, acknowledging: nil, run: &run)
            if (Int(number) + 1).isMultiple(of: batchSize) { keys.protectHeaders(of: &run, in: &writer.bytes) }
        }
        keys.protectHeaders(of: &run, in: &writer.bytes)
        return buffer
    }
}
