import Cryptography
import Primitives
import TLS

@testable import QUIC

/// What a `ConnectionPair` is made from.
struct PairSetup {
    /// The wall clock of both ends.
    static let unixTime: UInt64 = 1_800_000_000
    static let serverName = "server.test"
    static let tokenKey = AddressValidationTokenKey(SecretBytes([UInt8](repeating: 1, count: 32)))
    static let resetKey = StatelessResetKey(SecretBytes([UInt8](repeating: 2, count: 32)))
    /// One key for all tests: making it takes longer than a handshake.
    static let identity = Result { try identity(for: serverName) }

    var seed: UInt64 = 1
    var clientTransport = TransportConfiguration()
    var serverTransport = TransportConfiguration()
    var retry: ServerConfiguration.RetryPolicy?
    /// Which of several workers the server is.
    var place = WorkerPlace(index: 0, of: 1)
    var clientProtocols = ["test"]
    /// The name that the client asks for.
    var expectedName = PairSetup.serverName
    /// What the client trusts instead of the server's certificate.
    var anchors: [Certificate]?
    var configureServer: (inout ServerConfiguration) -> Void = { _ in }
    /// Changes the transport parameters that an end sends, which by then are right.
    var clientTampering: ((inout TransportParameters) -> Void)?
    var serverTampering: ((inout TransportParameters) -> Void)?

    /// Both ends get the same transport configuration.
    mutating func configureTransport(_ body: (inout TransportConfiguration) -> Void) {
        body(&clientTransport)
        body(&serverTransport)
    }

    static func identity(for name: String) throws -> Identity {
        try Identity.generate(
            CertificateTemplate(names: [name], notBefore: 1_700_000_000, notAfter: 1_900_000_000), key: .ed25519)
    }

    private func options(_ protocols: [String]) -> TLSOptions {
        var options = TLSOptions(applicationProtocols: protocols)
        options.verificationTime = Int64(Self.unixTime)
        return options
    }

    func serverTLS() throws -> TLSContext {
        var tls = TLSServerConfiguration(options: options(["test"]), identity: try Self.identity.get())
        tls.ticketSecret = SecretBytes([UInt8](repeating: 7, count: 32))
        return try TLSContext(server: tls)
    }

    func serverConfiguration() throws -> EndpointConfiguration {
        var server = ServerConfiguration(tls: try serverTLS(), tokenKey: Self.tokenKey)
        if let retry { server.retry = retry }
        configureServer(&server)
        return EndpointConfiguration(
            transport: serverTransport, server: server, resetKey: Self.resetKey, place: place)
    }

    var clientConfiguration: EndpointConfiguration {
        EndpointConfiguration(
            transport: clientTransport, resetKey: StatelessResetKey(SecretBytes([UInt8](repeating: 3, count: 32))))
    }

    func clientParameters(from local: NetworkAddress, to remote: NetworkAddress) throws -> ClientParameters {
        let trusted = try anchors ?? [Self.identity.get().certificate]
        let tls = try TLSContext(
            client: TLSClientConfiguration(options: options(clientProtocols), trust: .anchors(trusted)))
        return ClientParameters(remote: remote, local: local, serverName: expectedName, tls: tls)
    }
}

/// Ends that send other transport parameters than their endpoints would have them send.
extension ConnectionPair {
    func replaceClient() throws {
        let original = try clientConnection
        let parameters = try setup.clientParameters(from: Self.clientAddress, to: Self.serverAddress)
        var own = TransportParameters(setup.clientTransport)
        own.initialSourceConnectionID = original.handshakeConnectionID
        setup.clientTampering?(&own)
        var generator = KeyedGenerator(simulationSeed: setup.seed &+ 2)
        let engine = try TLSEngine(
            context: parameters.tls, serverName: parameters.serverName,
            transportParameters: own.encoded(for: .client, using: &generator))
        let connection = Connection(
            ConnectionStart(
                role: .client, handle: clientHandle, version: .v1, configuration: setup.clientTransport,
                local: Self.clientAddress, remote: Self.serverAddress,
                originalDestinationConnectionID: original.originalDestinationConnectionID,
                handshakeConnectionID: original.handshakeConnectionID,
                peerConnectionID: original.originalDestinationConnectionID, token: [], addressValidation: .notNeeded,
                generator: generator),
            tls: engine, identifiers: client.identifiers, at: now)
        client.connections[clientHandle] = connection
        connection.startHandshake(at: now)
    }

    /// Puts a server's connection that has taken in nothing but a first Initial packet back to its start.
    func replaceServer(_ handle: ConnectionHandle) {
        guard let original = server.connection(handle), let tls = try? setup.serverTLS(),
            let first = sent.last(where: { $0.from == .client })?.datagram
        else { return }
        var own = TransportParameters(setup.serverTransport)
        own.originalDestinationConnectionID = original.originalDestinationConnectionID
        own.initialSourceConnectionID = original.handshakeConnectionID
        own.statelessResetToken = server.identifiers.resetToken(for: original.handshakeConnectionID)
        setup.serverTampering?(&own)
        var generator = KeyedGenerator(simulationSeed: setup.seed &+ 3)
        guard
            let engine = try? TLSEngine(
                context: tls, serverName: nil, transportParameters: own.encoded(for: .server, using: &generator))
        else { return }
        let connection = Connection(
            ConnectionStart(
                role: .server, handle: handle, version: .v1, configuration: setup.serverTransport,
                local: Self.serverAddress, remote: Self.clientAddress,
                originalDestinationConnectionID: original.originalDestinationConnectionID,
                handshakeConnectionID: original.handshakeConnectionID,
                peerConnectionID: .empty, token: [], addressValidation: .pending, generator: generator),
            tls: engine, identifiers: server.identifiers, at: now)
        server.connections[handle] = connection
        var bytes = first.bytes
        var span = bytes.mutableSpan
        connection.receive(&span, from: Self.clientAddress, to: Self.serverAddress, ecn: .notCapable, at: now)
    }
}
