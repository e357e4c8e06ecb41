internal import Logging
internal import Primitives

/// How the log is written.
public enum LogFormat: String, Hashable, Sendable, CaseIterable {
    /// For people: `TIME LEVEL LABEL: MESSAGE key=value`.
    case text
    /// For programs: one JSON object a line.
    case json
}

/// One event of the log as one line.
///
/// Texts that a peer or a program chose are part of messages and values: whatever could end the line, or steer a terminal, is escaped.
struct LogLine {
    var milliseconds: Int64
    var level: Logger.Level
    var label: String
    var message: String
    var fields: [(key: String, value: String)]

    /// Characters of a message or a value that are written; the rest is cut off and replaced by an ellipsis.
    static let longestText = 2_048

    func text(_ format: LogFormat) -> String {
        switch format {
        case .text:
            let pairs = fields.map { " \(LogLine.escaped($0.key))=\(LogLine.quoted($0.value))" }.joined()
            return "\(timestamp) \(level.rawValue) \(label): \(LogLine.escaped(message))\(pairs)\n"
        case .json:
            let pairs = fields.map { "\(LogLine.json($0.key)):\(LogLine.json($0.value))" }.joined(separator: ",")
            return "{\"time\":\"\(timestamp)\",\"level\":\"\(level.rawValue)\",\"label\":\(LogLine.json(label)),"
                + "\"message\":\(LogLine.json(message)),\"fields\":{\(pairs)}}\n"
        }
    }

    /// RFC 3339 in UTC with milliseconds.
    private var timestamp: String {
        let fraction = String(max(0, milliseconds) % 1_000 + 1_000).dropFirst()
        return "\(CivilTime(unixTime: milliseconds / 1_000)).\(fraction)Z"
    }

    /// A value in text form: as it is when that is unambiguous, else in quotes.
    static func quoted(_ text: String) -> String {
        let isPlain =
            !text.isEmpty
            && text.unicodeScalars.allSatisfy { $0.value > 0x20 && $0 != "\"" && $0 != "=" && !mustEscape($0) }
        guard !isPlain || text.count > longestText else { return text }
        let content = escaped(text).unicodeScalars.map { $0 == "\"" ? "\\\"" : String($0) }.joined()
        return "\"\(content)\""
    }

    /// A text without characters that end a line or steer a terminal.
    static func escaped(_ text: String) -> String {
        transformed(text) { scalar in
            if scalar == "\\" { return "\\\\" }
            return mustEscape(scalar) ? "\\u{\(String(scalar.value, radix: 16))}" : nil
        }
    }

    /// RFC 8259 §7.
    static func json(_ text: String) -> String {
        let content = transformed(text) { scalar in
            if scalar == "\"" || scalar == "\\" { return "\\\(scalar)" }
            guard mustEscape(scalar) else { return nil }
            return String(scalar).utf16.map { unit in
                let digits = String(unit, radix: 16)
                return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            }.joined()
        }
        return "\"\(content)\""
    }

    private static func transformed(_ text: String, _ escape: (Unicode.Scalar) -> String?) -> String {
        var result = ""
        for (index, scalar) in text.unicodeScalars.enumerated() {
            guard index < longestText else { return result + "…" }
            if let escaped = escape(scalar) {
                result += escaped
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// Controls, line and paragraph separators, and what changes the direction or is invisible (U+202E and its like).
    private static func mustEscape(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .unassigned, .surrogate: true
        default: false
        }
    }
}
