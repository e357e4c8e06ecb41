public import Primitives

/// Where a tunnel leads: a host name or address, and a port.
public typealias Destination = HostPort

/// The URI template of connect-tcp proxies, `/.well-known/masque/tcp/{target_host}/{target_port}/`
/// (draft-ietf-httpbis-connect-tcp, RFC 9298 §2).
public enum ConnectTCPTemplate {
    /// What the path of every tunnel begins with.
    public static let prefix = "/.well-known/masque/tcp/"

    /// Longest path that is looked at, in bytes: a name of 253 bytes with every byte escaped, and the rest. A longer one is
    /// no destination.
    static let maximumPathLength = prefix.utf8.count + 3 * 253 + 8

    /// The path that stands for a destination.
    public static func path(to destination: Destination) -> String {
        prefix + PercentEncoding.encode(destination.host.description) + "/\(destination.port)/"
    }

    /// The destination that a path stands for; nil when it is none or is not written as the template says.
    public static func destination(ofPath path: String) -> Destination? {
        let bytes = Array(path.utf8)
        guard path.hasPrefix(prefix), bytes.count <= maximumPathLength else { return nil }
        let parts = bytes[prefix.utf8.count...].split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        guard parts.count == 3, parts[2].isEmpty, let host = host(parts[0]), let port = port(parts[1]) else {
            return nil
        }
        return Destination(host, port: port)
    }

    /// RFC 9298 §2: the host is a name or an address; IPv6 has its colons escaped and no brackets.
    private static func host(_ text: ArraySlice<UInt8>) -> Host? {
        guard !text.contains(UInt8(ascii: ":")), let decoded = PercentEncoding.decode(text),
            !decoded.contains(UInt8(ascii: "["))
        else { return nil }
        return Host(String(decoding: decoded, as: UTF8.self))
    }

    /// RFC 9298 §2: a decimal number from 1 to 65,535.
    private static func port(_ text: ArraySlice<UInt8>) -> UInt16? {
        guard 1...5 ~= text.count, text.first != UInt8(ascii: "0"),
            text.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 })
        else { return nil }
        return UInt16(String(decoding: text, as: UTF8.self))
    }
}

/// Percent-encoding of one segment of a path (RFC 3986 §2.1).
enum PercentEncoding {
    private static func isUnreserved(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
            UInt8(ascii: "~"):
            true
        default: false
        }
    }

    /// RFC 6570 §3.2.2: everything that is not unreserved is escaped.
    static func encode(_ text: String) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var bytes: [UInt8] = []
        for byte in text.utf8 {
            if isUnreserved(byte) {
                bytes.append(byte)
            } else {
                bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The bytes that a segment stands for; nil when an escape is incomplete.
    static func decode(_ text: ArraySlice<UInt8>) -> [UInt8]? {
        var bytes: [UInt8] = []
        var index = text.startIndex
        while index < text.endIndex {
            guard text[index] == UInt8(ascii: "%") else {
                bytes.append(text[index])
                index += 1
                continue
            }
            guard text.endIndex - index > 2, let high = digit(text[index + 1]), let low = digit(text[index + 2]) else {
                return nil
            }
            bytes.append(high << 4 | low)
            index += 3
        }
        return bytes
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
