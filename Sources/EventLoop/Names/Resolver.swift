internal import CEvent
internal import Glibc
public import Primitives

/// Why a name has no addresses.
public enum ResolutionError: Error, Hashable, Sendable, CustomStringConvertible {
    /// It cannot be a host name.
    case invalidName(String)
    /// The name servers say that it does not exist, or that it has no address.
    case nameNotFound(String)
    /// The name servers answered, but not with a result.
    case serverFailure(String, reason: String)
    /// No name server answered in time.
    case timedOut(String)
    /// No name server is configured.
    case noNameServer(String)

    /// One line: what failed and what to do.
    public var description: String {
        switch self {
        case .invalidName(let name):
            "\(name.debugDescription) is not a host name; write names of other scripts in their xn-- form"
        case .nameNotFound(let name): "name not found: \(name); check how it is spelt"
        case .serverFailure(let name, let reason): "the name server cannot resolve \(name): \(reason)"
        case .timedOut(let name): "no name server answered for \(name); check the network and /etc/resolv.conf"
        case .noNameServer(let name): "cannot resolve \(name): no name server in /etc/resolv.conf; check the network"
        }
    }
}

/// What is called with the answers for a name.
public protocol ResolutionHandler: AnyObject {
    /// The addresses of one family, possibly none. Called once for each family, never before `resolve` has returned.
    func resolution(
        _ resolution: Resolution, of family: IPAddress.Family, answered result: Result<[IPAddress], ResolutionError>)
}

/// Turns names into addresses: literals, the hosts file, then the name servers (evdns), both families at once.
///
/// `/etc/hosts` and `/etc/resolv.conf` are read again when they have changed, so that a new network's name servers are
/// asked at once.
@safe
public final class Resolver {
    /// Where names are looked up.
    public struct Configuration: Sendable {
        /// The name servers; empty: those of `resolverFile`.
        public var nameServers: [NetworkAddress] = []
        /// The system's list of name servers and search domains.
        public var resolverFile = "/etc/resolv.conf"
        /// The system's list of names.
        public var hostsFile = "/etc/hosts"
        /// How long one name server has for an answer; whole seconds, at least one.
        public var attemptTimeout = Interval.seconds(2)
        /// How long a resolution takes at most.
        public var timeout = Interval.seconds(8)

        /// The system's configuration.
        public init() {}
    }

    /// Queries that are with the name servers at one time; more wait.
    static let maximumInFlight = 256

    let loop: EventLoop
    let configuration: Configuration
    /// The `evdns_base`, freed by `close`.
    private(set) var base: OpaquePointer?
    private var hosts = HostsFile("")
    private var watchedHosts: WatchedFile
    private var watchedServers: WatchedFile
    private var resolutions: [ObjectIdentifier: Resolution] = [:]

    /// Creates a resolver for a loop.
    public init(on loop: EventLoop, configuration: Configuration = Configuration()) throws(SystemError) {
        self.loop = loop
        self.configuration = configuration
        watchedHosts = WatchedFile(configuration.hostsFile)
        watchedServers = WatchedFile(configuration.resolverFile)
        guard let base = unsafe gw_dns_new(loop.base) else { throw SystemError(.resolve, code: ENOMEM) }
        unsafe self.base = base
        setOption("timeout:", String(max(1, configuration.attemptTimeout.milliseconds / 1000)))
        setOption("attempts:", "3")
        setOption("max-inflight:", String(Self.maximumInFlight))
        // A server that is silent for a while is not given up: it may be the network that is gone. (libevent would probe
        // such a server with queries for a name of its own choosing.)
        setOption("max-timeouts:", "255")
        for server in configuration.nameServers {
            _ = unsafe gw_dns_add_server(base, server.description)  // copies the text
        }
    }

    deinit { close() }

    /// Cancels what is under way; their handlers hear nothing more.
    public func close() {
        for resolution in resolutions.values { resolution.stop() }
        resolutions = [:]
        if let base = unsafe base { unsafe gw_dns_free(base) }
        unsafe base = nil
    }

    /// The address that a literal stands for.
    public static func literal(_ name: String) -> IPAddress? { IPAddress(name) }

    /// Asks for the addresses of a name, both families at once.
    public func resolve(_ name: String, handler: any ResolutionHandler) -> Resolution {
        let resolution = Resolution(name, resolver: self, handler: handler)
        resolutions[ObjectIdentifier(resolution)] = resolution
        resolution.start(known: knownAnswer(name))
        return resolution
    }

    /// Reads the hosts file and the list of name servers again where they have changed.
    private func refresh() {
        if watchedHosts.hasChanged() { hosts = HostsFile(watchedHosts.read(atMost: HostsFile.maximumSize)) }
        guard configuration.nameServers.isEmpty, watchedServers.hasChanged() else { return }
        unsafe gw_dns_read_servers(base, configuration.resolverFile)  // the path is not kept
    }

    /// What can be told without asking a server; `nil`: ask.
    private func knownAnswer(_ name: String) -> Result<[IPAddress], ResolutionError>? {
        if let address = IPAddress(name) { return .success([address]) }
        refresh()
        guard Self.isHostName(name) else { return .failure(.invalidName(name)) }
        if let addresses = hosts[name] { return .success(addresses) }
        return unsafe gw_dns_server_count(base) == 0 ? .failure(.noNameServer(name)) : nil
    }

    /// RFC 1035 §2.3.4: labels of at most 63 bytes, 255 in all; letters, digits, hyphens, and underscores as in use.
    static func isHostName(_ name: String) -> Bool {
        let bytes = name.hasSuffix(".") ? name.utf8.dropLast() : name.utf8[...]
        guard !bytes.isEmpty, bytes.count <= 253 else { return false }
        return bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).allSatisfy { label in
            (1...63).contains(label.count)
                && label.allSatisfy { byte in
                    switch byte {
                    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
                        true
                    default: false
                    }
                }
        }
    }

    func finished(_ resolution: Resolution) { resolutions[ObjectIdentifier(resolution)] = nil }

    private func setOption(_ name: String, _ value: String) {
        _ = unsafe gw_dns_set_option(base, name, value)  // copies both
    }
}

@available(*, unavailable)
extension Resolver: Sendable {}
