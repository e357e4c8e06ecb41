internal import Primitives

/// The head of an HTTP/1.1 request, read strictly (RFC 9112 §2 to §5): what two readers could understand differently is refused.
struct HTTPRequestHead {
    struct Field {
        /// The name in lower case.
        let name: String
        /// The line as it came, without CR LF.
        let line: ArraySlice<UInt8>
        /// The value without the blanks around it.
        let value: ArraySlice<UInt8>
    }

    let method: String
    let target: String
    /// 0 or 1, behind `HTTP/1.`.
    let minorVersion: UInt8
    let fields: [Field]

    /// Fields in a head; a request with more is answered with 431.
    static let mostFields = 256

    /// Reads a head that ends with an empty line; every line ends with CR LF.
    init(_ bytes: ArraySlice<UInt8>) throws(HTTPProxyFault) {
        var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map { $0.dropLast() }
        // Behind the last LF there is nothing, and before it stands the empty line.
        lines.removeLast(min(2, lines.count))
        guard let first = lines.first else { throw .malformed("there is no request line") }
        (method, target, minorVersion) = try HTTPRequestHead.requestLine(first)
        guard lines.count - 1 <= HTTPRequestHead.mostFields else {
            throw HTTPProxyFault(
                .fieldsTooLarge, "the request has more than \(HTTPRequestHead.mostFields) fields; send fewer")
        }
        var fields: [Field] = []
        for line in lines.dropFirst() { fields.append(try HTTPRequestHead.field(line)) }
        self.fields = fields
    }

    /// The values of every field of a name, given in lower case.
    func values(of name: String) -> [ArraySlice<UInt8>] {
        fields.filter { $0.name == name }.map(\.value)
    }

    /// RFC 9112 §3: method SP request-target SP HTTP-version, with exactly these two spaces.
    private static func requestLine(_ line: ArraySlice<UInt8>) throws(HTTPProxyFault) -> (String, String, UInt8) {
        let parts = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
        guard parts.count == 3, !parts[0].isEmpty, parts[0].allSatisfy(isTokenCharacter) else {
            throw .malformed("the first line is not METHOD TARGET HTTP/1.1")
        }
        // RFC 9112 §3.2: a target has no blanks; nor has a URI anything outside of visible ASCII.
        guard !parts[1].isEmpty, parts[1].allSatisfy({ (0x21...0x7e).contains($0) }) else {
            throw .malformed("the target has characters that URLs do not have")
        }
        let version = String(decoding: parts[2], as: UTF8.self)
        let minorVersion: UInt8
        switch version {
        case "HTTP/1.1": minorVersion = 1
        case "HTTP/1.0": minorVersion = 0
        default:
            guard version.hasPrefix("HTTP/") else { throw .malformed("the first line is not METHOD TARGET HTTP/1.1") }
            throw HTTPProxyFault(
                .versionNotSupported, "this proxy speaks HTTP/1.1 and HTTP/1.0 only; set the program to one of them")
        }
        return (String(decoding: parts[0], as: UTF8.self), String(decoding: parts[1], as: UTF8.self), minorVersion)
    }

    private static func field(_ line: ArraySlice<UInt8>) throws(HTTPProxyFault) -> Field {
        guard let first = line.first, first != UInt8(ascii: " "), first != UInt8(ascii: "\t") else {
            // RFC 9112 §5.2: a server must reject obs-fold or unfold it.
            throw .malformed("a field is folded over two lines")
        }
        // RFC 9112 §5.1: no whitespace between name and colon; a server must reject it with 400.
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > line.startIndex,
            line[..<colon].allSatisfy(isTokenCharacter)
        else { throw .malformed("a field has no name and colon") }
        // RFC 9110 §5.5: CR, LF and NUL are dangerous in a value, other controls invalid.
        let raw = line[line.index(after: colon)...]
        guard raw.allSatisfy({ $0 == 0x09 || $0 >= 0x20 && $0 != 0x7f }) else {
            throw .malformed("a field has a control character in its value")
        }
        let name = String(decoding: line[..<colon], as: UTF8.self).lowercased()
        return Field(name: name, line: line, value: trimmingBlanks(raw))
    }

    static func trimmingBlanks(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }
        var bytes = bytes.drop(while: isBlank)
        while let last = bytes.last, isBlank(last) { bytes = bytes.dropLast() }
        return bytes
    }

    /// RFC 9110 §5.6.2: tchar.
    static func isTokenCharacter(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }

    /// The members of a list field (RFC 9110 §5.6.1) in lower case, over all fields of that name.
    func list(_ name: String) -> [String] {
        values(of: name).flatMap { $0.split(separator: UInt8(ascii: ",")) }
            .map { String(decoding: HTTPRequestHead.trimmingBlanks($0), as: UTF8.self).lowercased() }
            .filter { !$0.isEmpty }
    }
}
