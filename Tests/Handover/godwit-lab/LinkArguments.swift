import ArgumentParser
import Lab
import Primitives
import Simulator

/// One `--link`: `NAME NAMESPACE:INTERFACE NAMESPACE:INTERFACE OUTSIDE,… [KEY VALUE…]`.
///
/// The first interface is the host's, the second that of the network beyond; the translator between the two has the
/// outside addresses, `-` for no translator. Keys and values are those of `set`.
struct LinkArguments {
    /// A namespace and the name of an interface to be made in it.
    struct Place {
        var namespace: String
        var interface: String
    }

    var name: String
    var inner: Place
    var outer: Place
    var outside: [IPAddress]
    var conditions: LinkConditions

    init(_ text: String) throws {
        let words = text.split(separator: " ").map(String.init)
        guard words.count >= 4 else { throw ValidationError("`\(text)` is too short for a link") }
        name = words[0]
        inner = try Self.place(words[1])
        outer = try Self.place(words[2])
        outside = try words[3] == "-" ? [] : words[3].split(separator: ",").map { try Self.address(String($0)) }
        var sample = EmulatedLink<IPPacket>(name, .ideal, seed: 0)
        if words.count > 4 {
            let command = try LinkCommand("set \(name) \(words[4...].joined(separator: " "))")
            guard case .set(_, let directions, let changes) = command else { throw ValidationError("no `set`") }
            sample.apply(changes, to: directions)
        }
        conditions = sample[.outbound]
    }

    private static func place(_ text: String) throws -> Place {
        let parts = text.split(separator: ":").map(String.init)
        guard parts.count == 2 else { throw ValidationError("`\(text)` is not NAMESPACE:INTERFACE") }
        return Place(namespace: parts[0], interface: parts[1])
    }

    private static func address(_ text: String) throws -> IPAddress {
        guard let address = IPAddress(text) else { throw ValidationError("`\(text)` is not an address") }
        return address
    }
}
