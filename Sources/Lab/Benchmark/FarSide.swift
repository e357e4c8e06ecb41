public import Primitives

/// Where the remote sides and the origin are: on loopback, or in a network namespace behind a link.
public struct FarSide: Hashable, Sendable {
    /// On this machine's loopback.
    public static let loopback = FarSide(namespace: nil, address: 0x7F00_0001)

    /// The namespace's name, as `ip netns add` makes it.
    let namespace: String?
    /// The bits of the IPv4 address that everything there listens on.
    let bits: UInt32

    private init(namespace: String?, address bits: UInt32) {
        self.namespace = namespace
        self.bits = bits
    }

    /// In a namespace, which has this address; nil where that is not one of IPv4.
    public init?(namespace: String, address: IPAddress) {
        guard address.family == .ipv4 else { return nil }
        self.init(namespace: namespace, address: UInt32(truncatingIfNeeded: address.low))
    }

    /// The address that everything there listens on.
    var address: IPAddress { IPAddress(ipv4: bits) }

    /// A program with its arguments, as it is started there.
    func command(_ program: String, _ arguments: [String]) throws(BenchmarkFailure) -> (String, [String]) {
        guard let namespace else { return (program, arguments) }
        guard let ip = BenchmarkProcesses.find("ip") else { throw BenchmarkFailure("ip is not installed") }
        // It becomes the program.
        return (ip, ["netns", "exec", namespace, program] + arguments)
    }
}
