public import Primitives

/// What `local.toml` says, checked; paths are ready to open.
public struct LocalConfiguration: Hashable, Sendable {
    /// The file it was read from, or "command line".
    public var source: String
    /// The gateways in order of preference.
    public var gateways: [Invite]
    /// The control socket.
    public var control: String
    /// Local ports that lead to one origin each.
    public var forwards: [Forward]
    /// SOCKS5 listeners.
    public var socks: [ProxyListener]
    /// HTTP proxy listeners.
    public var http: [ProxyListener]
    /// Which network interfaces to use.
    public var paths: Paths
    /// How several gateways stand in for one another.
    public var failover: Failover
    /// The congestion control of what is sent to gateways.
    public var congestion: CongestionAlgorithm
    /// The address that `[status]` names; nothing is served there, see Limits in README.md.
    public var status: NetworkAddress?

    /// A local port that leads to one origin, as `ssh -L` has it.
    public struct Forward: Hashable, Sendable {
        /// Where to listen.
        public var listen: NetworkAddress
        /// What the gateway connects to.
        public var destination: HostPort

        /// Creates it from its parts.
        public init(listen: NetworkAddress, destination: HostPort) {
            self.listen = listen
            self.destination = destination
        }
    }

    /// A SOCKS5 or HTTP proxy for local programs.
    public struct ProxyListener: Hashable, Sendable {
        /// Where to listen.
        public var listen: NetworkAddress
        /// What programs must present, or `nil` for an open proxy.
        public var credentials: ProxyCredentials?

        /// Creates it from its parts.
        public init(listen: NetworkAddress, credentials: ProxyCredentials? = nil) {
            self.listen = listen
            self.credentials = credentials
        }

        /// Whether other machines may use it without a password; worth a warning.
        public var isOpenToOthers: Bool { credentials == nil && !listen.ip.effective.isLoopback }
    }

    /// A name and a password for a local proxy (RFC 1929, RFC 7617).
    public struct ProxyCredentials: Hashable, Sendable {
        /// The name, 1 to 255 bytes without a colon.
        public var user: String
        /// The password, 1 to 255 bytes; never logged.
        public var password: String
    }

    /// When another gateway takes over.
    public struct Failover: Hashable, Sendable {
        /// What is kept of the gateway that would be next.
        public enum Standby: String, Hashable, Sendable, CaseIterable {
            /// A ticket that shortens the handshake.
            case ticket
            /// A connection.
            case connected
        }

        /// How long a gateway may be silent while another one answers before its tunnels are reset.
        public var giveUpAfter = Interval.seconds(10)
        /// How long a preferred gateway must have been connected before it is returned to.
        public var returnAfter = Interval.seconds(10)
        /// What is kept of the gateway that would be next.
        public var standby = Standby.ticket

        /// The defaults.
        public init() {}
    }

    /// Preferences among network interfaces, by patterns with `*`.
    public struct Paths: Hashable, Sendable {
        /// Patterns, best first.
        public var prefer = ["eth*", "en*", "wl*", "*"]
        /// Interfaces that cost money: used when nothing else works.
        public var metered = ["ww*"]
        /// Interfaces that are never used.
        public var ignore = ["docker*", "veth*", "lo"]
        /// How long a better path must have worked before it is returned to.
        public var returnAfter = Interval.seconds(3)

        /// The defaults.
        public init() {}
    }
}

extension LocalConfiguration {
    /// What holds without a file.
    public init(surroundings: Surroundings) {
        source = "command line"
        gateways = []
        control = surroundings.localControlSocket
        forwards = []
        socks = []
        http = []
        paths = Paths()
        failover = Failover()
        congestion = .standard
        status = nil
    }

    /// Reads the text of a `local.toml`; every fault is an error with its line.
    ///
    /// `invites` gives the text of the file that `gateways_file` names.
    public init(
        text: String, source: String, surroundings: Surroundings,
        invites: (_ path: String) throws(ConfigurationError) -> String
    ) throws(ConfigurationError) {
        let root = try TableReader(
            TOMLNode.parse(text, source: source), name: "", source: source,
            keys: [
                "gateways", "gateways_file", "control", "congestion", "forward", "socks", "http", "paths", "failover",
                "status",
            ])
        self.init(surroundings: surroundings)
        self.source = source
        gateways = try Self.gateways(root, surroundings, invites)
        if let path = try root.string("control") { control = try surroundings.path(path, key: "control") }
        congestion = try root.congestion("congestion") ?? congestion
        for table in try root.tables("forward", keys: ["listen", "to"]) {
            guard let listen = try table.listenAddress("listen") else { throw Self.missingListen(table, port: 2222) }
            forwards.append(
                Forward(listen: listen, destination: try table.hostPort("to", example: "build.internal:22")))
        }
        for table in try root.tables("socks", keys: ["listen", "user", "password"]) {
            socks.append(try Self.proxy(table, port: 1080))
        }
        for table in try root.tables("http", keys: ["listen", "user", "password"]) {
            http.append(try Self.proxy(table, port: 8118))
        }
        paths = try Paths(root)
        failover = try Failover(root)
        status = try root.table("status", keys: ["listen"])?.optionalListenAddress("listen")
        try checkListeners()
    }

