public import Primitives
public import QUIC

/// What the owner of a `PathPolicy` is to do, in this order.
public enum PathAction: Equatable, Sendable {
    /// Bind a socket to this address and, where permitted, its interface; answer `socketOpened` or `socketFailed`.
    case openSocket(LinkAddress)
    /// Close the socket that is bound to this address: the address is gone, or the path is given up.
    case closeSocket(NetworkAddress)
    /// `Connection.addLocalAddress`: a standby that is validated at once.
    case add(NetworkAddress)
    /// `Connection.probe`: a PATH_CHALLENGE on this path now.
    case probe(NetworkAddress)
    /// `Connection.ping`: asks a peer whose data stopped for a sign of life.
    case ping
    /// `Connection.activate`.
    case activate(NetworkAddress, Handover.Reason)
    /// `Connection.removeLocalAddress`.
    case remove(NetworkAddress)
    /// `Connection.setKeepAlive`.
    case keepAlive(Connection.KeepAlive)
    /// No path answers, or the machine slept: open a fresh connection in parallel and keep the one that answers first.
    case raceConnection(Handover.Reason)
    /// A handover is over and its stall known: for the log and the status.
    case handedOver(Handover)
}

/// One change of the active path, as the log and the status tell it.
public struct Handover: Hashable, Sendable {
    /// Why a connection left its path.
    public enum Reason: String, Hashable, Sendable, CaseIterable {
        /// The interface went down, or went away.
        case linkDown
        /// The address went away; the interface has another one.
        case addressChanged
        /// The system refused to send from the address.
        case writeError
        /// Nothing was heard on the path any more.
        case silence
        /// The path still worked, but far worse than before and than another one.
        case degraded
        /// A better-ranked path has proven itself.
        case returned
        /// The user asked for it.
        case manual
        /// The machine slept.
        case wake

        /// Whether the path left behind had failed, or might have.
        var isForced: Bool {
            switch self {
            case .linkDown, .addressChanged, .writeError, .silence, .wake: true
            case .degraded, .returned, .manual: false
            }
        }
    }

    /// One end of a handover.
    public struct Place: Hashable, Sendable {
        /// The local address.
        public var local: NetworkAddress
        /// The interface; nil for a socket that is bound to none.
        public var interface: String?

        /// Creates a place.
        public init(_ local: NetworkAddress, interface: String?) {
            self.local = local
            self.interface = interface
        }
    }

    /// When the new path was activated.
    public var at: Instant
    /// Why.
    public var reason: Reason
    /// The path left behind.
    public var from: Place
    /// The new path.
    public var to: Place
    /// From the last datagram that arrived before, or from the first one that got no answer, to the first one that arrived
    /// on the new path; nil when none came before the next handover.
    public var stall: Interval?

    /// Creates a record.
    public init(at: Instant, reason: Reason, from: Place, to: Place, stall: Interval? = nil) {
        self.at = at
        self.reason = reason
        self.from = from
        self.to = to
        self.stall = stall
    }
}

/// Why a command of the user cannot be carried out.
public enum PathRequestError: Error, Hashable, Sendable, CustomStringConvertible {
    /// There is no connection whose paths could be changed.
    case notConnected
    /// No interface of this machine has the address.
    case unknownAddress(IPAddress)
    /// The interface of the address is down, or the address is not ready.
    case unusable(IPAddress, interface: String)
    /// The gateway has no address that can be reached from there.
    case unreachable(IPAddress)
    /// It is the last path.
    case lastPath(IPAddress)

    public var description: String {
        switch self {
        case .notConnected: "there is no connection to the gateway; paths can be changed once it is up"
        case .unknownAddress(let address):
            "no interface has the address \(address); `godwit paths list` shows those that are there"
        case .unusable(let address, let interface):
            "\(address) cannot be used: \(interface) is down or the address is not ready yet; bring it up and try again"
        case .unreachable(let address):
            "the gateway cannot be reached from \(address): it has no address of that kind; use another address"
        case .lastPath(let address):
            "\(address) is the only path to the gateway; add another one before removing it"
        }
    }
}
