public import Primitives

/// What `gateway.toml` says, checked; paths are ready to open.
public struct GatewayConfiguration: Hashable, Sendable {
    /// The file it was read from.
    public var source: String
    /// How clients reach the gateway, for the invites that are printed; `nil` when the file does not say.
    public var name: HostPort?
    /// UDP addresses to serve on.
    public var listen: [NetworkAddress]
    /// Where clients reach the gateway, at most one address of each family: told to those that came over the other one.
    /// `nil`: the machine's own global addresses.
    public var addresses: [NetworkAddress]?
    /// The certificate chain in PEM, the gateway's own certificate first.
    public var certificate: String
    /// The private key in PEM.
    public var key: String
    /// The file with the users and the hashes of their tokens.
    public var users: String
    /// The file with the keys that several gateways share; `nil` for keys of this gateway's own.
    public var ticketSecret: String?
    /// Threads that serve; `nil` for one per core.
    public var workers: Int?
    /// The control socket.
    public var control: String
    /// The congestion control of what is sent to clients.
    public var congestion: CongestionAlgorithm
    /// What users may reach.
    public var destinations: Destinations
    /// How much of everything one user and all together may have.
    public var limits: Limits
    /// How long and how much a tunnel survives its connection.
    public var resumption: Resumption
    /// Where metrics are served over HTTP; `nil` when they are not.
    public var metrics: NetworkAddress?
    /// Replicas behind one name.
    public var origins: [Origin]

    /// Which destinations are open, as rules that the gateway's access rules parse and report errors in.
    public struct Destinations: Hashable, Sendable {
        /// Rules that open destinations.
        public var allow: [Located<String>]
        /// Rules that close destinations; they win over `allow`.
        public var deny: [Located<String>]
        /// Whether loopback, link-local, private and metadata addresses are open without a rule of their own.
        public var privateNetworks: Bool
    }

    /// Bounds on what users may take.
    public struct Limits: Hashable, Sendable {
        /// Connections one user may have; further ones are refused.
        public var connectionsPerUser = 16
        /// Tunnels one user may have open; further ones are answered with 503.
        public var tunnelsPerUser = 4_096
        /// Memory for buffers of all users together. One half is for tunnels that a connection carries: at the bound their buffers do not
        /// grow any more, and TCP is read more slowly. The other one is for those without a connection: at the bound those that wait
        /// longest are reset.
        public var memory = ByteCount.mebibytes(1_024)
        /// Memory for buffers of one user; nil: half of that for all.
        public var memoryPerUser: ByteCount?

        /// The defaults.
        public init() {}
    }

    /// Bounds on detached tunnels.
    public struct Resumption: Hashable, Sendable {
        /// How long the origin connection of a detached tunnel is kept.
        public var linger = Interval.seconds(86_400)
        /// Replay buffer per tunnel and direction, at most.
        public var buffer = ByteCount.mebibytes(16)

        /// The defaults.
        public init() {}
    }
}

extension GatewayConfiguration {
    /// Most threads that may be asked for; a machine with more cores is served by this many.
    public static let mostWorkers = 256

