import Primitives

@testable import QUIC

private let packetTypes: [PacketType] = [.oneRTT, .initial, .handshake, .zeroRTT]

/// The first byte chooses packet type and sender, the rest is the payload.
func fuzzFrames(_ input: [UInt8]) {
    var input = FuzzInput(input)
    let choice = input.number(below: 8)
    let type = packetTypes[choice & 3]
    let sender: Role = choice & 4 == 0 ? .client : .server
    let payload = input.rest()
    var decoder = FrameDecoder(payload.span, in: type, from: sender)
    var count = 0
    do throws(TransportError) {
        while let frame = try decoder.next() {
            count += 1
            require(count <= payload.count, "more frames than bytes")
            check(frame, in: payload, type, sender)
        }
    } catch {
        require(error.code == .frameEncodingError || error.code == .protocolViolation, "refused with \(error)")
    }
}

private func check(_ frame: Frame, in payload: [UInt8], _ type: PacketType, _ sender: Role) {
    let ranges: [Range<Int>] =
        switch frame {
        case .crypto(offset: _, data: let data), .stream(_, offset: _, data: let data, fin: _): [data]
        case .newToken(let data), .datagram(let data): [data]
        case .connectionClose(let close): [close.reason]
        case .ack(let ack): [ack.additionalRanges]
        default: []
        }
    for range in ranges { require(range.lowerBound >= 0 && range.upperBound <= payload.count, "range outside") }
    if case .ack(let ack) = frame { checkRanges(ack, payload) }
    guard let control = ControlFrame(frame) else { return }
    let encoded = encode(control)
    require(encoded.count == control.encodedSize, "encoded size of \(control)")
    var decoder = FrameDecoder(encoded.span, in: type, from: sender)
    require((try? decoder.next()) == frame, "\(frame) is another after encoding")
}

private func checkRanges(_ ack: AckFrame, _ payload: [UInt8]) {
    var ranges = ack.ranges(in: payload.span)
    var smallest: UInt64?
    var count: UInt64 = 0
    while let range = ranges.next() {
        // Ranges fall, and at least one packet lies between two of them.
        if let smallest { require(range.upperBound + 2 <= smallest, "ACK ranges that touch or rise") }
        smallest = range.lowerBound
        count += 1
    }
    require(count == ack.additionalRangeCount + 1, "\(count) ranges of \(ack)")
}

private func encode(_ frame: ControlFrame) -> [UInt8] {
    var buffer = [UInt8](repeating: 0, count: 128)
    var span = buffer.mutableSpan
    var writer = ByteWriter(&span)
    writer.write(frame)
    let count = writer.position
    return Array(buffer[..<count])
}

extension ControlFrame {
    /// The same frame to be sent; nil for those with payload.
    fileprivate init?(_ frame: Frame) {
        switch frame {
        case .ping: self = .ping
        case .resetStream(let id, let code, let size): self = .resetStream(id, errorCode: code, finalSize: size)
        case .stopSending(let id, let code): self = .stopSending(id, errorCode: code)
        case .maxData(let limit): self = .maxData(limit)
        case .maxStreamData(let id, let limit): self = .maxStreamData(id, limit)
        case .maxStreams(let direction, let limit): self = .maxStreams(direction, limit)
        case .dataBlocked(let limit): self = .dataBlocked(limit: limit)
        case .streamDataBlocked(let id, let limit): self = .streamDataBlocked(id, limit: limit)
        case .streamsBlocked(let direction, let limit): self = .streamsBlocked(direction, limit: limit)
        case .newConnectionID(let frame): self = .newConnectionID(frame)
        case .retireConnectionID(let sequence): self = .retireConnectionID(sequence: sequence)
        case .pathChallenge(let data): self = .pathChallenge(data)
        case .pathResponse(let data): self = .pathResponse(data)
        case .handshakeDone: self = .handshakeDone
        case .ackFrequency(let frame): self = .ackFrequency(frame)
        case .immediateAck: self = .immediateAck
        case .padding, .ack, .crypto, .newToken, .stream, .connectionClose, .datagram: return nil
        }
    }
}

/// The first byte chooses the sender, the rest is the extension.
func fuzzTransportParameters(_ input: [UInt8]) {
    var input = FuzzInput(input)
    let sender: Role = input.byte() & 1 == 0 ? .client : .server
    let bytes = input.rest()
    let decoded: TransportParameters
    do throws(TransportError) {
        decoded = try TransportParameters(decoding: bytes.span, from: sender)
    } catch {
        require(error.code == .transportParameterError, "refused with \(error)")
        return
    }
    var generator = SeededGenerator(seed: 1)
    let encoded = decoded.encoded(for: sender, using: &generator)
    let again = try? TransportParameters(decoding: encoded.span, from: sender)
    require(again == decoded, "\(decoded) are \(String(describing: again)) after encoding")
}
