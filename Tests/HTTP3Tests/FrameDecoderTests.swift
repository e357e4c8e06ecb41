import Primitives
import QUIC
import Testing

@testable import HTTP3

/// What a decoder makes of a stream, with neighbouring DATA payload joined.
enum DecodedFrame: Equatable {
    case data([UInt8])
    case other(FramePart)
}

/// Feeds pieces to a decoder.
func decodeFrames(_ pieces: [[UInt8]], with decoder: inout HTTP3.FrameDecoder) throws(HTTP3Error) -> [DecodedFrame] {
    var frames: [DecodedFrame] = []
    for piece in pieces {
        var position = 0
        while let part = try decoder.next(piece.span, at: &position) {
            guard case .data(let range) = part else {
                frames.append(.other(part))
                continue
            }
            if case .data(let before) = frames.last {
                frames[frames.count - 1] = .data(before + piece[range])
            } else {
                frames.append(.data(Array(piece[range])))
            }
        }
        #expect(position == piece.count)
    }
    return frames
}

@Suite("HTTP/3 frames")
struct FrameDecoderTests {
    private func decode(
        _ bytes: [UInt8], on stream: FrameStream, readBy role: Role = .server
    ) throws(HTTP3Error) -> [DecodedFrame] {
        var decoder = HTTP3.FrameDecoder(stream, readBy: role)
        return try decodeFrames([bytes], with: &decoder)
    }

