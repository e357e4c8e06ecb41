/// The name under which the keeper holds a descriptor for the worker that comes next.
public struct DescriptorKey: Hashable, Sendable, CustomStringConvertible {
    /// What the descriptor is, to the worker; the keeper does not care.
    public enum Kind: UInt8, Hashable, Sendable, CaseIterable {
        case datagramSocket = 1
        case listener = 2
        case controlSocket = 3
        case tunnel = 4
        case vault = 5
        case other = 6
    }

    /// What it is.
    public var kind: Kind
    /// The number of the event loop it belongs to.
    public var loop: UInt8
    /// Which one of its kind; below `numberLimit`.
    public var number: UInt64

    /// Numbers are below 2⁴⁸.
    public static let numberLimit: UInt64 = 1 << 48

    /// Creates a key; of a number only the lowest 48 bits count.
    public init(_ kind: Kind, loop: UInt8 = 0, number: UInt64) {
        self.kind = kind
        self.loop = loop
        self.number = number & (Self.numberLimit - 1)
    }

    /// The key in one word.
    var word: UInt64 { UInt64(kind.rawValue) << 56 | UInt64(loop) << 48 | number }

    /// The key of a word that somebody else wrote.
    init?(word: UInt64) {
        guard let kind = Kind(rawValue: UInt8(word >> 56)) else { return nil }
        self.init(kind, loop: UInt8(truncatingIfNeeded: word >> 48), number: word)
    }

    /// A name that a service manager takes for a descriptor.
    public var description: String { "godwit-" + String(word, radix: 16) }

    /// The key of a name; nil for the name of anything else.
    public init?(_ description: String) {
        guard description.hasPrefix("godwit-"), let word = UInt64(description.dropFirst(7), radix: 16) else {
            return nil
        }
        self.init(word: word)
    }
}