    /// Reads the text of a `gateway.toml`; every fault is an error with its line.
    public init(text: String, source: String, surroundings: Surroundings) throws(ConfigurationError) {
        let root = try TableReader(
            TOMLNode.parse(text, source: source), name: "", source: source,
            keys: [
                "name", "listen", "addresses", "certificate", "key", "users", "ticket_secret", "workers", "control",
                "congestion", "destinations", "limits", "resumption", "metrics", "origin",
            ])
        func path(_ key: String, default name: String) throws(ConfigurationError) -> String {
            let text = try root.string(key) ?? Located(name, source: source, line: 1)
            return try surroundings.path(text, key: key)
        }
        self.source = source
        guard let listen = try root.listenAddresses("listen") else {
            throw root.error("listen", "is missing; write listen = [\"0.0.0.0:443\", \"[::]:443\"]")
        }
        self.listen = listen
        addresses = try Self.addresses(root)
        name = try Self.name(root, port: listen.first?.port)
        certificate = try path("certificate", default: "gateway.crt")
        key = try path("key", default: "gateway.key")
        users = try path("users", default: "users.toml")
        if let file = try root.string("ticket_secret") {
            ticketSecret = try surroundings.path(file, key: "ticket_secret")
        }
        let workers = try root.integer("workers", in: 0...GatewayConfiguration.mostWorkers)
        self.workers = workers == 0 ? nil : workers
        control = try path("control", default: surroundings.gatewayControlSocket)
        congestion = try root.congestion("congestion") ?? .standard
        destinations = try Destinations(root)
        limits = try Limits(root)
        resumption = try Resumption(root)
        metrics = try root.table("metrics", keys: ["listen"])?.optionalListenAddress("listen")
        origins = try Origin.all(in: root)
    }

    private static func addresses(_ root: TableReader) throws(ConfigurationError) -> [NetworkAddress]? {
        guard let texts = try root.strings("addresses") else { return nil }
        var addresses: [NetworkAddress] = []
        for text in texts {
            let address = try TableReader.address(text, "addresses")
            guard !address.ip.isUnspecified, address.port != 0 else {
                throw text.error("addresses names \(address), which nobody can reach; write an address and its port")
            }
            guard !addresses.contains(where: { $0.ip.family == address.ip.family }) else {
                throw text.error("addresses names two of one family; keep one IPv4 and one IPv6 address")
            }
            addresses.append(address)
        }
        return addresses
    }

    /// `HOST:PORT`, or `HOST` with the port of the first listener.
    private static func name(_ root: TableReader, port: UInt16?) throws(ConfigurationError) -> HostPort? {
        guard let text = try root.string("name") else { return nil }
        guard let name = HostPort(text.value) ?? Host(text.value).map({ HostPort($0, port: port ?? 0) }) else {
            throw text.error(
                "name \"\(text.value)\" is no host; write \"gateway.example.org\" or \"gateway.example.org:443\"")
        }
        return name.port == 0 ? HostPort(name.host, port: Invite.defaultPort) : name
    }
}

extension GatewayConfiguration.Destinations {
    init(_ root: TableReader) throws(ConfigurationError) {
        let table = try root.table("destinations", keys: ["allow", "deny", "private_networks"])
        allow = try table?.strings("allow") ?? [Located("*:*", source: root.source, line: 1)]
        deny = try table?.strings("deny") ?? []
        privateNetworks = try table?.boolean("private_networks") ?? false
    }
}

extension GatewayConfiguration.Limits {
    init(_ root: TableReader) throws(ConfigurationError) {
        self.init()
        guard
            let table = try root.table(
                "limits", keys: ["connections_per_user", "tunnels_per_user", "memory", "memory_per_user"])
        else { return }
        connectionsPerUser = try table.integer("connections_per_user", in: 1...1_000_000) ?? connectionsPerUser
        tunnelsPerUser = try table.integer("tunnels_per_user", in: 1...10_000_000) ?? tunnelsPerUser
        memory = try table.byteCount("memory", in: .mebibytes(16)...(.mebibytes(1 << 30))) ?? memory
        memoryPerUser = try table.byteCount("memory_per_user", in: .mebibytes(4)...(.mebibytes(1 << 30)))
    }
}

extension GatewayConfiguration.Resumption {
    init(_ root: TableReader) throws(ConfigurationError) {
        self.init()
        guard let table = try root.table("resumption", keys: ["linger", "buffer"]) else { return }
        linger = try table.interval("linger", in: .zero...(.seconds(366 * 86_400))) ?? linger
        buffer = try table.byteCount("buffer", in: .kibibytes(64)...(.mebibytes(1_024))) ?? buffer
    }
}
