import Primitives
import QUIC

@testable import HTTP3

/// What a decoder made of a stream: its parts with neighbouring payload joined, and whether it ended with a fault.
private struct Reading: Equatable {
    enum Part: Equatable {
        case payload([UInt8])
        case other(String)
    }

    var parts: [Part] = []
    var fault: String?

    mutating func append(payload: ArraySlice<UInt8>) {
        if case .payload(let before) = parts.last {
            parts[parts.count - 1] = .payload(before + payload)
        } else {
            parts.append(.payload(Array(payload)))
        }
    }
}

/// The first byte chooses stream and role, the second where the stream is cut, the rest is the stream.
func fuzzHTTP3Frames(_ input: [UInt8]) {
    var input = FuzzInput(input)
    let choice = input.byte()
    let stream: FrameStream = choice & 1 == 0 ? .request : .control
    let role: Role = choice & 2 == 0 ? .server : .client
    let (whole, first, second) = pieces(input.rest())
    let atOnce = readFrames([whole], stream, role)
    let inPieces = readFrames([first, second], stream, role)
    require(atOnce == inPieces, "\(atOnce) at once, \(inPieces) in two pieces")
    guard let settings = try? Settings(decoding: whole.span) else { return }
    let again = try? Settings(decoding: settings.encoded(greaseSeed: 5).span)
    require(again == settings, "\(settings) are others after encoding")
}

private func readFrames(_ pieces: [[UInt8]], _ stream: FrameStream, _ role: Role) -> Reading {
    var decoder = HTTP3.FrameDecoder(stream, readBy: role)
    var reading = Reading()
    for piece in pieces {
        var position = 0
        do throws(HTTP3Error) {
            while let part = try decoder.next(piece.span, at: &position) {
                switch part {
                case .data(let range): reading.append(payload: piece[range])
                case .headers(let bytes), .settings(let bytes):
                    require(bytes.count <= HTTP3.FrameDecoder.maximumCollectedLength, "a frame beyond the bound")
                    reading.parts.append(.other("\(part)"))
                case .goAway, .cancelPush, .maxPushID: reading.parts.append(.other("\(part)"))
                }
            }
        } catch {
            reading.fault = "\(error)"
            return reading
        }
        require(position == piece.count, "bytes left over without a fault")
    }
    return reading
}

/// The first byte chooses the limit, the rest is a field section.
func fuzzFieldSections(_ input: [UInt8]) {
    var input = FuzzInput(input)
    let limit = [0, 64, 1_000, 16_384][input.number(below: 4)]
    let bytes = input.rest()
    guard case .fields(let lines)? = try? FieldSectionDecoder.decode(bytes.span, limit: limit) else { return }
    let size = lines.reduce(0) { $0 + $1.name.count + $1.value.count + FieldLine.overhead }
    require(size <= limit, "\(size) bytes of fields where \(limit) are allowed")
    if let head = try? RequestHead(validating: lines) {
        check(head.allFields) { try? RequestHead(validating: $0).allFields }
    }
    if let head = try? ResponseHead(validating: lines) {
        check(head.allFields) { try? ResponseHead(validating: $0).allFields }
    }
}

/// Valid fields are the same after they were sent on.
private func check(_ fields: [Field], _ validate: ([FieldLine]) -> [Field]?) {
    let encoded = FieldSectionEncoder.encode(fields)
    guard case .fields(let lines)? = try? FieldSectionDecoder.decode(encoded.span, limit: .max / 2) else {
        violated("\(fields) cannot be decoded after encoding")
    }
    let again = validate(lines)?.map { [$0.name, $0.value] }
    require(again == fields.map { [$0.name, $0.value] }, "\(fields) are \(String(describing: again)) after encoding")
}

/// The first byte chooses where the stream is cut, the rest is the stream.
func fuzzCapsules(_ input: [UInt8]) {
    let (whole, first, second) = pieces(input)
    let atOnce = readCapsules([whole], puttingBack: 0)
    for reading in [readCapsules([first, second], puttingBack: 0), readCapsules([whole], puttingBack: 3)] {
        require(atOnce == reading, "\(atOnce) at once, \(reading) in pieces")
    }
}

/// With `puttingBack`, what takes the payload takes so many bytes fewer than it is shown, as long as it gets any.
private func readCapsules(_ pieces: [[UInt8]], puttingBack: Int) -> Reading {
    var decoder = CapsuleDecoder()
    var reading = Reading()
    for piece in pieces {
        var position = 0
        do throws(CapsuleError) {
            while let part = try decoder.next(piece.span, at: &position) {
                switch part {
                case .payload(let range):
                    let back = range.count > puttingBack ? puttingBack : 0
                    reading.append(payload: piece[range].dropLast(back))
                    decoder.putBack(back)
                    position -= back
                case .end: reading.parts.append(.other("end"))
                case .delivered(let position): reading.parts.append(.other("delivered \(position)"))
                }
            }
        } catch {
            reading.fault = error.reason
            return reading
        }
    }
    return reading
}
