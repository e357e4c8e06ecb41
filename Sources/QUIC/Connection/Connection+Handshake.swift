import Cryptography
import Primitives
import TLS

/// The TLS handshake carried in CRYPTO frames (RFC 9001 §4).
extension Connection {
    /// The client's first flight.
    func startHandshake(at now: Instant) {
        do throws(TLSError) {
            try tls.start()
            drainTLS(at: now)
        } catch {
            fail(TransportError(error), at: now)
        }
    }

    func cryptoReceived(
        offset: UInt64, data: Span<UInt8>, in space: PacketSpace, at now: Instant
    ) throws(TransportError) {
        try space.crypto.receive(offset: offset, data: data)
        if let bytes = space.crypto.takeReadable() {
            do throws(TLSError) {
                try tls.receive(bytes.span, at: space.level)
            } catch {
                // What TLS produced before it failed can still be of use to the peer.
                drainTLS(at: now)
                throw TransportError(error)
            }
            drainTLS(at: now)
        }
        // RFC 9001 §4.1.3: nothing follows the end of what a level that TLS has left had to say.
        guard hasLeft(space.level), space.crypto.hasGap else { return }
        throw TransportError(
            .protocolViolation, frameType: FrameType.crypto.rawValue, "handshake data beyond the end of its level")
    }

    private func hasLeft(_ level: EncryptionLevel) -> Bool {
        switch level {
        case .initial: handshake == nil || handshake?.keys.read != nil
        case .handshake: progress >= .complete
        case .oneRTT: false
        }
    }

    private func drainTLS(at now: Instant) {
        while let output = tls.nextOutput() {
            do throws(TransportError) {
                try take(output, at: now)
            } catch {
                fail(error, at: now)
                return
            }
        }
    }

    private func take(_ output: TLSOutput, at now: Instant) throws(TransportError) {
        switch output {
        case .handshakeBytes(let level, let bytes): space(of: level)?.crypto.write(bytes)
        case .secret(let level, let direction, let suite, let secret):
            install(secret, of: suite, level: level, direction: direction)
        case .peerTransportParameters(let bytes): try peerParametersReceived(bytes, at: now)
        case .handshakeComplete(let summary): handshakeCompleted(summary, at: now)
        case .ticket(let ticket): events.append(.sessionTicket(ticket.bytes))
        case .keyLogLine(let line): events.append(.keyLogLine(line))
        }
    }

    private func install(
        _ secret: SecretBytes, of suite: CipherSuite, level: EncryptionLevel, direction: SecretDirection
    ) {
        switch level {
        case .initial: return
        case .handshake:
            switch direction {
            case .read: handshake?.keys.read = OpeningKeys(suite: suite, secret: secret, version: version)
            case .write: handshake?.keys.write = SealingKeys(suite: suite, secret: secret, version: version)
            }
        case .oneRTT:
            switch direction {
            case .read: oneRTTKeys.installOpening(suite: suite, secret: secret, version: version)
            case .write: oneRTTKeys.installSealing(suite: suite, secret: secret, version: version)
            }
        }
    }

    private func peerParametersReceived(_ bytes: [UInt8], at now: Instant) throws(TransportError) {
        let parameters = try TransportParameters(decoding: bytes.span, from: role.peer)
        // RFC 9000 §7.3: the connection IDs that the handshake was made with are authenticated.
        try parameters.checkConnectionIDs(
            against: HandshakeConnectionIDs(
                peerInitialSource: peerHandshakeConnectionID ?? .empty,
                originalDestination: originalDestinationConnectionID, retrySource: retrySourceConnectionID),
            from: role.peer)
        peerParameters = parameters
        if let token = parameters.statelessResetToken { peerConnectionIDs.setResetTokenOfFirst(token) }
        if let preferred = parameters.preferredAddress { try take(preferred) }
        streams.applyPeerLimits(parameters)
        application.loss.maxAckDelay = parameters.maxAckDelay
        if configuration.minimumAckDelay != nil, let minimum = parameters.minAckDelay {
            ackFrequency.announced(minAckDelay: minimum, maxAckDelay: parameters.maxAckDelay)
        }
        limitDatagrams()
    }

    private func take(_ preferred: PreferredAddress) throws(TransportError) {
        do throws(TransportError) {
            try peerConnectionIDs.insert(
                NewConnectionIDFrame(
                    sequence: 1, retirePriorTo: 0, id: preferred.connectionID, resetToken: preferred.statelessResetToken
                ), preferring: activePath.id)
        } catch {
            // RFC 9000 §18.2: a server without connection IDs has no preferred address, and its ID is a new one.
            throw TransportError(.transportParameterError, "preferred_address: \(error.reason)")
        }
    }

