import EventLoop
import Primitives
import Simulator

/// Notices what changes on the wire and says it in plain words.
///
/// It sees what anybody on the way sees: addresses, sizes, and the connection ID in front of an encrypted packet
/// (RFC 9000 §17.3).
final class WireWatch: UDPRelayObserver {
    /// Bytes of the connection IDs that Godwit's gateways hand out.
    static let connectionIDLength = 8
    /// Packets in a row on another way after which the traffic counts as moved: less is probing, or what was under way.
    static let movedAfter = 16
    /// Bytes of a datagram that can prove a path: RFC 9000 §8.2.1.
    static let probeSize = 1_200

    /// How packets of one direction travel.
    private struct Way: Hashable {
        var link: DemoLink
        /// What may change at its end: what the gateway sees of this machine, or the machine's own address.
        var address: NetworkAddress
    }

    /// What is known of one direction.
    private struct Travel {
        var current: Way?
        var known: Set<Way> = []
        /// Where the latest packets went, and how many of them in a row.
        var latest: Way?
        var run = 0

        /// Takes a packet; tells whether its way is new, and whether the traffic has moved there with it.
        mutating func take(_ way: Way) -> (isNew: Bool, hasMoved: Bool) {
            let isNew = known.insert(way).inserted
            run = latest == way ? run + 1 : 1
            latest = way
            guard current != way, run >= WireWatch.movedAfter || current == nil else { return (isNew, false) }
            defer { current = way }
            return (isNew, current != nil)
        }
    }

    private let say: (String) -> Void
    private var sent = Travel()
    private var received = Travel()
    private var connectionIDs: [Way: [UInt8]] = [:]

    init(say: @escaping (String) -> Void) { self.say = say }

    func relay(_ relay: UDPRelay, delivered datagram: Datagram, _ direction: Direction, link: Int) {
        let isIPv6 = relay.address.ip.family == .ipv6
        guard let link = isIPv6 ? .wifi6 : DemoLink(rawValue: link) else { return }
        switch direction {
        case .outbound: left(datagram, link)
        case .inbound: came(datagram, link)
        }
    }

    private func left(_ datagram: Datagram, _ link: DemoLink) {
        // Long headers belong to the handshake.
        guard let first = datagram.bytes.first, first & 0x80 == 0 else { return }
        let way = Way(link: link, address: datagram.source)
        let before = sent.current
        let identifier = Array(datagram.bytes.dropFirst().prefix(Self.connectionIDLength))
        let previous = connectionIDs.updateValue(identifier, forKey: way)
        let (isNew, hasMoved) = sent.take(way)
        guard let before else { return }
        let name = link.name
        if isNew {
            let isUsed = connectionIDs.contains { $0.key != way && $0.value == identifier }
            let label = isUsed ? "the connection ID it had" : "a connection ID of its own"
            let what = datagram.bytes.count >= Self.probeSize ? "a probe of \(datagram.bytes.count) bytes" : "a packet"
            say("\(what) goes out over \(name); the gateway sees it come from \(way.address), with \(label)")
        } else if let previous, previous != identifier {
            say("what goes out over \(name) has another connection ID from here on: \(Self.text(identifier))")
        }
        if hasMoved, before.link != link { say("what this machine sends goes over \(name) now") }
    }

    private func came(_ datagram: Datagram, _ link: DemoLink) {
        let way = Way(link: link, address: datagram.destination)
        let before = received.current
        let (isNew, hasMoved) = received.take(way)
        guard let before else { return }
        if isNew { say("the gateway answers over \(link.name), to \(way.address)") }
        if hasMoved, before.link != link || !isNew {
            say("what the gateway sends comes over \(link.name) now, to \(way.address)")
        }
    }

    private static func text(_ identifier: [UInt8]) -> String {
        identifier.prefix(4).map { byte in
            let text = String(byte, radix: 16)
            return text.count == 1 ? "0" + text : text
        }.joined() + "…"
    }
}
