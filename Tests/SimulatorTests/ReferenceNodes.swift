import Primitives
import Simulator

/// Sends `count` datagrams of `size` bytes, `interval` apart, each with its number in the first four bytes; then it is finished.
final class Source: VirtualNode {
    let from: NetworkAddress
    let to: NetworkAddress
    let count: Int
    let size: Int
    let interval: Interval
    let ecn: ECN
    var sent = 0
    var next: Instant
    var received: [Datagram] = []
    var refusals: [SendFailure] = []
    var changes: [AddressChange] = []

    init(
        from: NetworkAddress, to: NetworkAddress, count: Int, size: Int = 1_200, every interval: Interval = .zero,
        ecn: ECN = .notCapable
    ) {
        self.from = from
        self.to = to
        self.count = count
        self.size = size
        self.interval = interval
        self.ecn = ecn
        next = VirtualNetwork.start
    }

    var isFinished: Bool { sent == count }
    var nextDeadline: Instant? { isFinished ? nil : next }
    func deadlineReached(at now: Instant) {}

    func nextTransmission(at now: Instant) -> Datagram? {
        guard !isFinished, next <= now else { return nil }
        let number = UInt32(sent)
        sent += 1
        next += interval
        var bytes = [UInt8](repeating: 0x5A, count: max(size, 4))
        for index in 0..<4 { bytes[index] = UInt8(truncatingIfNeeded: number >> UInt32(24 - 8 * index)) }
        return Datagram(from: from, to: to, ecn: ecn, bytes: bytes)
    }

    func receive(_ datagram: Datagram, at now: Instant) { received.append(datagram) }
    func sendFailed(_ datagram: Datagram, _ failure: SendFailure, at now: Instant) { refusals.append(failure) }
    func localAddressChanged(_ change: AddressChange, at now: Instant) { changes.append(change) }
}

/// Keeps what arrives, and when; echoes it if told to.
final class Sink: VirtualNode {
    enum Manner { case silent, echoing }

    let manner: Manner
    var arrivals: [(datagram: Datagram, at: Instant)] = []
    private var replies: [Datagram] = []

    init(_ manner: Manner = .silent) { self.manner = manner }

    /// The numbers that a `Source` wrote, in order of arrival.
    var numbers: [UInt32] {
        arrivals.map { $0.datagram.bytes.prefix(4).reduce(0) { $0 << 8 | UInt32($1) } }
    }

    var isFinished: Bool { true }
    var nextDeadline: Instant? { nil }
    func deadlineReached(at now: Instant) {}

    func nextTransmission(at now: Instant) -> Datagram? { replies.isEmpty ? nil : replies.removeFirst() }

    func receive(_ datagram: Datagram, at now: Instant) {
        arrivals.append((datagram, now))
        guard manner == .echoing else { return }
        replies.append(
            Datagram(
                from: datagram.destination, to: datagram.source, ecn: datagram.ecn, bytes: datagram.bytes))
    }
}

enum Addresses {
    static let client = NetworkAddress(.v4(10, 0, 0, 2), port: 5_000)
    static let server = NetworkAddress(.v4(192, 0, 2, 1), port: 443)
}
