public import Primitives

/// A protocol endpoint on a virtual host: it is called and never calls.
///
/// After every input the network drains the node in this order: `nextTransmission(at:)` until it returns nil,
/// `deadlineReached(at:)` if `nextDeadline` has passed (and transmissions again), then it arms a wake-up for `nextDeadline`.
public protocol VirtualNode: AnyObject {
    /// A datagram arrived.
    func receive(_ datagram: Datagram, at now: Instant)
    /// The instant that `nextDeadline` announced has come.
    func deadlineReached(at now: Instant)
    /// The next datagram to send, nil when there is none at present.
    func nextTransmission(at now: Instant) -> Datagram?
    /// When the node wants to be called although nothing arrives; nil for never.
    var nextDeadline: Instant? { get }
    /// Whether the node has done what it came for; a scenario completes when every node has.
    var isFinished: Bool { get }
    /// The operating system refused a datagram that `nextTransmission(at:)` had returned.
    func sendFailed(_ datagram: Datagram, _ failure: SendFailure, at now: Instant)
    /// A local address came or went, as a link monitor reports it.
    func localAddressChanged(_ change: AddressChange, at now: Instant)
    /// The host was suspended for so long.
    func woke(after sleep: Interval, at now: Instant)
}

extension VirtualNode {
    /// Takes no notice: a node without a path manager.
    public func sendFailed(_ datagram: Datagram, _ failure: SendFailure, at now: Instant) {}
    /// Takes no notice: a node without a link monitor.
    public func localAddressChanged(_ change: AddressChange, at now: Instant) {}
    /// Takes no notice: a node that does not know of sleep.
    public func woke(after sleep: Interval, at now: Instant) {}
}

/// What a link monitor on a virtual host reports; a blackholed link is not reported, as in life.
public enum AddressChange: Hashable, Sendable {
    /// The address is usable: it was added, or its link came up.
    case available(IPAddress)
    /// The address is unusable: its link went down.
    case linkDown(IPAddress)
    /// The address was removed from the host.
    case removed(IPAddress)
}
