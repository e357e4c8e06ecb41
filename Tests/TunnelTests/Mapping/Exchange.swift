import Testing

/// What passes on one connection, as text in which `\n` stands for CR LF.
struct Exchange: Sendable, CustomTestStringConvertible {
    /// A request and what answers it.
    struct Turn: Sendable {
        let request: [UInt8]
        let response: [UInt8]
        /// All of the representation of which the response has content, where that is more.
        let whole: [UInt8]?
        /// The request's first line, by which it is known again.
        var startLine: [UInt8] { Array(request.prefix { $0 != 0x0d }) }
        var isHead: Bool { request.starts(with: "HEAD ".utf8) }
    }

    /// Where the response stream can be cut so that another origin can go on.
    enum Continuable: Sendable {
        /// Wherever something is missing then.
        case anywhere
        case somewhere
        case nowhere
    }

    /// What the mapper does in the end.
    enum End: Sendable {
        case following
        case over
        case aside
    }

    let name: String
    let turns: [Turn]
    let continuable: Continuable
    let end: End
    /// What the application understands of it when nothing fails.
    let messages: [ReceivedMessage]

    init(
        _ name: String, _ continuable: Continuable, end: End = .following, whole: String? = nil,
        _ turns: (String, String)...
    ) {
        self.name = name
        self.continuable = continuable
        self.end = end
        self.turns = turns.map { request, response in
            Turn(request: octets(request), response: octets(response), whole: whole.map { Array($0.utf8) })
        }
        messages = ReceivedMessage.all(in: self.turns.flatMap(\.response), turns: self.turns)
    }

    var requests: [UInt8] { turns.flatMap(\.request) }
    var responses: [UInt8] { turns.flatMap(\.response) }
    var testDescription: String { name }
}

/// The bytes that a text stands for.
func octets(_ text: String) -> [UInt8] { Array(text.utf8).flatMap { $0 == 0x0a ? [0x0d, 0x0a] : [$0] } }

/// A response as an application understands it: read by other means than those that are tested.
struct ReceivedMessage: Equatable, Sendable {
    enum Framing: Equatable, Sendable {
        case none
        case length
        case chunked
        case untilClose
    }

    var head: [UInt8]
    var content: [UInt8] = []
    var framing = Framing.none
    var isComplete = false

    /// The value of a field, as text; nil when it is missing.
    func value(_ name: String) -> String? { ReceivedMessage.value(name, in: head) }

    static func value(_ name: String, in head: [UInt8]) -> String? {
        let name = Array(name.utf8)
        for line in head.split(separator: 0x0a).dropFirst() where line.count > name.count + 1 {
            guard line[line.startIndex + name.count] == UInt8(ascii: ":"),
                zip(line, name).allSatisfy({ $0 | 0x20 == $1 })
            else { continue }
            let words = line.dropLast().dropFirst(name.count + 1).split { $0 == 0x20 || $0 == 0x09 }
            return words.map { String(decoding: $0, as: UTF8.self) }.joined(separator: " ")
        }
        return nil
    }

    /// Behind the first empty line.
    static func endOfHead(_ bytes: ArraySlice<UInt8>) -> Int? {
        var matched = 0
        for index in bytes.indices {
            let isExpected = bytes[index] == (matched % 2 == 0 ? 0x0d : 0x0a)
            matched = isExpected ? matched + 1 : bytes[index] == 0x0d ? 1 : 0
            if matched == 4 { return index + 1 }
        }
        return nil
    }

    /// The messages in a stream of responses, the last one perhaps incomplete; interim responses are messages, too.
    static func all(in stream: [UInt8], turns: [Exchange.Turn]) -> [ReceivedMessage] {
        var rest = stream[...]
        var waiting = turns[...]
        var messages: [ReceivedMessage] = []
        while !rest.isEmpty {
            guard let end = endOfHead(rest) else { return messages + [ReceivedMessage(head: Array(rest))] }
            var message = ReceivedMessage(head: Array(rest[..<end]))
            rest = rest[end...]
            let status = Int(String(decoding: message.head.dropFirst(9).prefix(3), as: UTF8.self)) ?? 0
            let isHead = waiting.first?.isHead == true
            if status >= 200 { waiting = waiting.dropFirst() }
            message.read(&rest, isBodiless: status < 200 || status == 204 || status == 304 || isHead)
            messages.append(message)
        }
        return messages
    }

    private mutating func read(_ rest: inout ArraySlice<UInt8>, isBodiless: Bool) {
        if isBodiless {
            isComplete = true
        } else if value("transfer-encoding") != nil {
            framing = .chunked
            readChunks(&rest)
        } else if let length = value("content-length").flatMap({ Int($0) }) {
            framing = .length
            content = Array(rest.prefix(length))
            isComplete = content.count == length
            rest = rest.dropFirst(length)
        } else {
            framing = .untilClose
            content = Array(rest)
            rest = []
        }
    }

    private mutating func readChunks(_ rest: inout ArraySlice<UInt8>) {
        func line() -> String? {
            guard let end = rest.firstIndex(of: 0x0a) else { return nil }
            defer { rest = rest[(end + 1)...] }
            return String(decoding: rest[..<end].dropLast(), as: UTF8.self)
        }
        defer { if !isComplete { rest = [] } }
        while let size = line().flatMap({ Int($0.prefix { $0.isHexDigit }, radix: 16) }) {
            guard size > 0 else {
                while let trailer = line() { if trailer.isEmpty { return isComplete = true } }
                return
            }
            content += rest.prefix(size)
            rest = rest.dropFirst(size)
            guard rest.starts(with: [13, 10]) else { return }
            rest = rest.dropFirst(2)
        }
    }
}
