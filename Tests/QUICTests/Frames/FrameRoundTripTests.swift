import Primitives
import Testing

@testable import QUIC

@Suite("Frames survive the round trip")
struct FrameRoundTripTests {
    static func control(_ generator: inout SeededGenerator) -> (ControlFrame, Frame) {
        let (a, b, c) = (randomVarint(&generator), randomVarint(&generator), randomVarint(&generator))
        let id = StreamID(rawValue: a)
        let count = b % (StreamID.maximumCount + 1)
        let direction: StreamDirection = c.isMultiple(of: 2) ? .bidirectional : .unidirectional
        switch generator.next() % 16 {
        case 0: return (.ping, .ping)
        case 1:
            return (.resetStream(id, errorCode: b, finalSize: c), .resetStream(id, errorCode: b, finalSize: c))
        case 2: return (.stopSending(id, errorCode: b), .stopSending(id, errorCode: b))
        case 3: return (.maxData(a), .maxData(a))
        case 4: return (.maxStreamData(id, b), .maxStreamData(id, b))
        case 5: return (.maxStreams(direction, count), .maxStreams(direction, count))
        case 6: return (.dataBlocked(limit: a), .dataBlocked(limit: a))
        case 7: return (.streamDataBlocked(id, limit: b), .streamDataBlocked(id, limit: b))
        case 8: return (.streamsBlocked(direction, limit: count), .streamsBlocked(direction, limit: count))
        case 9:
            let frame = NewConnectionIDFrame(
                sequence: max(a, b), retirePriorTo: min(a, b),
                id: .random(count: Int.random(in: 1...20, using: &generator), using: &generator),
                resetToken: StatelessResetToken(high: generator.next(), low: generator.next()))
            return (.newConnectionID(frame), .newConnectionID(frame))
        case 10: return (.retireConnectionID(sequence: a), .retireConnectionID(sequence: a))
        case 11: return (.pathChallenge(a &* 5), .pathChallenge(a &* 5))
        case 12: return (.pathResponse(b &* 5), .pathResponse(b &* 5))
        case 13: return (.immediateAck, .immediateAck)
        case 14:
            let frame = AckFrequencyFrame(
                sequence: a, threshold: b, maxAckDelayMicroseconds: c, reorderingThreshold: a ^ b & Varint.max)
            return (.ackFrequency(frame), .ackFrequency(frame))
        default: return (.handshakeDone, .handshakeDone)
        }
    }

    @Test("frames of values take as many bytes as announced and come back as they were")
    func controlFrames() throws {
        var generator = SeededGenerator(seed: 14)
        for _ in 0..<1_500 {
            let (sent, expected) = Self.control(&generator)
            let bytes = written(capacity: 64) { $0.write(sent) }
            #expect(bytes.count == sent.encodedSize)
            #expect(try frames(bytes) == [expected])
        }
    }

    @Test("a frame is written only where it fits")
    func fitting() {
        var generator = SeededGenerator(seed: 15)
        for _ in 0..<200 {
            let (frame, _) = Self.control(&generator)
            var outcome = true
            let short = written(capacity: frame.encodedSize - 1) { outcome = $0.writeIfFits(frame) }
            #expect(!outcome && short.isEmpty)
            let exact = written(capacity: frame.encodedSize) { outcome = $0.writeIfFits(frame) }
            #expect(outcome && exact.count == frame.encodedSize)
        }
    }

    @Test("STREAM frames, with and without a length")
    func stream() throws {
        var generator = SeededGenerator(seed: 16)
        for round in 0..<1_000 {
            let header = StreamFrameHeader(
                id: StreamID(rawValue: randomVarint(&generator)),
                offset: round.isMultiple(of: 3) ? 0 : randomVarint(&generator) / 2,
                fin: round.isMultiple(of: 2) ? .end : .more, extent: round % 5 < 3 ? .lengthField : .endOfPacket)
            let payload = randomBytes(Int.random(in: 0...100, using: &generator), &generator)
            let bytes = written { writer in
                writer.write(header, length: payload.count)
                writer.write(payload.span)
                if header.extent == .lengthField { writer.write(ControlFrame.ping) }
            }
            let start = header.encodedSize(length: payload.count)
            let frame = Frame.stream(
                header.id, offset: header.offset, data: start..<start + payload.count, fin: header.fin)
            #expect(try frames(bytes) == (header.extent == .lengthField ? [frame, .ping] : [frame]))
        }
    }

