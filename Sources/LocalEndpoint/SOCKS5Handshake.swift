public import Primitives
internal import Tunnel

/// The server's side of a SOCKS5 negotiation (RFC 1928, RFC 1929), fed with bytes as they come.
///
/// ```
///   greeting ──► [authentication] ──► request ──► done
///       └──────────────┴──────────────────┴─────► failed
/// ```
/// After each `receive`, take actions until there is none. `receive` takes no byte beyond the request: what follows it is payload
/// that the program sent without waiting and belongs to the caller. At most one message is held, 513 bytes.
public struct SOCKS5Handshake: Sendable {
    /// What the caller is to do next.
    public enum Action: Hashable, Sendable {
        /// Send these bytes to the program.
        case reply([UInt8])
        /// Open a tunnel, then send a `SOCKSReply`.
        case connect(HostPort)
        /// Send these bytes, if any, and close.
        case fail([UInt8], SOCKS5Fault)
    }

    private enum State: Hashable, Sendable {
        case greeting
        case authentication
        case request
        case done
        case failed
    }

    /// What a program must present, as bytes.
    private struct Credentials: Sendable {
        let user: [UInt8]
        let password: [UInt8]
    }

    private var state = State.greeting
    private var message: [UInt8] = []
    private var actions: [Action] = []
    private let credentials: Credentials?

    /// A negotiation in which everyone is welcome.
    public init() { credentials = nil }

    /// A negotiation that demands a user and a password.
    public init(user: String, password: String) {
        credentials = Credentials(user: Array(user.utf8), password: Array(password.utf8))
    }

    /// Whether the request has been read or refused: no more bytes are taken.
    public var isOver: Bool { state == .done || state == .failed }

    /// The next thing to do, in order; `nil` when more bytes are needed or all is done.
    public mutating func nextAction() -> Action? { actions.isEmpty ? nil : actions.removeFirst() }

    /// Takes bytes from the program and returns how many of them belonged to the negotiation.
    public mutating func receive(_ bytes: Span<UInt8>) -> Int {
        var taken = 0
        while taken < bytes.count, !isOver {
            // A message is taken no further than its length is known, so that nothing of the next one gets into it; its version
            // byte comes alone, since it may be another protocol's.
            let missing = message.isEmpty ? 1 : messageLength - message.count
            for _ in 0..<min(missing, bytes.count - taken) {
                message.append(bytes[taken])
                taken += 1
            }
            guard checkVersion(), message.count == messageLength else { continue }
            let whole = message
            message = []
            process(whole)
        }
        return taken
    }

    /// Bytes in the message that is being read, as far as its beginning tells; grows while it is read.
    private var messageLength: Int {
        switch state {
        case .greeting: message.count < 2 ? 2 : 2 + Int(message[1])
        case .authentication:
            // RFC 1929 §2: VER, ULEN, UNAME, PLEN, PASSWD.
            if message.count < 2 {
                2
            } else {
                message.count < 3 + Int(message[1])
                    ? 3 + Int(message[1]) : 3 + Int(message[1]) + Int(message[2 + Int(message[1])])
            }
        case .request:
            // RFC 1928 §4: VER, CMD, RSV, ATYP, DST.ADDR, DST.PORT; a name starts with its length.
            if message.count < 5 {
                5
            } else {
                switch message[3] {
                case AddressType.ipv4: 10
                case AddressType.name: 7 + Int(message[4])
                case AddressType.ipv6: 22
                default: 5
                }
            }
        case .done, .failed: 0
        }
    }

    /// Refuses another protocol at its first byte, before anything is waited for that will not come.
    private mutating func checkVersion() -> Bool {
        guard let version = message.first else { return false }
        switch state {
        case .greeting, .request:
            guard version != 5 else { return true }
            // A SOCKS4 client understands this: VN 0, CD 91, request rejected.
            fail(.version(version), version == 4 ? [0, 91, 0, 0, 0, 0, 0, 0] : [])
        case .authentication:
            guard version != 1 else { return true }
            fail(.wrongCredentials, [1, 1])
        case .done, .failed: break
        }
        return false
    }

    private mutating func fail(_ fault: SOCKS5Fault, _ bytes: [UInt8]) {
        state = .failed
        message = []
        actions.append(.fail(bytes, fault))
    }
}

// MARK: - Messages

extension SOCKS5Handshake {
    private enum AddressType {
        static let ipv4: UInt8 = 1
        static let name: UInt8 = 3
        static let ipv6: UInt8 = 4
    }

    private enum Method {
        static let none: UInt8 = 0
        static let userAndPassword: UInt8 = 2
        static let noneAcceptable: UInt8 = 0xff
    }

    private mutating func process(_ message: [UInt8]) {
        switch state {
        case .greeting: choose(among: message.dropFirst(2))
        case .authentication: authenticate(message)
        case .request: request(message)
        case .done, .failed: break
        }
    }

    private mutating func choose(among offered: ArraySlice<UInt8>) {
        if credentials == nil, offered.contains(Method.none) {
            actions.append(.reply([5, Method.none]))
            state = .request
        } else if offered.contains(Method.userAndPassword) {
            // Where everyone is welcome, programs that insist on a password may have one: any will do.
            actions.append(.reply([5, Method.userAndPassword]))
            state = .authentication
        } else {
            fail(.noAcceptableMethod, [5, Method.noneAcceptable])
        }
    }

    private mutating func authenticate(_ message: [UInt8]) {
        let userLength = Int(message[1])
        let user = message[2..<(2 + userLength)]
        let password = message[(3 + userLength)...]
        if let credentials {
            let userMatches = SOCKS5Handshake.isEqual(user, credentials.user)
            let passwordMatches = SOCKS5Handshake.isEqual(password, credentials.password)
            // RFC 1929 §2: any status but 0 means failure, and the server must close.
            guard userMatches, passwordMatches else { return fail(.wrongCredentials, [1, 1]) }
        }
        actions.append(.reply([1, 0]))
        state = .request
    }

    /// Compares in a time that depends on the lengths only.
    private static func isEqual(_ a: ArraySlice<UInt8>, _ b: [UInt8]) -> Bool {
        guard a.count == b.count else { return false }
        return zip(a, b).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
    }

    private mutating func request(_ message: [UInt8]) {
        guard let host = host(in: message) else { return }
        // RFC 1928 §4: CONNECT, BIND and UDP ASSOCIATE; only the first is for a stream.
        guard message[1] == 1 else {
            return fail(.command(message[1]), SOCKSReply.commandNotSupported.message)
        }
        let port = UInt16(message[message.count - 2]) << 8 | UInt16(message[message.count - 1])
        guard let host, port > 0 else { return fail(.destination, SOCKSReply.generalFailure.message) }
        actions.append(.connect(HostPort(host, port: port)))
        state = .done
    }

    /// The host of a whole request; the inner `nil` for one that is no host, the outer when the request was refused.
    private mutating func host(in message: [UInt8]) -> Host?? {
        switch message[3] {
        case AddressType.ipv4: return .some(IPAddress(bytes: message[4..<8]).map(Host.address))
        case AddressType.ipv6: return .some(IPAddress(bytes: message[4..<20]).map(Host.address))
        case AddressType.name:
            return .some(String(validating: message[5..<(message.count - 2)], as: UTF8.self).flatMap(Host.init))
        default:
            fail(.addressType(message[3]), SOCKSReply.addressTypeNotSupported.message)
            return nil
        }
    }
}
