public import Primitives

/// A listener as `-D` and `--http` give it: `[BIND:]PORT`. `BIND` is an address, `localhost` or `*` and defaults to 127.0.0.1.
public struct ListenSpec: Hashable, Sendable {
    /// Where to listen.
    public var listen: NetworkAddress

    /// Reads the argument.
    public init(_ text: String) throws(ListenerArgumentError) {
        let parts = split(text)
        guard let port = parts.last, (1...2).contains(parts.count) else { throw .form(text, "[BIND:]PORT, as in 1080") }
        listen = NetworkAddress(try bindAddress(parts.dropLast().first), port: try listenPort(port))
    }
}

/// A forwarding as `-L` gives it: `[BIND:]PORT:HOST:HOSTPORT`, as in ssh; IPv6 addresses stand in brackets.
public struct ForwardSpec: Hashable, Sendable {
    /// Where to listen.
    public var listen: NetworkAddress
    /// What the gateway connects to.
    public var destination: HostPort

    /// Reads the argument.
    public init(_ text: String) throws(ListenerArgumentError) {
        let parts = split(text)
        guard (3...4).contains(parts.count) else {
            throw .form(text, "[BIND:]PORT:HOST:HOSTPORT, as in 2222:build.internal:22, with IPv6 in brackets")
        }
        let (host, hostPort) = (parts[parts.count - 2], parts[parts.count - 1])
        guard let destination = HostPort("\(host):\(hostPort)") else { throw .destination("\(host):\(hostPort)") }
        self.destination = destination
        let bind = parts.count == 4 ? parts[0] : nil
        listen = NetworkAddress(try bindAddress(bind), port: try listenPort(parts[parts.count - 3]))
    }
}

/// Why a listener on the command line cannot be used.
public enum ListenerArgumentError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The text is not of the form that follows it.
    case form(String, String)
    /// No address to listen on.
    case bind(String)
    /// No port to listen on.
    case port(String)
    /// No host and port to connect to.
    case destination(String)

    /// One line: what is wrong and what to write instead.
    public var description: String {
        let line =
            switch self {
            case .form(let text, let form): "\"\(text)\" is not of the form \(form)"
            case .bind(let text): "\"\(text)\" is no address to listen on; write 127.0.0.1, [::1], localhost or *"
            case .port(let text): "\"\(text)\" is no port; write 0 to 65535, where 0 lets the system choose"
            case .destination(let text):
                "\"\(text)\" is no host and port; write build.internal:22 or [2001:db8::1]:22 (names of other scripts in their "
                    + "xn-- form)"
            }
        return escapingControlCharacters(line)
    }
}

/// The parts between colons; colons within brackets do not separate.
private func split(_ text: String) -> [String] {
    var parts = [""]
    var isBracketed = false
    for character in text {
        switch character {
        case "[": isBracketed = true
        case "]": isBracketed = false
        case ":" where !isBracketed:
            parts.append("")
            continue
        default: break
        }
        parts[parts.count - 1].append(character)
    }
    return parts
}

private func bindAddress(_ text: String?) throws(ListenerArgumentError) -> IPAddress {
    switch text {
    case nil, "localhost": return IPAddress(ipv4: 0x7f00_0001)
    case "*": return IPAddress(ipv4: 0)
    case .some(let text):
        guard case .address(let address) = Host(text) else { throw .bind(text) }
        return address
    }
}

private func listenPort(_ text: String) throws(ListenerArgumentError) -> UInt16 {
    guard !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let port = UInt16(text) else {
        throw .port(text)
    }
    return port
}
