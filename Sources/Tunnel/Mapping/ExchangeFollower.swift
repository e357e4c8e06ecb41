import DequeModule

/// Follows the requests and responses of one TCP connection (RFC 9112), as the application sends and gets them.
///
/// What it knows depends on these bytes only, not on the origins that they come from: a response that was continued, and how
/// often, makes no difference to it.
struct ExchangeFollower: Hashable, Sendable {
    /// Requests that wait for their answers. Bounds memory; who sends more is not followed any more.
    static let mostOutstanding = 256
    /// Bytes in the heads of those that could be sent again. Bounds memory.
    static let mostRetained = 64 << 10
    /// Bytes in interim responses before one response. Bounds memory.
    static let mostInterim = 16 << 10

    /// The request head that is coming.
    var requestHead = HeadCollector()
    /// The request body that is coming; nil between two requests.
    var requestBody: BodyReader?
    /// Requests in order, the first one being answered.
    var outstanding: Deque<MappedRequest> = []
    /// Bytes in their heads.
    private(set) var retained = 0
    /// The response head that is coming.
    var responseHead = HeadCollector()
    /// Interim responses that came before it.
    var interim: [UInt8] = []
    /// The response whose body is coming.
    var responseBody: ResponseBody?
    /// The last response that there can be on this connection is complete.
    private(set) var isOver = false
    /// Continuations since something came of it, see `ContinuationBudget`.
    var budget = ContinuationBudget()

    /// A response whose head is complete.
    struct ResponseBody: Hashable, Sendable {
        var response: MappedResponse
        var reader: BodyReader
        /// Bytes of its content that the application has.
        var delivered: UInt64 = 0

        init(_ response: MappedResponse) {
            self.response = response
            reader = BodyReader(response.framing)
        }

        /// Bytes of content that are still to come, where that is known.
        var left: UInt64? {
            guard case .continuable(let part) = response.content, let last = part.last else { return nil }
            let count = last - part.first + 1
            return count - min(delivered, count)
        }

        var isComplete: Bool { reader.isFinished || reader.state == .untilClose && left == 0 }
    }

    /// Bytes of memory beside the value itself.
    var memory: Int { requestHead.bytes.count + retained + responseHead.bytes.count + interim.count }
}

// MARK: - Requests

extension ExchangeFollower {
    mutating func requestsPassed(_ input: Span<UInt8>) throws(MappingFault) {
        var position = 0
        while position < input.count, !isOver {
            if requestBody != nil {
                _ = try requestBody?.next(input, at: &position, atMost: .max)
                if requestBody?.isFinished == true { requestBody = nil }
            } else if try requestHead.take(input, at: &position) {
                try requestHeadPassed()
            }
        }
    }

    private mutating func requestHeadPassed() throws(MappingFault) {
        let request = try MappedRequest(requestHead.bytes)
        requestHead = HeadCollector()
        guard outstanding.count < Self.mostOutstanding, retained + request.head.count <= Self.mostRetained else {
            throw MappingFault("more requests wait for an answer than are remembered")
        }
        outstanding.append(request)
        retained += request.head.count
        let body = BodyReader(request.framing)
        requestBody = body.isFinished ? nil : body
    }
}

// MARK: - Responses

extension ExchangeFollower {
    /// Returns how many of the bytes belong to responses: all, unless it `isOver` before.
    mutating func responsesPassed(_ input: Span<UInt8>) throws(MappingFault) -> Int {
        var position = 0
        budget.passed(input.count)
        while position < input.count, !isOver {
            guard let request = outstanding.first else {
                throw MappingFault("the origin sends what no request asked for")
            }
            if responseBody != nil {
                try bodyPassed(input, at: &position)
            } else if try responseHead.take(input, at: &position) {
                try responseHeadPassed(request)
            }
        }
        return position
    }

    private mutating func bodyPassed(_ input: Span<UInt8>, at position: inout Int) throws(MappingFault) {
        let most = responseBody?.reader.state == .untilClose ? responseBody?.left ?? .max : .max
        let content = try responseBody?.reader.next(input, at: &position, atMost: most)
        responseBody?.delivered += UInt64(content?.count ?? 0)
        responseEndedIfComplete()
    }

    private mutating func responseHeadPassed(_ request: MappedRequest) throws(MappingFault) {
        let head = responseHead.bytes
        let response = try MappedResponse(head, to: request)
        responseHead = HeadCollector()
        guard !response.isInterim else {
            guard response.status != 101 else { throw MappingFault("the connection changes to another protocol (101)") }
            guard interim.count + head.count <= Self.mostInterim else {
                throw MappingFault("too many interim responses")
            }
            interim += head
            return
        }
        interim = []
        responseBody = ResponseBody(response)
        responseEndedIfComplete()
    }

    private mutating func responseEndedIfComplete() {
        guard responseBody?.isComplete == true, let body = responseBody, let request = outstanding.popFirst() else {
            return
        }
        responseBody = nil
        retained -= request.head.count
        budget.responseEnded()
        if body.response.persistence == .closes { isOver = true }
    }
}
