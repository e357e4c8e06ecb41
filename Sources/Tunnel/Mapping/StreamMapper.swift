/// Follows the HTTP/1.1 exchanges of one tunnel, so that another origin can go on where one has failed.
///
///     [ following ] ──originFailed: .send──► [ splicing ] ──the answer fits──► [ following ]
///           │  │                                  │  └──originFailed: .send──► [ splicing ]
///           │  └──the last response is complete──►│──► [ over ]
///           └──not plain HTTP/1.1, or aborted─────┴──► [ aside ]
///
/// While nothing fails it only looks at what passes, after it has passed: tell it with `requestsPassed` what the origin was
/// given, and with `responsesPassed` what the application was given. It changes nothing and keeps no more than heads. Once it is
/// `.aside` or `.over` both cost nothing.
///
/// When the origin fails, ask `originFailed` for a plan. After `.send`, everything that the new origin sends goes through `splice`, also
/// when it fails in turn and another one follows.
public struct StreamMapper: Hashable, Sendable {
    /// What the mapper does.
    public enum State: Hashable, Sendable {
        /// It follows what passes.
        case following
        /// It joins another origin's answer to the response under way.
        case splicing
        /// The last response that there can be on the application's connection is complete: an origin that took over does not know
        /// that it has to end the connection, so end it when this comes while origins have been changed.
        case over
        /// It follows nothing any more; the reason is a sentence for the log.
        case aside(reason: String)
    }

    /// Bytes in the longest `SplicedPart.framing`: the room that `splice` needs beside that for its input.
    public static let longestFraming = 32

    private var follower: ExchangeFollower?
    private var splicer: ContinuationSplicer?
    private var end = State.over

    /// Creates the mapper of a tunnel through which nothing has passed.
    public init() { follower = ExchangeFollower() }

    /// What it does at present.
    public var state: State {
        guard follower != nil else { return end }
        return splicer == nil ? .following : .splicing
    }

    /// Whether there is a response under way that another origin could go on with: only then is silence a failure, and only while the
    /// application takes what comes.
    public var isStallPossible: Bool {
        guard let body = follower?.responseBody else { return follower?.responseHead.isEmpty == false }
        guard case .continuable = body.response.content else { return false }
        return true
    }

    /// Bytes of the response under way that the application has, without its framing; nil when none is under way. For the log.
    public var offset: UInt64? { follower?.responseBody?.delivered }

    /// Bytes of memory that it holds beside itself.
    public var memory: Int { follower?.memory ?? 0 }

    /// The origin was given these bytes, or the connection to it has taken them.
    public mutating func requestsPassed(_ bytes: Span<UInt8>) {
        do throws(MappingFault) {
            try follower?.requestsPassed(bytes)
        } catch {
            stepAside(error.reason)
        }
    }

    /// The application was given these bytes, or the tunnel to it has taken them. Not for those that `splice` returned.
    public mutating func responsesPassed(_ bytes: Span<UInt8>) { _ = follow(bytes) }

    /// Returns how many of the bytes are for the application: all, unless the last response ends before.
    private mutating func follow(_ bytes: Span<UInt8>) -> Int {
        do throws(MappingFault) {
            guard let count = try follower?.responsesPassed(bytes), follower?.isOver == true else { return bytes.count }
            follower = nil
            splicer = nil
            end = .over
            return count
        } catch {
            stepAside(error.reason)
            return bytes.count
        }
    }

    private mutating func stepAside(_ reason: String) {
        follower = nil
        splicer = nil
        end = .aside(reason: reason)
    }
}

// MARK: - Going on elsewhere

extension StreamMapper {
    /// The connection to the origin, whichever it is by now, is of no use any more.
    public mutating func originFailed(_ failure: OriginFailure) -> ContinuationPlan {
        // The end of a connection may be that of a response, but not of one that began on another connection.
        let failure = failure == .ended && splicer != nil ? .reset : failure
        do throws(MappingFault) {
            guard let continuation = try follower?.continuation(after: failure) else { return .unchanged }
            splicer = continuation.splicer
            return .send(continuation.requests)
        } catch {
            let reason = "the response cannot be continued: \(error.reason)"
            stepAside(reason)
            return .abort(reason: reason)
        }
    }

    /// What the application gets next of `input`, which another origin sent, from `position` on.
    ///
    /// Call it until it returns nil: then the input is used up. Each part counts as given to the application at once, so that it
    /// has to get there before anything else. After `.abort` nothing more may be given to it.
    public mutating func splice(
        _ input: Span<UInt8>, at position: inout Int
    ) throws(ContinuationFailure) -> SplicedPart? {
        while let step = try nextStep(input, at: &position) {
            switch step {
            case .verified(let part): follower?.learn(part)
            case .content(let range):
                try given(input.extracting(range))
                return .content(range)
            case .framing(let bytes):
                try given(bytes.span)
                return .framing(bytes)
            }
        }
        guard splicer == nil, position < input.count else { return nil }
        let start = position
        position = input.count
        // Behind the last response nothing is for the application, such as the end of the new origin's own framing.
        guard state != .over else { return nil }
        return .content(start..<(start + follow(input.extracting(start..<input.count))))
    }

    /// The application got bytes of a response that is being continued; it cannot be left half-way.
    private mutating func given(_ bytes: Span<UInt8>) throws(ContinuationFailure) {
        responsesPassed(bytes)
        if case .aside(let reason) = state { throw .abort(reason: "the response cannot be continued: \(reason)") }
    }

    private mutating func nextStep(
        _ input: Span<UInt8>, at position: inout Int
    ) throws(ContinuationFailure) -> ContinuationSplicer.Step? {
        do throws(ContinuationFailure) {
            let step = try splicer?.next(input, at: &position)
            if splicer?.isFinished == true { splicer = nil }
            return step
        } catch {
            if case .abort(let reason) = error { stepAside(reason) }
            throw error
        }
    }
}
