import EventLoop
import Glibc
import Primitives
import Tunnel

// MARK: - From the origin

extension OriginPassage {
    func read(into ring: ByteRing) -> ByteStream.ReadOutcome {
        guard let side else { return Self.broken }
        switch stage {
        case .between: return .wouldBlock
        case .over: return .endOfStream
        case .broken: return Self.broken
        case .connected: break
        }
        let outcome = isExchanged && mapper != nil ? readSpliced(side, ring) : readFollowed(side, ring)
        switch outcome {
        case .bytes:
            watchForStall()
            return outcome
        case .wouldBlock: return outcome
        case .endOfStream: return lost(.ended, or: outcome)
        case .failed: return lost(.reset, or: outcome)
        }
    }

    /// What the mover is told that has read an end or an error.
    private func lost(
        _ cause: OriginFailure, or outcome: ByteStream.ReadOutcome
    ) -> ByteStream.ReadOutcome {
        switch lose(cause) {
        case .unchanged:
            // It is passed on: nothing can be made of what may still happen to the connection.
            mapper = nil
            return outcome
        case .aborted: return Self.broken
        case .exchanging: return .wouldBlock
        }
    }

    private static var broken: ByteStream.ReadOutcome { .failed(.brokenPassage) }

    private func readFollowed(_ side: TunnelSide, _ ring: ByteRing) -> ByteStream.ReadOutcome {
        let start = ring.end
        let outcome = side.stream.read(into: ring)
        guard case .bytes = outcome else { return outcome }
        bytesCame()
        guard mapper != nil else { return outcome }
        ring.withReadableRegions(start..<ring.end) { first, second in
            mapper?.responsesPassed(first)
            if !second.isEmpty { mapper?.responsesPassed(second) }
        }
        dropMapperIfDone()
        return outcome
    }

    private func readSpliced(_ side: TunnelSide, _ ring: ByteRing) -> ByteStream.ReadOutcome {
        let room = ring.freeSpace - StreamMapper.longestFraming
        guard room > 0 else { return .wouldBlock }
        var buffer = spliced ?? [UInt8](repeating: 0, count: Self.splicedReadSize)
        spliced = nil
        defer { if mapper != nil { spliced = buffer } }
        var region = buffer.mutableSpan
        let outcome: ByteStream.ReadOutcome
        do {
            var part = region._mutatingExtracting(0..<min(room, region.count))
            outcome = side.stream.read(into: &part)
        }
        guard case .bytes(let count) = outcome else { return outcome }
        do throws(ContinuationFailure) {
            if try splice(buffer.span.extracting(0..<count), ring) { bytesCame() } else { waitingSince = loop.now }
        } catch {
            switch error {
            // The same as a dead origin: another one may do better.
            case .unavailable: return lost(.declaredDead, or: Self.broken)
            case .abort(let reason):
                mapper = nil
                leave(.failed)
                owner?.passage(self, gaveUp: reason)
                return Self.broken
            }
        }
        dropMapperIfDone()
        return outcome
    }

    /// Puts what the application gets next into the ring; whether that is anything.
    private func splice(_ input: Span<UInt8>, _ ring: ByteRing) throws(ContinuationFailure) -> Bool {
        var position = 0
        let start = ring.end
        while let part = try mapper?.splice(input, at: &position) {
            switch part {
            case .content(let range): _ = ring.append(input.extracting(range))
            case .framing(let bytes): _ = ring.append(bytes.span)
            }
        }
        return ring.end > start
    }

    private func bytesCame() {
        latest = loop.now
        waitingSince = latest
        if !failedOrigins.isEmpty { failedOrigins = [] }
        guard let gap else { return }
        self.gap = nil
        owner?.passage(
            self,
            wentOn: OriginFailover(
                from: gap.from, to: origin, cause: gap.cause, offset: gap.offset, gap: latest - gap.since))
    }

    private func dropMapperIfDone() {
        switch mapper?.state {
        case .following, .splicing, nil: break
        case .aside: mapper = nil
        // The origin that took over does not know that it has to end the connection.
        case .over: isExchanged ? end(.over) : (mapper = nil)
        }
    }
}

// MARK: - To the origin

extension OriginPassage {
    func write(_ bytes: Span<UInt8>, before following: ByteStream.Following) -> ByteStream.WriteOutcome {
        guard let side else { return .failed(.brokenPassage) }
        switch stage {
        case .over: return .bytes(bytes.count)
        case .broken: return .failed(.brokenPassage)
        case .between: return .wouldBlock
        case .connected: break
        }
        guard outbound.isEmpty else { return .wouldBlock }
        let outcome = side.stream.write(bytes, before: following)
        switch outcome {
        case .bytes(let count):
            mapper?.requestsPassed(bytes.extracting(0..<count))
            dropMapperIfDone()
            return outcome
        case .wouldBlock: return outcome
        case .failed(let error):
            switch lose(.reset) {
            case .unchanged: return outcome
            case .aborted: return .failed(error)
            case .exchanging: return .wouldBlock
            }
        }
    }

    func finishWriting() {
        hasFinished = true
        finishStream()
    }

    private func finishStream() {
        guard hasFinished, stage == .connected, outbound.isEmpty, let side else { return }
        do throws(SystemError) {
            try side.stream.shutdownWrite()
        } catch {
            streamBroken()
        }
    }

    func streamWritable() {
        guard let side else { return }
        guard outbound.isEmpty else { return flush() }
        side.mover?.writable(side)
    }

    /// Writes what the new origin gets first, then has the mover go on.
    func flush() {
        while !outbound.isEmpty, let side {
            let next = outbound
            switch side.stream.write(next.span) {
            case .bytes(let count): outbound.removeFirst(count)
            case .wouldBlock: return
            case .failed: return streamBroken()
            }
        }
        finishStream()
        if let side, stage == .connected { side.mover?.writable(side) }
    }

    func streamBroken() {
        guard let side, stage == .connected else { return }
        switch lose(.reset) {
        case .unchanged, .aborted: side.mover?.failed(side)
        case .exchanging: break
        }
    }
}

extension SystemError {
    /// What reading and writing says of a side that its passage has given up.
    fileprivate static var brokenPassage: SystemError { SystemError(.read, code: EPROTO) }
}
