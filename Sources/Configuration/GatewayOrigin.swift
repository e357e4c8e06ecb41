public import Primitives

extension GatewayConfiguration {
    /// A name that stands for several servers with the same content.
    public struct Origin: Hashable, Sendable {
        /// The host and port that users ask for.
        public var name: HostPort
        /// The servers, in order of preference.
        public var replicas: [HostPort]
        /// How it is found out whether a server works.
        public var check = Check.tcp
        /// From one check of a server to the next.
        public var checkInterval = Interval.seconds(2)
        /// How long a check may take; then it has failed.
        public var checkTimeout = Interval.seconds(1)
        /// How long a server may be silent in the middle of an answer; then another one goes on.
        public var stallLimit = Interval.seconds(10)

        /// Creates an origin with the defaults.
        public init(name: HostPort, replicas: [HostPort]) {
            self.name = name
            self.replicas = replicas
        }
    }

    /// How a server is checked.
    public enum Check: Hashable, Sendable {
        /// It accepts a TCP connection.
        case tcp
        /// It answers a GET of this path with a status of 2xx or 3xx.
        case http(path: String)
    }
}

extension GatewayConfiguration.Check {
    /// Bytes of the longest path, to keep the request in one segment.
    static let longestPath = 1_000

    /// Reads `tcp` or `http:/path`; nil when it is neither. A path is visible ASCII, as RFC 9112 §3.2.1 wants it in a request.
    init?(_ text: String) {
        guard text != "tcp" else {
            self = .tcp
            return
        }
        guard text.hasPrefix("http:/") else { return nil }
        let path = text.dropFirst("http:".count)
        guard path.utf8.count <= Self.longestPath, path.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else {
            return nil
        }
        self = .http(path: String(path))
    }
}

extension GatewayConfiguration.Origin {
    /// Most replicas of one name: each is checked all the time.
    public static let mostReplicas = 64

    static func all(in root: TableReader) throws(ConfigurationError) -> [Self] {
        var origins: [Self] = []
        let keys = ["name", "replicas", "check", "check_interval", "check_timeout", "stall_limit"]
        for table in try root.tables("origin", keys: keys) {
            let origin = try Self(table)
            guard !origins.contains(where: { $0.name == origin.name }) else {
                throw table.error("name", "= \"\(origin.name)\" is there twice; put its replicas into one [[origin]]")
            }
            origins.append(origin)
        }
        return origins
    }

    private init(_ table: TableReader) throws(ConfigurationError) {
        name = try table.hostPort("name", example: "mirror.internal:80")
        replicas = try table.hostPorts("replicas", example: "10.0.0.5:80")
        guard !replicas.isEmpty else {
            throw table.error("replicas", "is missing; write replicas = [\"10.0.0.5:80\", \"10.0.0.6:80\"]")
        }
        guard replicas.count <= Self.mostReplicas, Set(replicas).count == replicas.count else {
            throw table.error(
                "replicas", "names one twice, or more than \(Self.mostReplicas); write each server once")
        }
        if let text = try table.string("check") {
            guard let check = GatewayConfiguration.Check(text.value) else {
                throw table.error(
                    "check",
                    "= \"\(text.value)\" is no check; write \"tcp\", or \"http:\" and a path, as in \"http:/health\"")
            }
            self.check = check
        }
        checkInterval =
            try table.interval("check_interval", in: .milliseconds(100)...(.seconds(3_600))) ?? checkInterval
        checkTimeout = try table.interval("check_timeout", in: .milliseconds(10)...(.seconds(60))) ?? checkTimeout
        stallLimit = try table.interval("stall_limit", in: .milliseconds(100)...(.seconds(3_600))) ?? stallLimit
    }
}
