/// Which characters messages may contain (RFC 9110 §5, RFC 9114 §4.2, §10.3).
enum FieldValidation {
    /// Fields that belong to one connection of HTTP/1.1 (RFC 9114 §4.2).
    private static let connectionSpecific: Set<String> = [
        "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade",
    ]

    /// RFC 9110 §5.6.2: a character of a token.
    static func isTokenCharacter(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        case UInt8(ascii: "!"), UInt8(ascii: "#")...UInt8(ascii: "'"), UInt8(ascii: "*"), UInt8(ascii: "+"),
            UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "^")...UInt8(ascii: "`"), UInt8(ascii: "|"),
            UInt8(ascii: "~"):
            true
        default: false
        }
    }

    /// Whether `text` is a token (RFC 9110 §5.6.2).
    static func isToken(_ text: some Collection<UInt8>) -> Bool {
        !text.isEmpty && text.allSatisfy(isTokenCharacter)
    }

    /// RFC 9114 §4.2: a name is a token in lower case.
    static func isName(_ name: [UInt8]) -> Bool {
        isToken(name) && !name.contains { UInt8(ascii: "A")...UInt8(ascii: "Z") ~= $0 }
    }

    /// RFC 9110 §5.5: visible characters, and spaces and tabs between them.
    static func isValue(_ value: [UInt8]) -> Bool {
        func isWhitespace(_ byte: UInt8?) -> Bool { byte == 0x20 || byte == 0x09 }
        guard !isWhitespace(value.first), !isWhitespace(value.last) else { return false }
        return value.allSatisfy { $0 == 0x09 || ($0 >= 0x20 && $0 != 0x7f) }
    }

    /// Checks a field that is not a pseudo-header field.
    static func field(_ line: FieldLine, in message: Message) throws(MalformedMessage) -> Field {
        guard isName(line.name) else { throw MalformedMessage("a field name with characters that are not allowed") }
        let name = String(decoding: line.name, as: UTF8.self)
        guard isValue(line.value) else {
            throw MalformedMessage("the value of \(name) has characters that are not allowed")
        }
        guard !connectionSpecific.contains(name) else {
            throw MalformedMessage("\(name) belongs to HTTP/1.1 connections")
        }
        let value = String(decoding: line.value, as: UTF8.self)
        // RFC 9114 §4.2: TE may be present in a request, with nothing but "trailers".
        if name == "te", message != .request || value != "trailers" {
            throw MalformedMessage("te has a value other than trailers")
        }
        return Field(name, value)
    }

    /// Which part of which message a field stands in.
    enum Message: Hashable {
        case request
        case response
        case trailers
    }
}
