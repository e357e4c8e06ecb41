import Lab
import Primitives
import Simulator

/// Packets written by hand, with checksums computed the long way.
enum Packets {
    static let host = address("192.168.1.23:5000")
    static let server = address("198.51.100.1:4433")

    /// An address that the tests spell right.
    static func address(_ text: String) -> NetworkAddress {
        guard let address = NetworkAddress(text) else { preconditionFailure("\(text) is no address") }
        return address
    }

    static func big(_ number: UInt64, _ size: Int) -> [UInt8] {
        (0..<size).map { UInt8(truncatingIfNeeded: number >> UInt64((size - 1 - $0) * 8)) }
    }

    /// RFC 1071, word by word.
    static func sum(_ bytes: [UInt8]) -> UInt16 {
        var total: UInt32 = 0
        for index in stride(from: 0, to: bytes.count, by: 2) {
            total += UInt32(bytes[index]) << 8 | UInt32(index + 1 < bytes.count ? bytes[index + 1] : 0)
            total = (total & 0xFFFF) + total >> 16
        }
        return UInt16(total)
    }

    static func addressBytes(_ ip: IPAddress) -> [UInt8] {
        ip.family == .ipv4 ? big(ip.low, 4) : big(ip.high, 8) + big(ip.low, 8)
    }

    /// An IP packet around a transport header and payload, whose checksum at `checksumAt` is still zero.
    static func packet(
        from source: IPAddress, to destination: IPAddress, transport number: UInt8, _ transport: [UInt8],
        checksumAt: Int, pseudoHeader: Bool = true
    ) -> IPPacket {
        var segment = transport
        let ends = addressBytes(source) + addressBytes(destination)
        let pseudo = pseudoHeader ? ends + [0, number] + big(UInt64(segment.count), 2) : []
        segment.replaceSubrange(checksumAt..<(checksumAt + 2), with: big(UInt64(~sum(pseudo + segment)), 2))
        var header: [UInt8]
        switch source.family {
        case .ipv4:
            header = [0x45, 0] + big(UInt64(20 + segment.count), 2) + [0, 7, 0x40, 0, 64, number, 0, 0] + ends
            header.replaceSubrange(10..<12, with: big(UInt64(~sum(header)), 2))
        case .ipv6:
            header = [0x60, 0, 0, 0] + big(UInt64(segment.count), 2) + [number, 64] + ends
        }
        guard let packet = IPPacket(header + segment) else { preconditionFailure("no packet") }
        return packet
    }

    static func udp(
        from source: NetworkAddress = host, to destination: NetworkAddress = server, payload: [UInt8]
    ) -> IPPacket {
        let header = big(UInt64(source.port), 2) + big(UInt64(destination.port), 2)
        let datagram = header + big(UInt64(8 + payload.count), 2) + [0, 0] + payload
        return packet(from: source.ip, to: destination.ip, transport: 17, datagram, checksumAt: 6)
    }

    static func tcp(from source: NetworkAddress = host, to destination: NetworkAddress = server) -> IPPacket {
        var segment = big(UInt64(source.port), 2) + big(UInt64(destination.port), 2) + [UInt8](repeating: 9, count: 21)
        segment.replaceSubrange(16..<18, with: [0, 0])
        return packet(from: source.ip, to: destination.ip, transport: 6, segment, checksumAt: 16)
    }

    static func echo(type: UInt8, identifier: UInt16, from source: IPAddress, to destination: IPAddress) -> IPPacket {
        let message = [type, 0, 0, 0] + big(UInt64(identifier), 2) + [0, 1, 0xAB, 0xCD]
        return packet(
            from: source, to: destination, transport: 1, message, checksumAt: 2, pseudoHeader: false)
    }

    /// What the receiver of a packet says when nobody listens at its port (RFC 792).
    static func portUnreachable(_ packet: IPPacket) -> IPPacket {
        let message: [UInt8] = [3, 3, 0, 0, 0, 0, 0, 0] + packet.bytes
        return Packets.packet(
            from: packet.destination.ip, to: packet.source.ip, transport: 1, message, checksumAt: 2,
            pseudoHeader: false)
    }

    /// Whether a receiver's kernel would find every checksum in order.
    static func isSound(_ packet: IPPacket) -> Bool {
        let bytes = packet.bytes
        let isIPv4 = bytes[0] >> 4 == 4
        if isIPv4, sum(Array(bytes[..<20])) != 0xFFFF { return false }
        let segment = Array(bytes[(isIPv4 ? 20 : 40)...])
        let number = isIPv4 ? bytes[9] : bytes[6]
        if number == 1 { return sum(segment) == 0xFFFF }
        let ends = Array(isIPv4 ? bytes[12..<20] : bytes[8..<40])
        return sum(ends + [0, number] + big(UInt64(segment.count), 2) + segment) == 0xFFFF
    }
}
