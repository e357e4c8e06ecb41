public import Primitives
public import Simulator

/// What the lines say that change emulated links at run time.
///
///     set LINK [up|down] KEY VALUE…     delay 150ms · jitter 5ms · rate 40mbit|none · queue 100ms|64kb|none · loss 0.3
///                                       · burst ONSET/RECOVERY · reorder 0.01/5ms · duplicate 0.01 · corrupt 0.0005
///                                       · mtu 1280|none · icmp on|off · lifetime 30s|none (of translator mappings)
///     down LINK · up LINK               the interface loses its carrier and gets it back
///     blackhole LINK · heal LINK        packets vanish, and no longer do
///     rebind LINK [port|address]        the translator forgets its mappings
///     restore LINK                      as it was at first
///     status [LINK]                     counters and the emulator's own lateness since the last time
///
/// `up` and `down` behind the name mean one direction, from and to the host.
public enum LinkCommand: Hashable, Sendable {
    /// Changes conditions.
    case set(link: String, [Direction], [Change])
    /// Sets whether it works.
    case state(link: String, LinkState)
    /// Forgets the mappings.
    case rebind(link: String, Rebinding)
    /// Leads back to the beginning.
    case restore(link: String)
    /// Tells of one link or of all.
    case status(link: String?)

    /// One condition and its value.
    public enum Change: Hashable, Sendable {
        case delay(Interval)
        case jitter(Interval)
        case rate(BitRate?)
        case queue(QueueLength)
        case loss(Loss)
        case reordering(Reordering?)
        case duplication(Probability)
        case corruption(Probability)
        case mtu(Int?)
        case tellsMTU(Bool)
        case mappingLifetime(Interval?)
    }

    /// Reads a line.
    public init(_ line: String) throws(LinkCommandError) {
        var words = line.split(whereSeparator: \.isWhitespace).map(String.init)[...]
        guard let verb = words.popFirst() else { throw LinkCommandError("an empty line is no command; try `status`") }
        if verb == "status" {
            self = .status(link: words.first)
            return
        }
        guard let link = words.popFirst() else { throw LinkCommandError("`\(verb)` needs the name of a link") }
        switch (verb, words.first) {
        case ("set", _): self = try Self.set(link, words)
        case ("down", nil): self = .state(link: link, .down)
        case ("up", nil), ("heal", nil): self = .state(link: link, .up)
        case ("blackhole", nil): self = .state(link: link, .blackhole)
        case ("rebind", nil), ("rebind", "port"): self = .rebind(link: link, .port)
        case ("rebind", "address"): self = .rebind(link: link, .addressAndPort)
        case ("restore", nil): self = .restore(link: link)
        default: throw LinkCommandError("`\(line)` is no command; see the list in the manual of godwit-lab")
        }
    }

    private static func set(_ link: String, _ arguments: ArraySlice<String>) throws(LinkCommandError) -> LinkCommand {
        var words = arguments
        var directions = Direction.allCases
        if words.first == "up" || words.first == "down" {
            directions = words.popFirst() == "up" ? [.outbound] : [.inbound]
        }
        guard !words.isEmpty, words.count.isMultiple(of: 2) else {
            throw LinkCommandError("`set` needs pairs of a key and a value, such as `delay 150ms`")
        }
        var changes: [Change] = []
        while let key = words.popFirst(), let value = words.popFirst() {
            guard let change = change(key, value) else {
                throw LinkCommandError("`\(key) \(value)` is no condition of a link")
            }
            changes.append(change)
        }
        return .set(link: link, directions, changes)
    }
}

/// Why a line is no command, in a sentence.
public struct LinkCommandError: Error, Hashable, CustomStringConvertible {
    public var description: String
    init(_ description: String) { self.description = description }
}

// MARK: - Values