    /// The largest datagram that both ends accept.
    var datagramCeiling: Int {
        min(configuration.largestDatagram, Int(clamping: peerParameters?.maxUDPPayloadSize ?? .max))
    }

    private func limitDatagrams() {
        for path in paths.paths { limitDatagrams(on: path) }
    }

    func limitDatagrams(on path: NetworkPath) {
        path.mtu.ceilingChanged(to: min(datagramCeiling, path.interfaceLimit))
    }

    private func handshakeCompleted(_ summary: HandshakeSummary, at now: Instant) {
        handshakeSummary = summary
        state = .established
        progress = .complete
        events.append(.handshakeCompleted)
        replenishConnectionIDs()
        if role == .server {
            // RFC 9001 §4.1.2: for a server, complete is confirmed.
            shouldSendHandshakeDone = true
            tokenToSend = tokenKey?.seal(
                .newToken, for: activePath.remote, unixSeconds: unixTime, using: &generator)
            handshakeConfirmed(at: now)
        }
    }

    func handshakeDoneReceived(at now: Instant) {
        guard role == .client else { return }
        handshakeConfirmed(at: now)
    }

    private func handshakeConfirmed(at now: Instant) {
        guard progress == .complete else { return }
        progress = .confirmed
        // A client whose Finished does not reach the server has no connection yet.
        handshakeDeadline = nil
        oneRTTKeys.handshakeConfirmed()
        tls.releaseHandshake()
        // RFC 9001 §4.9.2: Handshake keys go when the handshake is confirmed.
        discard(.handshake, at: now)
        activePath.validator.markValidated(at: now)
        activePath.amplification.addressValidated()
        events.append(.handshakeConfirmed)
        probePreferredAddress(at: now)
    }

    // MARK: Keys that are no longer needed (RFC 9001 §4.9)

    func discard(_ level: EncryptionLevel, at now: Instant) {
        guard let space = space(of: level) else { return }
        space.loss.discard(paths: paths)
        switch level {
        // The connection ID that the client made up goes on leading here: a late copy of its first packet opens nothing.
        case .initial: initial = nil
        case .handshake: handshake = nil
        case .oneRTT: return
        }
        lossTimer.restartBackoff()
        updateLossDeadline()
    }

    // MARK: Retry and Version Negotiation

    /// RFC 9000 §17.2.5.2: a client takes one Retry, before anything else of the server's, with a valid integrity tag.
    func retryReceived(_ packet: RetryPacket, in datagram: Span<UInt8>, at now: Instant) {
        guard role == .client, state == .handshaking, peerHandshakeConnectionID == nil, retrySourceConnectionID == nil,
            packet.version == version, let space = initial,
            // RFC 9000 §17.2.5.1: a Retry whose connection ID is the one that it answers is discarded.
            packet.sourceConnectionID != originalDestinationConnectionID,
            packet.token.count <= TransportLimits.longestToken,
            RetryIntegrity.isValid(
                datagram.extracting(packet.packet), originalDestination: originalDestinationConnectionID,
                version: version)
        else {
            statistics.packetsDropped += 1
            return
        }
        retrySourceConnectionID = packet.sourceConnectionID
        peerConnectionIDs.replaceFirst(with: packet.sourceConnectionID)
        let token = datagram.extracting(packet.token)
        addressValidationToken = token.indices.map { token[$0] }
        // RFC 9001 §5.2: Initial keys are derived anew from the server's connection ID; packet numbers go on (§17.2.5.3).
        space.keys = InitialSecrets.keys(for: packet.sourceConnectionID, version: version, role: role)
        space.loss.discard(paths: paths)
        space.crypto.sendAgain()
        lossTimer.restartBackoff()
        updateLossDeadline()
    }

    /// RFC 9000 §6.2: a client that is offered none of its versions gives up, unless the server has answered already.
    func versionNegotiationReceived(_ packet: VersionNegotiationPacket) {
        guard role == .client, state == .handshaking, peerHandshakeConnectionID == nil, retrySourceConnectionID == nil,
            packet.destinationConnectionID == handshakeConnectionID,
            packet.sourceConnectionID == originalDestinationConnectionID,
            !packet.supportedVersions.contains(version.number)
        else {
            statistics.packetsDropped += 1
            return
        }
        abandon(.versionNegotiation(offered: packet.supportedVersions.map(\.rawValue)))
    }
}

extension TransportError {
    /// RFC 9001 §4.8: a TLS alert becomes CRYPTO_ERROR; what breaks QUIC's own rules is a violation (§8.3).
    init(_ error: TLSError) {
        let code: TransportErrorCode =
            error.kind == .protocolViolation ? .protocolViolation : .cryptoError(alert: error.alert)
        self.init(code, frameType: FrameType.crypto.rawValue, error.reason)
    }
}
