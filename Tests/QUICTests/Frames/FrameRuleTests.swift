import Primitives
import Testing

@testable import QUIC

@Suite("Which frames are allowed where (RFC 9000 §12.4, table 3)")
struct FrameRuleTests {
    /// RFC 9000 table 3, RFC 9221 §5 and draft-ietf-quic-ack-frequency §3, column Pkts: Initial, Handshake, 0-RTT, 1-RTT.
    static let table: [(types: ClosedRange<UInt64>, packets: String)] = [
        (0x00...0x00, "IH01"),  // PADDING
        (0x01...0x01, "IH01"),  // PING
        (0x02...0x03, "IH_1"),  // ACK
        (0x04...0x04, "__01"),  // RESET_STREAM
        (0x05...0x05, "__01"),  // STOP_SENDING
        (0x06...0x06, "IH_1"),  // CRYPTO
        (0x07...0x07, "___1"),  // NEW_TOKEN
        (0x08...0x0f, "__01"),  // STREAM
        (0x10...0x10, "__01"),  // MAX_DATA
        (0x11...0x11, "__01"),  // MAX_STREAM_DATA
        (0x12...0x13, "__01"),  // MAX_STREAMS
        (0x14...0x14, "__01"),  // DATA_BLOCKED
        (0x15...0x15, "__01"),  // STREAM_DATA_BLOCKED
        (0x16...0x17, "__01"),  // STREAMS_BLOCKED
        (0x18...0x18, "__01"),  // NEW_CONNECTION_ID
        (0x19...0x19, "__01"),  // RETIRE_CONNECTION_ID
        (0x1a...0x1a, "__01"),  // PATH_CHALLENGE
        (0x1b...0x1b, "___1"),  // PATH_RESPONSE
        (0x1c...0x1c, "IH01"),  // CONNECTION_CLOSE of the transport
        (0x1d...0x1d, "__01"),  // CONNECTION_CLOSE of the application
        (0x1e...0x1e, "___1"),  // HANDSHAKE_DONE
        (0x1f...0x1f, "___1"),  // IMMEDIATE_ACK
        (0x30...0x31, "__01"),  // DATAGRAM
        (0xaf...0xaf, "___1"),  // ACK_FREQUENCY
    ]

    @Test("the table holds for every type and packet")
    func permitted() throws {
        let columns: [(Character, PacketType)] = [("I", .initial), ("H", .handshake), ("0", .zeroRTT), ("1", .oneRTT)]
        for (type, bytes) in sampleFrames {
            let packets = try #require(Self.table.first { $0.types.contains(type) }).packets
            for (letter, packetType) in columns {
                let expected: TransportErrorCode? = packets.contains(letter) ? nil : .protocolViolation
                #expect(refusal(bytes, in: packetType) == expected, "type \(type) in \(packetType)")
            }
        }
    }

    @Test("the samples cover every type of the table")
    func samplesAreComplete() {
        #expect(sampleFrames.map(\.type) == Self.table.flatMap { Array($0.types) })
    }

    @Test("types that no RFC defines are FRAME_ENCODING_ERROR", arguments: [0x20, 0x2f, 0x32, 0x3f, 0x40, 0xae, 0xb0])
    func unknown(type: UInt64) {
        for packetType in PacketType.allCases {
            #expect(refusal(written { $0.writeVarint(type) }, in: packetType) == .frameEncodingError)
        }
    }

    @Test("a frame type in a longer form than needed is a violation", arguments: [2, 4, 8])
    func longType(width: Int) {
        for type in [0x00, 0x01, 0x1e] as [UInt64] {
            #expect(refusal(written { $0.writeVarint(type, width: width) }) == .protocolViolation)
        }
    }

