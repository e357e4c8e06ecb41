/// A pattern of interface names, such as "wl*": `*` stands for any number of characters, `?` for exactly one.
public struct InterfacePattern: Hashable, Sendable, CustomStringConvertible, ExpressibleByStringLiteral {
    /// The pattern as it was written.
    public let description: String

    /// Creates a pattern; every text is one.
    public init(_ text: String) { description = text }

    public init(stringLiteral text: String) { self.init(text) }

    /// Whether the whole of an interface's name fits.
    public func matches(_ interface: String) -> Bool {
        let pattern = Array(description.utf8)
        let name = Array(interface.utf8)
        var (at, position) = (0, 0)
        // Where to go on when the last star has to stand for one character more.
        var retry: (pattern: Int, name: Int)?
        while position < name.count {
            if at < pattern.count, pattern[at] == UInt8(ascii: "*") {
                retry = (at + 1, position)
                at += 1
            } else if at < pattern.count, pattern[at] == UInt8(ascii: "?") || pattern[at] == name[position] {
                at += 1
                position += 1
            } else if let last = retry {
                retry = (last.pattern, last.name + 1)
                (at, position) = (last.pattern, last.name + 1)
            } else {
                return false
            }
        }
        return pattern[at...].allSatisfy { $0 == UInt8(ascii: "*") }
    }
}
