import Primitives
import Tunnel

/// A command at the control socket of a local endpoint, see `LocalControl`.
enum LocalCommand: Hashable {
    case status
    case statusAsJSON
    case paths(PathCommand)
    case rebind
    case open(Destination)
    /// A command with the wrong words behind it; it should have had this form.
    case malformed(form: String)
    case unknown

    /// Reads a line.
    init(_ line: String) {
        let words = line.split(separator: " ")
        switch (words.first, words.count) {
        case ("status", 1): self = .status
        case ("status", 2) where words[1] == "json": self = .statusAsJSON
        case ("paths", _):
            let command = PathCommand(words: words.dropFirst())
            self = command.map(Self.paths) ?? .malformed(form: "paths [json], or paths add|use|remove ADDRESS")
        case ("rebind", _): self = .rebind
        case ("open", _):
            self = Self.destination(words.dropFirst()).map(Self.open) ?? .malformed(form: "open HOST PORT")
        default: self = .unknown
        }
    }

    private static func destination(_ words: ArraySlice<Substring>) -> Destination? {
        guard words.count == 2, let host = words.first.flatMap({ Host(String($0)) }),
            let port = words.last.flatMap({ UInt16($0) }), port > 0
        else { return nil }
        return Destination(host, port: port)
    }
}