    private static func gateways(
        _ root: TableReader, _ surroundings: Surroundings,
        _ invites: (_ path: String) throws(ConfigurationError) -> String
    ) throws(ConfigurationError) -> [Invite] {
        guard let file = try root.string("gateways_file") else {
            var gateways: [Invite] = []
            for text in try root.strings("gateways") ?? [] {
                do throws(InviteError) {
                    gateways.append(try Invite(text.value))
                } catch {
                    throw text.error("gateways: \(error)")
                }
            }
            return gateways
        }
        guard !root.has("gateways") else {
            throw root.error("gateways_file", "and gateways are both there; keep one of them")
        }
        let path = try surroundings.path(file, key: "gateways_file")
        return try Invite.list(try invites(path), source: path)
    }

    private static func missingListen(_ table: TableReader, port: Int) -> ConfigurationError {
        table.error("listen", "is missing; write listen = \"127.0.0.1:\(port)\"")
    }

    private static func proxy(_ table: TableReader, port: Int) throws(ConfigurationError) -> ProxyListener {
        guard let listen = try table.listenAddress("listen") else { throw missingListen(table, port: port) }
        let (user, password) = (try table.string("user"), try table.string("password"))
        if user == nil, password == nil { return ProxyListener(listen: listen) }
        guard let user, let password else {
            throw table.error(user == nil ? "password" : "user", "stands alone; write both user and password, or none")
        }
        // RFC 1929 §2: both have a length octet and at least one byte; RFC 7617 §2: no colon in the name.
        guard (1...255).contains(user.value.utf8.count), !user.value.contains(":") else {
            throw table.error("user", "cannot be used; write 1 to 255 bytes without a colon")
        }
        guard (1...255).contains(password.value.utf8.count) else {
            throw table.error("password", "cannot be used; write 1 to 255 bytes")
        }
        return ProxyListener(listen: listen, credentials: ProxyCredentials(user: user.value, password: password.value))
    }

    /// Refuses an address that is listened on twice.
    public func checkListeners() throws(ConfigurationError) {
        var seen: Set<NetworkAddress> = []
        for address in listeners where address.port != 0 && !seen.insert(address).inserted {
            throw ConfigurationError(
                source: source, message: "\(address) is listened on twice; give each listener a port of its own")
        }
    }

    /// Every TCP address that is listened on.
    public var listeners: [NetworkAddress] {
        forwards.map(\.listen) + socks.map(\.listen) + http.map(\.listen) + (status.map { [$0] } ?? [])
    }
}

extension LocalConfiguration.Failover {
    init(_ root: TableReader) throws(ConfigurationError) {
        self.init()
        guard let table = try root.table("failover", keys: ["give_up_after", "return_after", "standby"]) else { return }
        giveUpAfter = try table.interval("give_up_after", in: .seconds(1)...(.seconds(86_400))) ?? giveUpAfter
        returnAfter = try table.interval("return_after", in: .zero...(.seconds(86_400))) ?? returnAfter
        guard let text = try table.string("standby") else { return }
        guard let standby = Standby(rawValue: text.value) else {
            throw text.error("failover.standby = \"\(text.value)\" is not known; write \"ticket\" or \"connected\"")
        }
        self.standby = standby
    }
}

extension LocalConfiguration.Paths {
    init(_ root: TableReader) throws(ConfigurationError) {
        self.init()
        guard let table = try root.table("paths", keys: ["prefer", "metered", "ignore", "return_after"]) else { return }
        func patterns(_ key: String) throws(ConfigurationError) -> [String]? {
            guard let texts = try table.strings(key) else { return nil }
            for text in texts where text.value.isEmpty || text.value.utf8.contains(where: { $0 <= 0x20 || $0 == 0x2f })
            {
                throw text.error(
                    "paths.\(key): \"\(text.value)\" is no interface pattern; write a name as in \"eth0\" or \"wl*\"")
            }
            return texts.map(\.value)
        }
        prefer = try patterns("prefer") ?? prefer
        metered = try patterns("metered") ?? metered
        ignore = try patterns("ignore") ?? ignore
        returnAfter = try table.interval("return_after", in: .zero...(.seconds(3_600))) ?? returnAfter
    }
}
