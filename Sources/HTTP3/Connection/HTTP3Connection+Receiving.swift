public import Primitives
public import QUIC

/// What is left of a stream's content after some was read.
public enum ContentState: Hashable, Sendable {
    /// More may come, or the reader took less than it was given.
    case open
    /// All content was read and the message ended cleanly.
    case ended
    /// The stream or the connection is gone; the events say why.
    case gone
}

// Heads and content of messages (RFC 9114 §4.1).
extension HTTP3Connection {
    /// Reads what a request stream has: heads are decoded here, content stays until it is asked for.
    func requestReadable(_ id: StreamID) throws(HTTP3Error) {
        guard let request = requests[id] else { return }
        while request.receiving == .head {
            guard let section = try nextHeaders(request, id) else { break }
            try headReceived(section, request, id)
            guard requests[id] != nil else { return }
        }
        switch request.receiving {
        case .head:
            guard connection.isFinishedReading(id) else { return }
            try endedInHead(request, id)
        case .content, .tunnel, .trailers:
            guard connection.readableBytes(on: id) > 0 || connection.isFinishedReading(id) else { return }
            switch request.reader {
            case .user: events.append(.contentReadable(id))
            case .nobody: _ = try readContent(request, id) { $0.count }
            }
        case .ended:
            break
        }
    }

    /// Reads up to the end of the next HEADERS frame and not a byte further; nil when it is not complete.
    private func nextHeaders(_ request: RequestStream, _ id: StreamID) throws(HTTP3Error) -> [UInt8]? {
        var outcome: Result<[UInt8]?, HTTP3Error> = .success(nil)
        let count = connection.withReadableBytes(on: id) { first, second in
            var total = 0
            for part in 0..<2 {
                let span = part == 0 ? first : second
                var position = 0
                do throws(HTTP3Error) {
                    switch try request.decoder.next(span, at: &position) {
                    case .headers(let section): outcome = .success(section)
                    case nil: break
                    case .data, .settings, .goAway, .cancelPush, .maxPushID:
                        // RFC 9114 §4.1: DATA before HEADERS is invalid.
                        throw HTTP3Error(.frameUnexpected, "DATA before HEADERS")
                    }
                } catch {
                    outcome = .failure(error)
                }
                total += position
                if case .success(nil) = outcome { continue }
                break
            }
            return total
        }
        connection.consume(count, from: id)
        return try outcome.get()
    }

    /// RFC 9114 §4.1: a stream that ends before there is a message.
    private func endedInHead(_ request: RequestStream, _ id: StreamID) throws(HTTP3Error) {
        guard request.decoder.isAtFrameBoundary else { throw HTTP3Error(.frameError, "a stream ends inside a frame") }
        request.receiving = .ended
        abortForFault(id, role == .server ? .requestIncomplete : .messageError)
    }

    private func headReceived(_ section: [UInt8], _ request: RequestStream, _ id: StreamID) throws(HTTP3Error) {
        guard request.receiving.onHeaders == .head else {
            throw HTTP3Error(.frameUnexpected, "HEADERS where none may come")
        }
        if let received = receivedRequest, received.section == section {
            return requestReceived(received.head, request, id)
        }
        let decoded = try FieldSectionDecoder.decode(section.span, limit: configuration.maximumFieldSectionSize)
        guard case .fields(let lines) = decoded else {
            headTooLarge(request, id)
            return
        }
        do throws(MalformedMessage) {
            switch role {
            case .server:
                let head = try RequestHead(validating: lines)
                receivedRequest = (section, head)
                requestReceived(head, request, id)
            case .client:
                let head = try ResponseHead(validating: lines)
                if !head.isInterim {
                    request.receiving = request.kind == .connect && head.isSuccessful ? .tunnel : .content
                }
                events.append(.response(id, head))
            }
        } catch {
            // RFC 9114 §4.1.2: malformed messages are stream errors.
            abortForFault(id, .messageError)
        }
    }

    private func requestReceived(_ head: RequestHead, _ request: RequestStream, _ id: StreamID) {
        request.kind = head.kind
        request.receiving = request.kind == .connect ? .tunnel : .content
        events.append(.request(id, head))
    }

