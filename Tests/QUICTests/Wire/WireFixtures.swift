import Primitives

@testable import QUIC

/// The bytes of a hexadecimal string; spaces and line ends are skipped.
func hexBytes(_ text: String) -> [UInt8] {
    let digits = text.compactMap(\.hexDigitValue)
    return stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}

/// What `body` writes into a buffer of `capacity` bytes.
func written(capacity: Int = 2_048, _ body: (inout ByteWriter) -> Void) -> [UInt8] {
    var buffer = [UInt8](repeating: 0xee, count: capacity)
    var count = 0
    do {
        var span = buffer.mutableSpan
        var writer = ByteWriter(&span)
        body(&writer)
        count = writer.position
    }
    return Array(buffer[..<count])
}

/// A connection ID from hexadecimal digits, at most 40 of them.
func connectionID(_ text: String) -> ConnectionID { ConnectionID(hexBytes(text)) ?? .empty }

/// `count` pseudo-random bytes.
func randomBytes(_ count: Int, _ generator: inout SeededGenerator) -> [UInt8] {
    (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
}

/// A pseudo-random value of a pseudo-random width, below 2^62.
func randomVarint(_ generator: inout SeededGenerator) -> UInt64 {
    generator.next() >> UInt64.random(in: 2...63, using: &generator)
}

/// All packets of a datagram.
func scan(
    _ datagram: [UInt8], localConnectionIDLength: Int = 8, fixedBit: FixedBitRule = .required
) -> [DatagramScanner.Packet] {
    var scanner = DatagramScanner(localConnectionIDLength: localConnectionIDLength, fixedBit: fixedBit)
    var packets: [DatagramScanner.Packet] = []
    while let packet = scanner.next(in: datagram.span) { packets.append(packet) }
    return packets
}
