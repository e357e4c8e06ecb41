import Primitives

@testable import QUIC

/// All frames of a payload.
func frames(
    _ payload: [UInt8], in type: PacketType = .oneRTT, from sender: Role = .server
) throws(TransportError) -> [Frame] {
    var decoder = FrameDecoder(payload.span, in: type, from: sender)
    var frames: [Frame] = []
    while let frame = try decoder.next() { frames.append(frame) }
    return frames
}

/// The code with which a payload is refused; nil when it is not.
func refusal(
    _ payload: [UInt8], in type: PacketType = .oneRTT, from sender: Role = .server
) -> TransportErrorCode? {
    do throws(TransportError) {
        _ = try frames(payload, in: type, from: sender)
        return nil
    } catch {
        return error.code
    }
}

/// One well-formed frame of every type, by its type number.
let sampleFrames: [(type: UInt64, bytes: [UInt8])] = [
    (0x00, "00"), (0x01, "01"), (0x02, "0241000302 05 0001 0000"), (0x03, "0341000301 05 0001 010203"),
    (0x04, "0404 4100 80010000"), (0x05, "0504 4100"), (0x06, "0641000401020304"), (0x07, "0703aabbcc"),
    (0x08, "0804aabbcc"), (0x09, "0904aabbcc"), (0x0a, "0a0403aabbcc"), (0x0b, "0b0403aabbcc"),
    (0x0c, "0c044100aabbcc"), (0x0d, "0d044100aabbcc"), (0x0e, "0e04410003aabbcc"), (0x0f, "0f04410003aabbcc"),
    (0x10, "104100"), (0x11, "11044100"), (0x12, "124100"), (0x13, "134100"), (0x14, "144100"), (0x15, "15044100"),
    (0x16, "164100"), (0x17, "174100"), (0x18, "180503040a0b0c0d000102030405060708090a0b0c0d0e0f"), (0x19, "194100"),
    (0x1a, "1a0102030405060708"), (0x1b, "1b0102030405060708"), (0x1c, "1c0a0603616263"), (0x1d, "1d410003616263"),
    (0x1e, "1e"), (0x1f, "1f"), (0x30, "30aabbcc"), (0x31, "3103aabbcc"), (0xaf, "40af 05 4100 80010000 03"),
].map { ($0.0, hexBytes($0.1)) }
