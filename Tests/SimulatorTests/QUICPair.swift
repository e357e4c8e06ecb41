import Cryptography
import Primitives
import QUIC
import Simulator

/// What a scenario's client and server are made of, where it differs from the defaults.
struct QUICOptions {
    var client = TransportConfiguration()
    var server = TransportConfiguration()
    var credentials: QUICCredentials?
    /// Where the client's first link leads.
    var upstream = VirtualNetwork.Upstream.internet
    /// The server's link, in both directions.
    var serverLink = LinkConditions.ideal
    var changeServer: (inout ServerConfiguration) -> Void = { _ in }
    var changeParameters: (inout ClientParameters) -> Void = { _ in }

    /// Sets the same on both ends.
    mutating func both(_ change: (inout TransportConfiguration) -> Void) {
        change(&client)
        change(&server)
    }
}

extension QUICOptions {
    /// Windows of about one bandwidth-delay product: the links are filled, their queues never overflow, and what a scenario
    /// sees is not an effect of congestion.
    static func steady(_ options: inout QUICOptions) {
        options.both {
            $0.streams.initialStreamWindow = .kibibytes(300)
            $0.streams.maximumStreamWindow = .kibibytes(300)
        }
    }
}

/// A QUIC client and a server on a stage.
struct QUICPair {
    static let clientAddress = Addresses.client
    static let serverAddress = Addresses.server

    let stage: Stage
    let client: QUICNode
    let server: QUICNode
    let clientPlace: Stage.Place
    let serverPlace: Stage.Place
    let credentials: QUICCredentials
    let options: QUICOptions

    /// The client's link.
    var link: VirtualNetwork.LinkID { clientPlace.link }

    /// A server like the one that was there, with nothing in memory.
    func freshServer(_ serve: @escaping () -> [any QUICApplication] = { [] }) -> QUICNode {
        QUICNode(
            serving: QUICPair.serverConfiguration(options, credentials), seed: stage.network.seed &+ 77, serve)
    }

    static func serverConfiguration(_ options: QUICOptions, _ credentials: QUICCredentials) -> EndpointConfiguration {
        var configuration = ServerConfiguration(
            tls: credentials.serverContext,
            tokenKey: AddressValidationTokenKey(SecretBytes([UInt8](repeating: 1, count: 32))))
        options.changeServer(&configuration)
        return EndpointConfiguration(
            transport: options.server, server: configuration,
            resetKey: StatelessResetKey(SecretBytes([UInt8](repeating: 2, count: 32))))
    }

    static func clientConfiguration(_ options: QUICOptions) -> EndpointConfiguration {
        EndpointConfiguration(
            transport: options.client, resetKey: StatelessResetKey(SecretBytes([UInt8](repeating: 3, count: 32))))
    }

    static func parameters(_ options: QUICOptions, _ credentials: QUICCredentials) -> ClientParameters {
        var parameters = ClientParameters(
            remote: serverAddress, local: clientAddress, serverName: QUICCredentials.serverName,
            tls: credentials.clientContext)
        options.changeParameters(&parameters)
        return parameters
    }
}

extension Stage {
    /// Puts a client and a server onto the stage, joined by a link at the client's side.
    func quic(
        over outbound: LinkConditions, inbound: LinkConditions? = nil, client: [any QUICApplication],
        server: @escaping () -> [any QUICApplication], _ change: (inout QUICOptions) -> Void = { _ in }
    ) throws -> QUICPair {
        var options = QUICOptions()
        change(&options)
        let credentials = try options.credentials ?? QUICCredentials.standard()
        let clientNode = try QUICNode(
            connecting: QUICPair.parameters(options, credentials), QUICPair.clientConfiguration(options),
            seed: network.seed &* 2, running: client)
        let serverNode = QUICNode(
            serving: QUICPair.serverConfiguration(options, credentials), seed: network.seed &* 2 &+ 1, server)
        let clientPlace = host(
            "client", running: clientNode, at: QUICPair.clientAddress.ip, to: options.upstream, outbound,
            inbound: inbound)
        let serverPlace = host(
            "server", running: serverNode, at: QUICPair.serverAddress.ip, options.serverLink)
        return QUICPair(
            stage: self, client: clientNode, server: serverNode, clientPlace: clientPlace, serverPlace: serverPlace,
            credentials: credentials, options: options)
    }
}
