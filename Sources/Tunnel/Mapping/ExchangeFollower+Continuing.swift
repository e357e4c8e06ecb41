/// What another origin is sent, and how its answer is joined to what the application has.
struct Continuation: Hashable, Sendable {
    /// Requests, whole or begun, that the new origin gets first; then comes what the application sends from now on.
    let requests: [UInt8]
    let splicer: ContinuationSplicer
}

extension ExchangeFollower {
    /// How to go on after the origin failed; nil when nothing is missing, or when it is better to wait.
    mutating func continuation(after failure: OriginFailure) throws(MappingFault) -> Continuation? {
        guard let request = outstanding.first else { return try continuationBetweenRequests() }
        if let body = responseBody {
            return try continuation(after: failure, of: body, to: request)
        }
        let begun = interim + responseHead.bytes
        // An answer may take its time; only one that has begun is known to be late.
        guard failure != .stalled || !begun.isEmpty else { return nil }
        return try begin(requests(from: 0), .repeating(begun))
    }

    /// No response is owed: only a request that has begun is of interest.
    private mutating func continuationBetweenRequests() throws(MappingFault) -> Continuation? {
        guard requestBody == nil, !requestHead.isEmpty else { return nil }
        return try begin(requestHead.bytes, .repeating([]))
    }

    private mutating func continuation(
        after failure: OriginFailure, of body: ResponseBody, to request: MappedRequest
    ) throws(MappingFault) -> Continuation? {
        // RFC 9112 §6.3: without a length the connection's end is the end of the body.
        if failure == .ended, body.reader.state == .untilClose, body.left == nil { return nil }
        guard case .continuable(let part) = body.response.content else {
            // It may be slow for good reasons, and nothing would be better elsewhere.
            if failure == .stalled { return nil }
            throw MappingFault(body.response.content.reason)
        }
        guard body.left != 0 else { throw MappingFault("only the end of its framing is missing") }
        let (first, overflow) = part.first.addingReportingOverflow(body.delivered)
        guard !overflow else { throw MappingFault("it is too long") }
        let framing = try RemainingFraming(body.reader.state)
        var requests = try request.continuing(from: first, to: part.last, part.validator)
        // Behind a response that closes the connection no other is expected.
        if body.response.persistence == .keepsOpen { requests += try self.requests(from: 1) }
        return try begin(requests, .continuing(.init(request: request, part: part, first: first, framing: framing)))
    }

    private mutating func begin(
        _ requests: [UInt8], _ state: ContinuationSplicer.State
    ) throws(MappingFault) -> Continuation {
        guard budget.spend() else {
            throw MappingFault("\(ContinuationBudget.mostAttempts) attempts in a row came to nothing")
        }
        return Continuation(requests: requests, splicer: ContinuationSplicer(state))
    }

    /// The requests from one of those outstanding on, and the one that has begun.
    private func requests(from index: Int) throws(MappingFault) -> [UInt8] {
        var bytes: [UInt8] = []
        for request in outstanding.dropFirst(index) {
            guard request.isRepeatable else {
                throw MappingFault("a request that must not be sent twice was not answered")
            }
            bytes += request.head
        }
        return bytes + requestHead.bytes
    }
}

extension MappedResponse.Content {
    /// Why another origin cannot go on with it.
    fileprivate var reason: String {
        switch self {
        case .continuable: "it is complete"
        case .notContinuable(let reason): reason
        }
    }
}

extension ExchangeFollower {
    /// The answer of another origin has told where the content under way ends.
    mutating func learn(_ answer: RepresentationPart) {
        guard case .continuable(var part) = responseBody?.response.content else { return }
        part.last = answer.last
        part.completeLength = answer.completeLength
        responseBody?.response.content = .continuable(part)
    }
}
