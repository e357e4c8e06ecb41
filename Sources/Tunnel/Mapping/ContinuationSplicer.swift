/// Joins another origin's answer to what the application has got: yields exactly the bytes that come next, or fails.
///
///     [ repeating ] ──the answer begins like the one that broke──────────────────► [ finished ]
///     [ continuing ] ──206 of the right part of the same version──► [ joining ] ──► [ finished ]
///                 └──same framing by length: the rest is as it was──────────────────►
///
/// Once it is finished, everything else that the origin sends is for the application as it is.
struct ContinuationSplicer: Hashable, Sendable {
    enum State: Hashable, Sendable {
        /// The request was sent again: its answer has to begin with these bytes, which the application has.
        case repeating([UInt8])
        /// The rest of a response was asked for: its head is awaited.
        case continuing(Expectation)
        /// Its content is coming.
        case joining
        case finished
    }

    /// What the answer has to be.
    struct Expectation: Hashable, Sendable {
        let request: MappedRequest
        let part: RepresentationPart
        /// The byte of the representation that the application gets next.
        let first: UInt64
        let framing: RemainingFraming
    }

    /// What there is for the application, or to be known.
    enum Step: Hashable {
        case content(Range<Int>)
        case framing([UInt8])
        /// The answer is the right one, and says so much of its content.
        case verified(RepresentationPart)
    }

    /// Interim responses before an answer, which the application must not see in the middle of another one. Bounds the wait.
    static let mostInterim = 16

    private var state: State
    /// The head of the answer.
    private var head = HeadCollector()
    private var interims = 0
    /// Bytes of the repeated beginning that were compared.
    private var compared = 0
    /// Finds the content in the answer's own framing.
    private var reader = BodyReader(.none)
    /// How the application has to get it: what is left of that.
    private var segments: [ContentSegment] = []

    init(_ state: State) {
        if case .repeating(let begun) = state, begun.isEmpty {
            self.state = .finished
        } else {
            self.state = state
        }
    }

    var isFinished: Bool { state == .finished }

    /// Takes bytes of `input` from `position` on until there is something to say; nil when the input is used up or this is finished.
    mutating func next(
        _ input: Span<UInt8>, at position: inout Int
    ) throws(ContinuationFailure) -> Step? {
        switch state {
        case .finished: return nil
        case .repeating(let begun):
            try compare(begun, input, at: &position)
            return nil
        case .continuing(let expectation):
            while case .continuing = state, position < input.count {
                if let step = try collect(expectation, input, at: &position) { return step }
            }
            return nil
        case .joining:
            return try join(input, at: &position)
        }
    }

    private mutating func compare(
        _ begun: [UInt8], _ input: Span<UInt8>, at position: inout Int
    ) throws(ContinuationFailure) {
        while position < input.count, compared < begun.count {
            guard input[position] == begun[compared] else {
                throw .abort(
                    reason:
                        "the response cannot be continued: the other origin's answer begins differently from the one of which "
                        + "the application has \(begun.count) bytes")
            }
            position += 1
            compared += 1
        }
        if compared == begun.count { state = .finished }
    }
}

// MARK: - The head of the answer

extension ContinuationSplicer {
    private mutating func collect(
        _ expectation: Expectation, _ input: Span<UInt8>, at position: inout Int
    ) throws(ContinuationFailure) -> Step? {
        do throws(MappingFault) {
            guard try head.take(input, at: &position) else { return nil }
        } catch {
            throw Self.malformed(error)
        }
        let response: MappedResponse
        do throws(MappingFault) {
            response = try MappedResponse(head.bytes, to: expectation.request.asRanged)
        } catch {
            throw Self.malformed(error)
        }
        guard response.isInterim else { return try answered(response, expectation) }
        interims += 1
        guard response.status != 101, interims <= Self.mostInterim else {
            throw .abort(reason: "the response cannot be continued: the other origin does not come to its answer")
        }
        head = HeadCollector()
        return nil
    }

    private mutating func answered(
        _ response: MappedResponse, _ expectation: Expectation
    ) throws(ContinuationFailure) -> Step {
        head = HeadCollector()
        // RFC 9110 §15.6: an origin that is overloaded or whose own servers are gone; another one may do better.
        guard !(500...599).contains(response.status) else {
            throw .unavailable(reason: "the other origin answered with status \(response.status)")
        }
        // RFC 9110 §13.1.5: 200 means another version, or an origin that knows no ranges.
        guard response.status == 206 else {
            throw .abort(
                reason:
                    "the response cannot be continued: the other origin answered with status \(response.status) where it was "
                    + "asked for a part of the same version (If-Range)")
        }
        let part: RepresentationPart
        switch response.content {
        case .notContinuable(let reason): throw Self.otherPart(reason)
        case .continuable(let answer):
            if let reason = expectation.part.mismatch(of: answer, at: expectation.first) {
                throw Self.otherPart(reason)
            }
            part = answer
        }
        guard let last = part.last else { throw Self.otherPart("its end is unknown") }
        let content = last - expectation.first + 1
        guard expectation.framing != .plain || response.framing != .length(content) else {
            state = .finished
            return .verified(part)
        }
        do throws(MappingFault) {
            segments = try expectation.framing.segments(for: content)
        } catch {
            throw Self.otherPart(error.reason)
        }
        reader = BodyReader(response.framing)
        state = .joining
        return .verified(part)
    }

    private static func malformed(_ fault: MappingFault) -> ContinuationFailure {
        .abort(reason: "the response cannot be continued: the other origin's answer is malformed: \(fault.reason)")
    }

    private static func otherPart(_ reason: String) -> ContinuationFailure {
        .abort(reason: "the response cannot be continued: the other origin's part does not fit, because \(reason)")
    }
}

// MARK: - Its content

extension ContinuationSplicer {
    private mutating func join(
        _ input: Span<UInt8>, at position: inout Int
    ) throws(ContinuationFailure) -> Step? {
        while let segment = segments.first, segment.content == 0 {
            segments.removeFirst()
            if !segment.closing.isEmpty { return .framing(segment.closing) }
        }
        let content: Range<Int>?
        do throws(MappingFault) {
            content = try reader.next(input, at: &position, atMost: segments.first?.content ?? 0)
        } catch {
            throw Self.malformed(error)
        }
        guard let content else {
            guard reader.isFinished else { return nil }
            guard segments.isEmpty else { throw Self.otherPart("it is shorter than its Content-Range") }
            state = .finished
            return nil
        }
        guard !content.isEmpty, !segments.isEmpty else { throw Self.otherPart("it is longer than its Content-Range") }
        segments[0].content -= UInt64(content.count)
        return .content(content)
    }
}
