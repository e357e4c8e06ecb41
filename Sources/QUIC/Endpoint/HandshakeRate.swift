import Primitives

/// How many handshakes each network has begun of late: one that begins many has to prove its address, and one that
/// begins very many even so is not answered.
///
/// A network is an IPv4 /24 or an IPv6 /56, since who has one address there can often have others. A source that is made up
/// costs its network a round trip for each handshake and nothing else.
struct HandshakeRate {
    /// Handshakes of one network in a second that may begin without proof of the address; a Retry packet answers more.
    static let unprovenPerSecond = 50
    /// Handshakes of one network in a second that may begin with a proven address; more are not answered. Bounds what
    /// the TLS handshakes of one network cost.
    static let provenPerSecond = 500
    /// Networks counted in a second; the handshakes of any others need proof. Bounds memory.
    static let maximumNetworks = 16_384

    enum Verdict: Hashable {
        /// Go on.
        case welcome
        /// Go on once the address is proven.
        case needsProof
        /// Too many even with proof.
        case excessive
    }

    private struct Counts {
        var unproven = 0
        var proven = 0
    }

    private var second = Instant.origin
    private var counts: [IPPrefix: Counts] = [:]

    /// A handshake begins from an address that no token proves.
    mutating func unprovenBegan(from address: IPAddress, at now: Instant) -> Verdict {
        guard let network = network(of: address, at: now) else { return .needsProof }
        counts[network, default: Counts()].unproven += 1
        return counts[network, default: Counts()].unproven <= Self.unprovenPerSecond ? .welcome : .needsProof
    }

    /// A handshake begins from an address that its token proves.
    mutating func provenBegan(from address: IPAddress, at now: Instant) -> Verdict {
        // A proven address that finds the table full is no reason to turn it away.
        guard let network = network(of: address, at: now) else { return .welcome }
        counts[network, default: Counts()].proven += 1
        return counts[network, default: Counts()].proven <= Self.provenPerSecond ? .welcome : .excessive
    }

    /// The network to count for; nil when there are too many.
    private mutating func network(of address: IPAddress, at now: Instant) -> IPPrefix? {
        if now - second >= .seconds(1) {
            second = now
            counts.removeAll(keepingCapacity: true)
        }
        let address = address.effective
        let network = IPPrefix(containing: address, length: address.family == .ipv4 ? 24 : 56)
        return counts[network] != nil || counts.count < Self.maximumNetworks ? network : nil
    }
}