    @Test("CRYPTO, NEW_TOKEN and DATAGRAM frames")
    func payloads() throws {
        var generator = SeededGenerator(seed: 17)
        for count in [1, 5, 63, 64, 200] {
            let payload = randomBytes(count, &generator)
            let crypto = CryptoFrameHeader(offset: randomVarint(&generator) / 2)
            let datagram = DatagramFrameHeader(extent: .lengthField)
            let last = DatagramFrameHeader(extent: .endOfPacket)
            var starts: [Int] = []
            let bytes = written { writer in
                writer.write(crypto, length: count)
                starts.append(writer.position)
                writer.write(payload.span)
                writer.writeNewToken(payload.span)
                starts.append(writer.position - count)
                writer.write(datagram, length: count)
                starts.append(writer.position)
                writer.write(payload.span)
                writer.write(last, length: count)
                starts.append(writer.position)
                writer.write(payload.span)
            }
            let ranges = starts.map { $0..<$0 + count }
            #expect(
                try frames(bytes) == [
                    .crypto(offset: crypto.offset, data: ranges[0]), .newToken(ranges[1]), .datagram(ranges[2]),
                    .datagram(ranges[3]),
                ])
            let size =
                crypto.encodedSize(length: count) + ByteWriter.newTokenSize(payload.span)
                + datagram.encodedSize(length: count) + last.encodedSize(length: count) + 3 * count
            #expect(bytes.count == size)
        }
    }

    @Test("CONNECTION_CLOSE frames of both kinds, with the reason cut to the room there is")
    func connectionClose() throws {
        let origins: [ConnectionCloseFrame.Origin] = [
            .transport(.protocolViolation, frameType: 0x1e), .application(code: 0x0101),
        ]
        let reason = "Grüße"
        for origin in origins {
            let full = written { $0.writeConnectionClose(origin, reason: reason) }
            #expect(full.count == origin.encodedSize(reason: reason))
            for capacity in origin.smallestEncodedSize...full.count + 1 {
                let bytes = written(capacity: capacity) { $0.writeConnectionClose(origin, reason: reason) }
                guard case .connectionClose(let close)? = try frames(bytes).first else {
                    Issue.record("not a CONNECTION_CLOSE frame")
                    continue
                }
                #expect(close.origin == origin)
                let text = String(decoding: bytes[close.reason], as: UTF8.self)
                #expect(reason.hasPrefix(text))
            }
        }
        let long = written {
            $0.writeConnectionClose(.application(code: 0), reason: String(repeating: "x", count: 2_000))
        }
        #expect(long.count == 1 + 1 + 2 + ByteWriter.maximumReasonLength)
    }

    @Test("a run of PADDING is one frame")
    func padding() throws {
        let bytes = written { writer in
            writer.write(repeating: 0, count: 100)
            writer.write(ControlFrame.ping)
            writer.write(repeating: 0, count: 1)
        }
        #expect(try frames(bytes) == [.padding(count: 100), .ping, .padding(count: 1)])
    }

    @Test("the payload capacity is the most that fits, for every space")
    func capacity() {
        let id = StreamID(rawValue: 4)
        for space in 0..<200 {
            for extent in [PayloadExtent.lengthField, .endOfPacket] {
                let stream = StreamFrameHeader(id: id, offset: 70, fin: .more, extent: extent)
                Self.check(stream.payloadCapacity(in: space), space) { stream.encodedSize(length: $0) }
                let datagram = DatagramFrameHeader(extent: extent)
                Self.check(datagram.payloadCapacity(in: space), space) { datagram.encodedSize(length: $0) }
            }
            let crypto = CryptoFrameHeader(offset: 70)
            Self.check(crypto.payloadCapacity(in: space), space) { crypto.encodedSize(length: $0) }
        }
    }

    private static func check(_ capacity: Int?, _ space: Int, _ headerSize: (Int) -> Int) {
        let best = (0...space).last { headerSize($0) + $0 <= space }
        #expect(capacity == best)
    }
}