    @Test("a packet without frames is a violation")
    func emptyPacket() {
        for packetType in PacketType.allCases { #expect(refusal([], in: packetType) == .protocolViolation) }
    }

    @Test("NEW_TOKEN and HANDSHAKE_DONE of a client are a violation")
    func serverOnly() {
        for (type, bytes) in sampleFrames {
            let expected: TransportErrorCode? = [0x07, 0x1e].contains(type) ? .protocolViolation : nil
            #expect(refusal(bytes, from: .client) == expected)
        }
    }

    @Test("all but PADDING, ACK and CONNECTION_CLOSE are ack-eliciting (RFC 9002 §2)")
    func ackEliciting() throws {
        for (type, bytes) in sampleFrames {
            let frame = try #require(try frames(bytes).first)
            #expect(frame.isAckEliciting == ![0x00, 0x02, 0x03, 0x1c, 0x1d].contains(type))
        }
    }

    @Test("PADDING, NEW_CONNECTION_ID, PATH_CHALLENGE and PATH_RESPONSE are probing (RFC 9000 §9.1)")
    func probing() throws {
        for (type, bytes) in sampleFrames {
            let frame = try #require(try frames(bytes).first)
            #expect(frame.isProbing == [0x00, 0x18, 0x1a, 0x1b].contains(type))
        }
    }
}

@Suite("Values that frames must not have (RFC 9000 §19)")
struct FrameValueTests {
    @Test(
        "are refused with the code of the RFC",
        arguments: [
            ("ACK first range below 0", "0205000006"), ("ACK gap below 0", "020a0001 05 04 00"),
            ("ACK length below 0", "020a0001 05 02 02"), ("ACK with fewer ranges than announced", "020a0002 01 0000"),
            ("ACK with 2^62-1 ranges", "020a00ffffffffffffffff010000"),
            ("CRYPTO beyond 2^62-1", "06ffffffffffffffff01aa"), ("STREAM beyond 2^62-1", "0e04ffffffffffffffff01aa"),
            ("STREAM to the end beyond 2^62-1", "0c04ffffffffffffffffaa"), ("NEW_TOKEN without a token", "0700"),
            ("MAX_STREAMS bidirectional above 2^60", "12d000000000000001"),
            ("MAX_STREAMS unidirectional above 2^60", "13d000000000000001"),
            ("STREAMS_BLOCKED bidirectional above 2^60", "16d000000000000001"),
            ("STREAMS_BLOCKED unidirectional above 2^60", "17d000000000000001"),
            ("Retire Prior To above the sequence number", "180506040a0b0c0d000102030405060708090a0b0c0d0e0f"),
            ("connection ID of 0 bytes", "18050300000102030405060708090a0b0c0d0e0f"),
            ("connection ID of 21 bytes", "18050315" + String(repeating: "01", count: 37)),
            ("length beyond the packet", "0a0404aabbcc"), ("reason beyond the packet", "1c0a0604616263"),
            ("DATAGRAM beyond the packet", "3104aabbcc"),
        ])
    func refused(what: String, text: String) {
        #expect(refusal(hexBytes(text)) == .frameEncodingError, "\(what)")
    }

    @Test(
        "at the edge of their range are accepted",
        arguments: [
            "0205000005", "020a0001 0502 01", "06fffffffffffffffe01aa", "06ffffffffffffffff00",
            "0e04fffffffffffffffe01aa", "12d000000000000000", "16d000000000000000",
            "180505010a000102030405060708090a0b0c0d0e0f", "18050314" + String(repeating: "01", count: 36),
        ])
    func accepted(text: String) {
        #expect(refusal(hexBytes(text)) == nil)
    }
}

@Suite("Frame decoding is total")
struct FrameTotalityTests {
    @Test("every truncation of every frame is FRAME_ENCODING_ERROR, or a frame that reaches to the packet's end")
    func truncations() {
        for (type, bytes) in sampleFrames {
            for count in 1..<bytes.count {
                let outcome = refusal(Array(bytes[..<count]))
                // STREAM and DATAGRAM without a length take what there is, once their header is there.
                let mayEnd = [0x08, 0x09, 0x0c, 0x0d, 0x30].contains(type)
                #expect(outcome == .frameEncodingError || mayEnd && outcome == nil, "type \(type), \(count) bytes")
            }
        }
    }

    @Test("random and mutated payloads give frames within the payload, or an error")
    func random() throws {
        var generator = SeededGenerator(seed: 13)
        let types = PacketType.allCases
        for round in 0..<6_000 {
            var payload: [UInt8] = []
            if round.isMultiple(of: 2) {
                payload = randomBytes(Int.random(in: 0...40, using: &generator), &generator)
            } else {
                for _ in 0..<3 { payload += sampleFrames.randomElement(using: &generator)?.bytes ?? [] }
                let index = Int.random(in: payload.indices, using: &generator)
                payload[index] = UInt8(truncatingIfNeeded: generator.next())
            }
            guard let found = try? frames(payload, in: types[round % 4]) else { continue }
            for frame in found { check(frame, payload) }
        }
    }

    private func check(_ frame: Frame, _ payload: [UInt8]) {
        let bounds = 0...payload.count
        switch frame {
        case .crypto(_, let data), .newToken(let data), .stream(_, _, let data, _), .datagram(let data):
            #expect(bounds.contains(data.lowerBound) && bounds.contains(data.upperBound))
        case .connectionClose(let close):
            #expect(bounds.contains(close.reason.lowerBound) && bounds.contains(close.reason.upperBound))
        case .ack(let ack):
            var ranges = ack.ranges(in: payload.span)
            var count: UInt64 = 0
            var previous: UInt64?
            while let range = ranges.next() {
                if let previous { #expect(range.upperBound + 1 < previous) }
                previous = range.lowerBound
                count += 1
            }
            #expect(count == ack.additionalRangeCount + 1)
        default: break
        }
    }
}