extension LinkCommand {
    private static func change(_ key: String, _ value: String) -> Change? {
        let isNone = value == "none"
        switch key {
        case "delay": return interval(value).map { .delay($0) }
        case "jitter": return interval(value).map { .jitter($0) }
        case "rate": return isNone ? .rate(nil) : rate(value).map { .rate($0) }
        case "queue": return isNone ? .queue(.unlimited) : queue(value).map { .queue($0) }
        case "loss": return probability(value).map { .loss($0.fraction == 0 ? .none : .random($0)) }
        case "burst": return isNone ? .loss(.none) : burst(value).map { .loss(.burst($0)) }
        case "reorder": return isNone ? .reordering(nil) : reordering(value).map { .reordering($0) }
        case "duplicate": return probability(value).map { .duplication($0) }
        case "corrupt": return probability(value).map { .corruption($0) }
        case "mtu": return isNone ? .mtu(nil) : Int(value).flatMap { $0 > 0 ? .mtu($0) : nil }
        case "icmp": return value == "on" ? .tellsMTU(true) : value == "off" ? .tellsMTU(false) : nil
        case "lifetime": return isNone ? .mappingLifetime(nil) : interval(value).map { .mappingLifetime($0) }
        default: return nil
        }
    }

    /// The number in front of one of some units, times the unit.
    private static func quantity(_ text: String, _ units: [(String, Double)]) -> Int64? {
        for (unit, factor) in units where text.hasSuffix(unit) {
            guard let number = Double(text.dropLast(unit.count)), number >= 0 else { continue }
            let product = number * factor
            return product < 9e18 ? Int64(product) : nil
        }
        return nil
    }

    private static func interval(_ text: String) -> Interval? {
        quantity(text, [("us", 1e3), ("ms", 1e6), ("s", 1e9)]).map { .nanoseconds($0) }
    }

    private static func rate(_ text: String) -> BitRate? {
        quantity(text, [("kbit", 1e3), ("mbit", 1e6), ("gbit", 1e9)]).flatMap {
            $0 > 0 ? BitRate(bitsPerSecond: $0) : nil
        }
    }

    private static func queue(_ text: String) -> QueueLength? {
        interval(text).map { .time($0) } ?? quantity(text, [("kb", 1e3), ("mb", 1e6)]).map { .bytes(ByteCount($0)) }
    }

    private static func probability(_ text: some StringProtocol) -> Probability? {
        Double(text).flatMap { (0...1).contains($0) ? Probability($0) : nil }
    }

    private static func burst(_ text: String) -> GilbertElliott? {
        let parts = text.split(separator: "/")
        guard parts.count == 2, let onset = probability(parts[0]), let recovery = probability(parts[1]) else {
            return nil
        }
        return GilbertElliott(onset: onset, recovery: recovery)
    }

    private static func reordering(_ text: String) -> Reordering? {
        let parts = text.split(separator: "/")
        guard parts.count == 2, let share = probability(parts[0]), let by = interval(String(parts[1])) else {
            return nil
        }
        return Reordering(share, by: by)
    }
}

// MARK: - Carrying out

extension EmulatedLink {
    /// Changes conditions in the directions named.
    public mutating func apply(_ changes: [LinkCommand.Change], to directions: [Direction]) {
        for change in changes {
            switch change {
            case .tellsMTU(let tells): tellsMTU = tells
            case .mappingLifetime(let lifetime): setMappingLifetime(lifetime)
            default: for direction in directions { self[direction].apply(change) }
            }
        }
    }
}

extension LinkConditions {
    fileprivate mutating func apply(_ change: LinkCommand.Change) {
        switch change {
        case .delay(let value): delay = value
        case .jitter(let value): jitter = value
        case .rate(let value): rate = value
        case .queue(let value): queue = value
        case .loss(let value): loss = value
        case .reordering(let value): reordering = value
        case .duplication(let value): duplication = value
        case .corruption(let value): corruption = value
        case .mtu(let value): mtu = value
        case .tellsMTU, .mappingLifetime: break
        }
    }
}
