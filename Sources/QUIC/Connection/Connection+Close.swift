public import Primitives

extension Connection {
    /// Ends the connection for the application (RFC 9000 §10.2); open streams end with it.
    ///
    /// - Parameters:
    ///   - errorCode: the application protocol's code, below 2^62.
    ///   - reason: one line for the peer's log; cut to what a datagram carries.
    public func close(errorCode: UInt64, reason: String, at now: Instant) {
        guard state.isOpen else { return }
        enterClosing(.application(errorCode: errorCode, reason: reason), at: now)
        end(.closedLocally(errorCode: errorCode))
    }

    /// The peer broke a rule, or TLS failed: says so and ends the connection (RFC 9000 §11.1).
    func fail(_ error: TransportError, at now: Instant) {
        guard state.isOpen else { return }
        enterClosing(.transport(error), at: now)
        end(.failed(error))
    }

    private func enterClosing(_ cause: Closing.Cause, at now: Instant) {
        state = .closing(Closing(cause: cause, until: now + closingPeriod))
        releaseTransferState()
    }

    /// A CONNECTION_CLOSE frame arrived (RFC 9000 §10.2.2): nothing is sent any more.
    func connectionCloseReceived(_ frame: ConnectionCloseFrame, in payload: Span<UInt8>, at now: Instant) {
        switch state {
        case .closed, .draining: return
        case .closing(let closing):
            // RFC 9000 §10.2.2: the draining state ends when the closing state would have ended.
            state = .draining(until: closing.until)
            return
        case .handshaking, .established: state = .draining(until: now + closingPeriod)
        }
        releaseTransferState()
        let reason = printable(payload.extracting(frame.reason))
        switch frame.origin {
        case .transport(let code, let frameType):
            end(.failedByPeer(TransportError(code, frameType: frameType, reason)))
        case .application(let code):
            end(.closedByPeer(errorCode: code, reason: reason))
        }
    }

    /// The peer has lost its state (RFC 9000 §10.3.1): nothing more is sent to it.
    func resetReceived(at now: Instant) {
        guard state.isOpen else { return }
        state = .draining(until: now + closingPeriod)
        releaseTransferState()
        end(.statelessReset)
    }

    /// Ends the connection without a word to the peer: it is gone, or must not learn of it.
    func abandon(_ reason: ConnectionEnd) {
        guard state != .closed else { return }
        let wasOpen = state.isOpen
        state = .closed
        releaseTransferState()
        if wasOpen { end(reason) }
    }

    private func end(_ reason: ConnectionEnd) { events.append(reason) }

    /// RFC 9000 §10.2: the closing and draining periods last three probe timeouts.
    private var closingPeriod: Interval { probeTimeout * 3 }

    private func releaseTransferState() {
        updateLossDeadline()
        pacingDeadline = nil
        handshakeDeadline = nil
        undecryptable.removeAll()
    }

    /// The peer's words, for a log line: what is not printable ASCII is replaced.
    private func printable(_ bytes: Span<UInt8>) -> String {
        var text = ""
        for index in bytes.indices {
            text.unicodeScalars.append((0x20...0x7e).contains(bytes[index]) ? Unicode.Scalar(bytes[index]) : "?")
        }
        return text
    }
}
