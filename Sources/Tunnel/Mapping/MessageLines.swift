/// The lines of a complete head (RFC 9112 §2 to §5), read strictly: what two readers could understand differently is refused.
struct MessageLines: Sendable {
    struct Field: Sendable {
        /// The name in lower case.
        let name: String
        /// The value without the blanks around it.
        let value: ArraySlice<UInt8>
        /// The whole line as it came, with its CR LF.
        let line: ArraySlice<UInt8>
    }

    /// Fields in a head that is followed. Bounds the work that a head asks for.
    static let mostFields = 256

    /// The request line or status line, without its CR LF.
    let startLine: ArraySlice<UInt8>
    let fields: [Field]

    /// Reads what a `HeadCollector` has collected.
    init(_ head: [UInt8]) throws(MappingFault) {
        var lines: [ArraySlice<UInt8>] = []
        var rest = head[...]
        while let end = rest.firstIndex(of: Octet.lineFeed) {
            lines.append(rest[...end])
            rest = rest[(end + 1)...]
        }
        // The last line is the empty one.
        guard let first = lines.first, lines.count >= 2 else { throw MappingFault("a head has no lines") }
        guard lines.count - 2 <= Self.mostFields else {
            throw MappingFault("a head has more than \(Self.mostFields) fields")
        }
        startLine = first.dropLast(2)
        var fields: [Field] = []
        for line in lines[1..<(lines.count - 1)] { fields.append(try Self.field(line)) }
        self.fields = fields
    }

    private static func field(_ line: ArraySlice<UInt8>) throws(MappingFault) -> Field {
        // RFC 9112 §5.2: a line that begins with a blank is folded; §5.1: no blanks before the colon.
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > line.startIndex,
            line[..<colon].allSatisfy(Octet.isToken)
        else { throw MappingFault("a head has a line that is no field") }
        let name = String(decoding: line[..<colon], as: UTF8.self).lowercased()
        return Field(name: name, value: Octet.trimmingBlanks(line[(colon + 1)...].dropLast(2)), line: line)
    }

    func values(of name: String) -> [ArraySlice<UInt8>] { fields.filter { $0.name == name }.map(\.value) }

    /// The value of a field that may be there once; nil when it is missing.
    func single(_ name: String) throws(MappingFault) -> ArraySlice<UInt8>? {
        let values = values(of: name)
        guard values.count <= 1 else { throw MappingFault("the field \(name) is there twice") }
        return values.first
    }

    /// The members of a list (RFC 9110 §5.6.1) in lower case, over all fields of that name.
    func list(_ name: String) -> [String] {
        values(of: name).flatMap { $0.split(separator: UInt8(ascii: ",")) }
            .map { String(decoding: Octet.trimmingBlanks($0), as: UTF8.self).lowercased() }
            .filter { !$0.isEmpty }
    }

    /// 0 or 1, behind `HTTP/1.`.
    static func minorVersion(_ text: ArraySlice<UInt8>) throws(MappingFault) -> UInt8 {
        switch String(decoding: text, as: UTF8.self) {
        case "HTTP/1.1": return 1
        case "HTTP/1.0": return 0
        default: throw MappingFault("this is not HTTP/1.1 or HTTP/1.0")
        }
    }
}

/// Whether a connection goes on behind a message (RFC 9112 §9.3).
enum Persistence: Hashable, Sendable {
    case keepsOpen
    case closes

    init(_ lines: MessageLines, minorVersion: UInt8) {
        let options = lines.list("connection")
        let isKept = minorVersion >= 1 || options.contains("keep-alive")
        self = isKept && !options.contains("close") ? .keepsOpen : .closes
    }
}