    @Test("each frame gives its part")
    func parts() throws {
        let request = frame(1, [9, 8]) + frame(0, [1, 2, 3]) + frame(0, []) + frame(0, [4]) + frame(1, [])
        #expect(
            try decode(request, on: .request)
                == [.other(.headers([9, 8])), .data([1, 2, 3, 4]), .other(.headers([]))])
        let control = frame(4, [1, 2]) + frame(7, varint(16)) + frame(3, varint(70000)) + frame(0x0d, varint(5))
        #expect(
            try decode(control, on: .control)
                == [
                    .other(.settings([1, 2])), .other(.goAway(16)), .other(.cancelPush(70000)), .other(.maxPushID(5)),
                ])
    }

    @Test("types, lengths and identifiers may have any form of variable-length integer")
    func wideIntegers() throws {
        let bytes = varint(7, width: 8) + varint(4, width: 4) + varint(16, width: 4)
        #expect(try decode(bytes, on: .control) == [.other(.goAway(16))])
    }

    static let forbidden: [(FrameStream, Role, UInt64)] = [
        (.control, .server, 0x00), (.control, .client, 0x00), (.control, .server, 0x01), (.control, .client, 0x01),
        (.request, .server, 0x03), (.request, .client, 0x04), (.request, .server, 0x07), (.request, .client, 0x0d),
        (.request, .server, 0x0d), (.control, .client, 0x0d), (.control, .server, 0x05), (.control, .client, 0x05),
        (.request, .server, 0x05),
        (.control, .server, 0x02), (.control, .client, 0x06), (.request, .server, 0x08), (.request, .client, 0x09),
    ]

    @Test("RFC 9114 §7.2: a frame on a stream where it must not be is H3_FRAME_UNEXPECTED", arguments: forbidden)
    func forbiddenFrames(stream: FrameStream, role: Role, type: UInt64) {
        // The type alone decides, before a length says how much would have to be read.
        let error = #expect(throws: HTTP3Error.self) { try decode(varint(type), on: stream, readBy: role) }
        #expect(error?.code == .frameUnexpected)
    }

    @Test("RFC 9114 §7.2.5: a promise, which no MAX_PUSH_ID allowed, is H3_ID_ERROR for a client")
    func promise() {
        let error = #expect(throws: HTTP3Error.self) { try decode(frame(5, [0]), on: .request, readBy: .client) }
        #expect(error?.code == .idError)
    }

    @Test(
        "RFC 9114 §7.1: a frame whose fields do not fill it is H3_FRAME_ERROR",
        arguments: [
            frame(7, []), frame(7, [0x40]), frame(7, [0, 0]), frame(3, varint(1, width: 8) + [0]), frame(13, [0xc0]),
        ])
    func layout(bytes: [UInt8]) {
        let error = #expect(throws: HTTP3Error.self) { try decode(bytes, on: .control) }
        #expect(error?.code == .frameError)
    }

    @Test("HEADERS beyond the bound is H3_EXCESSIVE_LOAD before any of it is read")
    func headersTooLong() {
        let bytes = varint(1) + varint(UInt64(HTTP3.FrameDecoder.maximumCollectedLength) + 1)
        let error = #expect(throws: HTTP3Error.self) { try decode(bytes, on: .request) }
        #expect(error?.code == .excessiveLoad)
    }

    @Test("RFC 9114 §9: unknown and reserved types are skipped, of any length")
    func unknownTypes() throws {
        let unknown =
            frame(Grease.number(77), [1, 2, 3]) + frame(0x0a, []) + frame(1 << 61, Array(repeating: 7, count: 500))
        #expect(try decode(unknown + frame(1, [5]) + unknown, on: .request) == [.other(.headers([5]))])
        #expect(try decode(frame(4, []) + unknown, on: .control) == [.other(.settings([]))])
    }

    @Test("a frame of 2^62 - 1 bytes is skipped or passed through without being kept")
    func hugeFrames() throws {
        for type in [UInt64(0), 0x21] {
            var decoder = HTTP3.FrameDecoder(.request, readBy: .server)
            _ = try decodeFrames([varint(type) + varint(Varint.max)], with: &decoder)
            for _ in 0..<10 { _ = try decodeFrames([Array(repeating: 0xff, count: 1000)], with: &decoder) }
            #expect(!decoder.isAtFrameBoundary)
        }
    }

    @Test("any cut of the input gives the same frames")
    func anyCut() throws {
        var generator = SeededGenerator(seed: 9114)
        for _ in 0..<300 {
            var bytes: [UInt8] = []
            for _ in 0..<Int.random(in: 1...6, using: &generator) {
                let types: [UInt64] = [0, 0, 1, 0x21, 0x40, 1 << 40]
                let type = types.randomElement(using: &generator) ?? 0
                bytes += frame(type, randomBytes(Int.random(in: 0...90, using: &generator), using: &generator))
            }
            var decoder = HTTP3.FrameDecoder(.request, readBy: .server)
            #expect(
                try decodeFrames(pieces(of: bytes, using: &generator), with: &decoder) == decode(bytes, on: .request))
            #expect(decoder.isAtFrameBoundary)
        }
    }

    @Test("a stream is at a frame boundary exactly where it is")
    func boundary() throws {
        let bytes = frame(1, [1, 2]) + frame(0, [3]) + frame(0x4021, [4])
        let boundaries: Set<Int> = [0, 4, 7, bytes.count]
        for end in 0...bytes.count {
            var decoder = HTTP3.FrameDecoder(.request, readBy: .server)
            _ = try decodeFrames([Array(bytes[..<end])], with: &decoder)
            #expect(decoder.isAtFrameBoundary == boundaries.contains(end), "after \(end) bytes")
        }
    }

    @Test("payload that was put back comes again, whether its frame had ended or not")
    func putBack() throws {
        for count in [3, 5] {
            var decoder = HTTP3.FrameDecoder(.request, readBy: .server)
            let bytes = Array((varint(0) + varint(5) + [1, 2, 3, 4, 5])[..<(2 + count)])
            var position = 0
            #expect(try decoder.next(bytes.span, at: &position) == .data(2..<2 + count))
            decoder.putBack(2)
            position -= 2
            #expect(!decoder.isAtFrameBoundary)
            #expect(try decoder.next(bytes.span, at: &position) == .data(count..<2 + count))
            #expect(decoder.isAtFrameBoundary == (count == 5))
        }
    }

    @Test("random input never traps")
    func randomInput() {
        var generator = SeededGenerator(seed: 3)
        for _ in 0..<5000 {
            let stream = Bool.random(using: &generator) ? FrameStream.control : .request
            let role = Bool.random(using: &generator) ? Role.client : .server
            var decoder = HTTP3.FrameDecoder(stream, readBy: role)
            let bytes = randomBytes(Int.random(in: 0..<60, using: &generator), using: &generator).map {
                Bool.random(using: &generator) ? $0 & 0x0f : $0
            }
            _ = try? decodeFrames(pieces(of: bytes, using: &generator), with: &decoder)
        }
    }
}
