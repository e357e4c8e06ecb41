import QUIC

// Settings, shutdown and the other business of the control streams (RFC 9114 §5.2, §6.2.1, §7.2).
extension HTTP3Connection {
    /// Opens the control stream with SETTINGS as its first frame (RFC 9114 §6.2.1). QPACK streams are not opened: with a
    /// table of capacity 0 there would be nothing to say on them (RFC 9204 §4.2).
    func openControlStream() {
        guard controlStream == nil, state == .open, let id = connection.openStream(.unidirectional) else { return }
        controlStream = id
        connection.setUrgency(.control, of: id)
        var settings = Settings()
        settings.maximumFieldSectionSize = UInt64(configuration.maximumFieldSectionSize)
        if role == .server {
            settings.extendedConnect = configuration.extendedConnect
            settings.tunnelResumptionOnly = configuration.tunnelResumptionOnly
        }
        settings.datagrams = configuration.datagrams
        var bytes: [UInt8] = []
        bytes.appendVarint(UnidirectionalStreamType.control.rawValue)
        bytes += FrameType.settings.frame(settings.encoded(greaseSeed: configuration.greaseSeed))
        connection.write(bytes.span, to: id)
    }

    /// Follows a frame of the peer's control stream.
    func controlFrameReceived(_ part: FramePart) throws(HTTP3Error) {
        // RFC 9114 §6.2.1: the first frame is SETTINGS.
        guard peerSettings != nil || part.isSettings else {
            throw HTTP3Error(.missingSettings, "the control stream does not begin with SETTINGS")
        }
        switch part {
        case .settings(let payload):
            // RFC 9114 §7.2.4: SETTINGS comes once.
            guard peerSettings == nil else { throw HTTP3Error(.frameUnexpected, "SETTINGS came twice") }
            let settings = try Settings(decoding: payload.span)
            peerSettings = settings
            events.append(.settingsReceived(settings))
        case .goAway(let identifier):
            try goAwayReceived(identifier)
        case .maxPushID(let identifier):
            // RFC 9114 §7.2.7: the maximum cannot be reduced.
            if let maximumPushID, identifier < maximumPushID {
                throw HTTP3Error(.idError, "MAX_PUSH_ID was reduced")
            }
            maximumPushID = identifier
        case .cancelPush:
            // RFC 9114 §7.2.3: beyond what is allowed for a client, never promised for a server.
            throw HTTP3Error(.idError, "CANCEL_PUSH for a push that was never promised")
        case .data, .headers:
            throw HTTP3Error(.frameUnexpected, "a message frame on the control stream")
        }
    }

    private func goAwayReceived(_ identifier: UInt64) throws(HTTP3Error) {
        // RFC 9114 §5.2: the identifier never grows.
        if let receivedGoAway, identifier > receivedGoAway { throw HTTP3Error(.idError, "a GOAWAY that takes back") }
        let id = StreamID(rawValue: identifier)
        if role == .client {
            // RFC 9114 §7.2.6: a client gets the ID of a request stream.
            guard id.initiator == .client, id.direction == .bidirectional else {
                throw HTTP3Error(.idError, "a GOAWAY with an ID that no request has")
            }
        }
        receivedGoAway = identifier
        if role == .client { events.append(.goingAway(firstUnprocessed: id)) }
    }

    /// Whether the peer has said that it is going away.
    public var isPeerGoingAway: Bool { receivedGoAway != nil }

    /// Begins a graceful shutdown: requests that came are finished, later ones rejected (RFC 9114 §5.2).
    public func goAway() {
        guard state == .open, let controlStream else { return }
        // A server names the first request it will not process, a client the first push: none.
        let identifier =
            role == .server
            ? StreamID(initiator: .client, direction: .bidirectional, index: nextPeerRequest).rawValue : 0
        guard sentGoAway.map({ identifier < $0 }) ?? true else { return }
        sentGoAway = identifier
        var payload: [UInt8] = []
        payload.appendVarint(identifier)
        connection.write(FrameType.goAway.frame(payload).span, to: controlStream)
    }

    /// RFC 9297 §2.1: no datagram has a use here yet; one that names no possible stream is an error, all others are dropped.
    func datagramReceived(_ bytes: Span<UInt8>) throws(HTTP3Error) {
        var position = 0
        var varint = VarintDecoder()
        guard let quarter = varint.decode(bytes, at: &position), quarter < 1 << 60 else {
            throw HTTP3Error(.datagramError, "a datagram without a stream")
        }
    }
}

extension FramePart {
    fileprivate var isSettings: Bool {
        guard case .settings = self else { return false }
        return true
    }
}
