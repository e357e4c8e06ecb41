/// What may leave a second time while the first packet with it is still in flight.
extension LossDetector {
    /// Appends the frames of the `count` oldest ack-eliciting packets in flight, which a probe may repeat
    /// (RFC 9002 §6.2.4). The packets stay in flight: a probe timeout does not make them lost.
    func framesOfOldest(_ count: Int, into frames: inout [SentFrame]) {
        var left = count
        var number = ledger.first
        while left > 0, let found = ledger.nextOutstanding(from: number, through: .max) {
            number = found + 1
            guard ledger[found].kind.isAckEliciting else { continue }
            ledger.frames(of: found).forEach { frames.append($0) }
            left -= 1
        }
    }

    /// Appends the oldest frames in flight of each of the first `streams` streams, up to about `bytes` of each: what its
    /// reader waits for, however much another stream has in flight before it.
    func headsOfStreams(_ streams: Int, bytes: Int, into frames: inout [SentFrame]) {
        var left: [StreamID: Int] = [:]
        var number = ledger.first
        while let found = ledger.nextOutstanding(from: number, through: .max) {
            number = found + 1
            guard ledger[found].kind.isAckEliciting else { continue }
            ledger.frames(of: found).forEach { frame in
                guard case .stream(let id, _, let length, _) = frame else { return }
                let known = left[id]
                guard known != nil || left.count < streams, known ?? bytes > 0 else { return }
                left[id] = (known ?? bytes) - length
                frames.append(frame)
            }
        }
    }

    /// Appends the frames in flight that open flow-control windows: without them a peer that did not get them stops.
    func windowFramesInFlight(into frames: inout [SentFrame]) {
        var number = ledger.first
        while let found = ledger.nextOutstanding(from: number, through: .max) {
            number = found + 1
            guard ledger[found].kind.isAckEliciting else { continue }
            ledger.frames(of: found).forEach { frame in
                switch frame {
                case .maxData, .maxStreamData, .maxStreams: frames.append(frame)
                case .crypto, .stream, .resetStream, .stopSending, .newConnectionID, .retireConnectionID, .newToken,
                    .handshakeDone, .pathChallenge, .datagram, .dataBlocked, .streamDataBlocked, .streamsBlocked,
                    .ackFrequency:
                    break
                }
            }
        }
    }
}
