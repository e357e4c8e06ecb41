import Primitives
import TLS

/// A client's first Initial packet (RFC 9000 §5.2.2, §8.1).
extension Endpoint {
    func accept(
        _ header: LongHeader, _ datagram: inout MutableSpan<UInt8>, _ arrival: Arrival, at now: Instant
    ) -> ReceiveOutcome {
        guard let server = configuration.server else { return .dropped }
        // RFC 9000 §14.1: a datagram with an Initial packet has at least 1,200 bytes; §7.2: the ID at least 8.
        guard datagram.count >= TransportLimits.minimumDatagramSize, header.destinationConnectionID.count >= 8 else {
            return .dropped
        }
        switch admit(header, datagram.span.extracting(header.token), arrival, server, at: now) {
        case .refuse(let code): return refuse(header, with: code, arrival)
        case .retry: return sendRetry(header, arrival, server)
        case .drop: return .dropped
        case .accept(let start):
            return open(header, start, &datagram, arrival, server, at: now)
        }
    }

    /// How the first packet of a client is answered.
    private enum Answer {
        case accept(AcceptedAddress)
        case retry
        case refuse(TransportErrorCode)
        case drop
    }

    /// What a token said.
    private struct AcceptedAddress {
        var originalDestinationConnectionID: ConnectionID
        var retrySourceConnectionID: ConnectionID?
        var validation: ConnectionStart.AddressValidation
    }

    private func admit(
        _ header: LongHeader, _ token: Span<UInt8>, _ arrival: Arrival, _ server: ServerConfiguration, at now: Instant
    ) -> Answer {
        guard acceptance == .open, connections.count < server.maximumConnections else {
            return .refuse(.connectionRefused)
        }
        if !token.isEmpty, let answer = answer(toToken: token, header, arrival, server, at: now) { return answer }
        switch server.retry {
        case .always: return .retry
        case .aboveHandshakes(let limit):
            if handshaking.count >= limit { return .retry }
        }
        switch handshakeRate.unprovenBegan(from: arrival.remote.ip, at: now) {
        case .welcome: break
        case .needsProof, .excessive: return .retry
        }
        return .accept(
            AcceptedAddress(originalDestinationConnectionID: header.destinationConnectionID, validation: .pending))
    }

    /// What a token leads to; nil when it is as good as none.
    private func answer(
        toToken token: Span<UInt8>, _ header: LongHeader, _ arrival: Arrival, _ server: ServerConfiguration,
        at now: Instant
    ) -> Answer? {
        let retrySource: ConnectionID?
        let originalDestination: ConnectionID
        switch server.tokenKey.open(token, from: arrival.remote, unixSeconds: unixTime) {
        case .valid(.retry(let original, let source)):
            guard source == header.destinationConnectionID else { return .refuse(.invalidToken) }
            (originalDestination, retrySource) = (original, source)
        case .valid(.newToken):
            (originalDestination, retrySource) = (header.destinationConnectionID, nil)
        // RFC 9000 §8.1.2: a bad Retry token ends the attempt at once; any other is as good as none (§8.1.3).
        case .expired(.retry), .wrongAddress(.retry): return .refuse(.invalidToken)
        case .expired(.newToken), .wrongAddress(.newToken), .garbage: return nil
        }
        switch handshakeRate.provenBegan(from: arrival.remote.ip, at: now) {
        case .welcome: break
        case .needsProof, .excessive: return .drop
        }
        return .accept(
            AcceptedAddress(
                originalDestinationConnectionID: originalDestination, retrySourceConnectionID: retrySource,
                validation: .done))
    }

    private func open(
        _ header: LongHeader, _ address: AcceptedAddress, _ datagram: inout MutableSpan<UInt8>, _ arrival: Arrival,
        _ server: ServerConfiguration, at now: Instant
    ) -> ReceiveOutcome {
        let handle = takeHandle()
        let (source, resetToken) = identifiers.issue(for: handle, using: &generator)
        var own = TransportParameters(configuration.transport)
        own.originalDestinationConnectionID = address.originalDestinationConnectionID
        own.initialSourceConnectionID = source
        own.retrySourceConnectionID = address.retrySourceConnectionID
        own.statelessResetToken = resetToken
        var preferredID: ConnectionID?
        let preferredIPv4 = server.preferredIPv4 ?? (arrival.local.ip.family == .ipv6 ? server.alternativeIPv4 : nil)
        let preferredIPv6 = server.preferredIPv6 ?? (arrival.local.ip.family == .ipv4 ? server.alternativeIPv6 : nil)
        if preferredIPv4 != nil || preferredIPv6 != nil {
            let (id, token) = identifiers.issue(for: handle, using: &generator)
            preferredID = id
            own.preferredAddress = PreferredAddress(
                ipv4: preferredIPv4, ipv6: preferredIPv6, connectionID: id, statelessResetToken: token)
        }
        let engine: TLSEngine
        do throws(TLSError) {
            engine = try TLSEngine(
                context: server.tls, serverName: nil,
                transportParameters: own.encoded(for: .server, using: &generator), ticket: nil)
        } catch {
            for id in [source, preferredID].compactMap({ $0 }) { identifiers.retire(id, of: handle) }
            return refuse(header, with: .internalError, arrival)
        }
        var start = ConnectionStart(
            role: .server, handle: handle, version: header.version, configuration: configuration.transport,
            local: arrival.local, remote: arrival.remote,
            originalDestinationConnectionID: header.destinationConnectionID, handshakeConnectionID: source,
            peerConnectionID: header.sourceConnectionID, token: [], addressValidation: address.validation,
            generator: fork())
        start.preferredConnectionID = preferredID
        start.tokenKey = server.tokenKey
        let connection = Connection(start, tls: engine, identifiers: identifiers, at: now)
        connection.retrySourceConnectionID = address.retrySourceConnectionID
        identifiers.add(header.destinationConnectionID, for: handle)
        connections[handle] = connection
        handshaking.insert(handle)
        connection.unixTime = unixTime
        connection.receive(&datagram, from: arrival.remote, to: arrival.local, ecn: arrival.ecn, at: now)
        // RFC 9000 §5.2: what does not authenticate opens nothing.
        guard connection.hasReceivedAnything else {
            remove(handle)
            return .dropped
        }
        return .accepted(handle)
    }
}