    /// RFC 9114 §4.2.2: a server may say 431; a client drops what it cannot process.
    private func headTooLarge(_ request: RequestStream, _ id: StreamID) {
        guard role == .server else {
            abortForFault(id, .requestCancelled)
            return
        }
        respond(ResponseHead(status: 431), on: id, .end)
        stopReading(id, .noError)
    }

    /// Shows `body` the content that has arrived, piece by piece; it tells how many bytes of each piece it took. A piece that
    /// it did not take whole ends the call, and the rest comes again next time. What was taken gives credit back to the
    /// sender.
    public func readContent(of id: StreamID, at now: Instant, _ body: (Span<UInt8>) -> Int) -> ContentState {
        guard let request = requests[id], request.receiving != .ended, request.receiving != .head else { return .gone }
        do throws(HTTP3Error) {
            return try readContent(request, id, body)
        } catch {
            fail(error, at: now)
            return .gone
        }
    }

    /// From here on content is dropped as it comes; only a violation of the rules still matters. Unlike `stopReading`, it
    /// lets the peer finish.
    public func discardContent(of id: StreamID) {
        guard let request = requests[id], request.receiving != .ended else { return }
        request.reader = .nobody
        do throws(HTTP3Error) {
            try requestReadable(id)
        } catch {
            fail(error, at: latest)
        }
    }

    private func readContent(
        _ request: RequestStream, _ id: StreamID, _ body: (Span<UInt8>) -> Int
    ) throws(HTTP3Error) -> ContentState {
        var outcome: Result<Pace, HTTP3Error> = .success(.more)
        let count = connection.withReadableBytes(on: id) { first, second in
            var total = 0
            for part in 0..<2 {
                let span = part == 0 ? first : second
                var position = 0
                do throws(HTTP3Error) {
                    let pace = try readContent(span, at: &position, request, body)
                    outcome = .success(pace)
                } catch {
                    outcome = .failure(error)
                }
                total += position
                guard case .success(.more) = outcome else { break }
            }
            return total
        }
        connection.consume(count, from: id)
        return try contentState(after: try outcome.get(), request, id)
    }

    /// Whether the reader wants more at once.
    private enum Pace {
        case more
        case enough
        case malformed
    }

    private func readContent(
        _ span: Span<UInt8>, at position: inout Int, _ request: RequestStream, _ body: (Span<UInt8>) -> Int
    ) throws(HTTP3Error) -> Pace {
        while let part = try request.decoder.next(span, at: &position) {
            switch part {
            case .data(let range):
                guard request.receiving.onData == .content else {
                    throw HTTP3Error(.frameUnexpected, "DATA after the trailers")
                }
                let taken = max(0, min(range.count, body(span.extracting(range))))
                guard taken == range.count else {
                    request.decoder.putBack(range.count - taken)
                    position -= range.count - taken
                    return .enough
                }
            case .headers(let section):
                guard request.receiving.onHeaders == .trailers else {
                    throw HTTP3Error(.frameUnexpected, "HEADERS where none may come")
                }
                request.receiving = .trailers
                guard try areTrailersValid(section) else { return .malformed }
            case .settings, .goAway, .cancelPush, .maxPushID:
                throw HTTP3Error(.frameUnexpected, "a control frame on a request stream")
            }
        }
        return .more
    }

    /// Trailers have no use here, but must be well formed (RFC 9114 §4.3).
    private func areTrailersValid(_ section: [UInt8]) throws(HTTP3Error) -> Bool {
        let decoded = try FieldSectionDecoder.decode(section.span, limit: configuration.maximumFieldSectionSize)
        guard case .fields(let lines) = decoded else { return false }
        do throws(MalformedMessage) {
            try PseudoFields.checkTrailers(lines)
            return true
        } catch {
            return false
        }
    }

    private func contentState(
        after pace: Pace, _ request: RequestStream, _ id: StreamID
    ) throws(HTTP3Error) -> ContentState {
        guard pace != .malformed else {
            abortForFault(id, .messageError)
            return .gone
        }
        guard pace == .more, connection.isFinishedReading(id) else { return .open }
        // RFC 9114 §7.1: a stream must not end inside a frame.
        guard request.decoder.isAtFrameBoundary else { throw HTTP3Error(.frameError, "a stream ends inside a frame") }
        request.receiving = .ended
        forgetIfOver(request, id)
        return .ended
    }
}
