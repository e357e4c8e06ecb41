import Cryptography
import Primitives

/// What a connection starts from.
struct ConnectionStart {
    /// What a server knows of its client's address.
    enum AddressValidation: Equatable {
        /// Nothing: the anti-amplification limit holds.
        case pending
        /// A token proved it.
        case done
        /// This end is the client.
        case notNeeded
    }

    var role: Role
    var handle: ConnectionHandle
    var version: Version
    var configuration: TransportConfiguration
    var local: NetworkAddress
    var remote: NetworkAddress
    /// The Destination Connection ID of the Initial packet that this connection begins with.
    var originalDestinationConnectionID: ConnectionID
    /// The Source Connection ID of this end.
    var handshakeConnectionID: ConnectionID
    /// What packets to the peer are addressed to at first.
    var peerConnectionID: ConnectionID
    /// Goes into Initial packets.
    var token: [UInt8]
    var addressValidation: AddressValidation
    var generator: KeyedGenerator
    /// The connection ID of a server's preferred address.
    var preferredConnectionID: ConnectionID?
    /// Seals the token of the NEW_TOKEN frame.
    var tokenKey: AddressValidationTokenKey?
}
