internal import CEvent
public import Primitives

/// One name that is being resolved.
@safe
public final class Resolution: TimerHandler {
    /// The name as it was asked for.
    public let name: String

    private let loop: EventLoop
    // Both are let go when the last answer has been delivered.
    private var resolver: Resolver?
    private var handler: (any ResolutionHandler)?
    private var timer: TimerHandle?
    private var known: Result<[IPAddress], ResolutionError>?
    private var queries: [Query] = []
    private var unanswered: [IPAddress.Family] = [.ipv6, .ipv4]

    init(_ name: String, resolver: Resolver, handler: any ResolutionHandler) {
        self.name = name
        self.resolver = resolver
        self.handler = handler
        loop = resolver.loop
    }

    /// Gives it up; the handler hears nothing more.
    public func cancel() {
        guard let resolver else { return }
        stop()
        resolver.finished(self)
    }

    func start(known: Result<[IPAddress], ResolutionError>?) {
        guard let resolver else { return }
        self.known = known
        let timer = loop.addTimer(self)
        self.timer = timer
        // A known answer is delivered by the timer, too, so that no handler is called before `resolve` has returned.
        loop.arm(timer, at: known == nil ? loop.now + resolver.configuration.timeout : loop.now)
        if known == nil { queries = unanswered.map { unsafe Query($0, of: self, base: resolver.base) } }
    }

    func stop() {
        handler = nil
        resolver = nil
        if let timer { loop.removeTimer(timer) }
        timer = nil
        for query in queries { query.cancel() }
        queries = []
    }

    /// For the loop: the time is up, or the answer was known from the start.
    public func timerFired(_ timer: TimerHandle, at now: Instant) {
        let result = known ?? .failure(.timedOut(name))
        for family in unanswered { answered(family, result.map { $0.filter { $0.family == family } }) }
    }

    fileprivate func answered(_ family: IPAddress.Family, _ result: Result<[IPAddress], ResolutionError>) {
        guard let handler, let resolver, let index = unanswered.firstIndex(of: family) else { return }
        unanswered.remove(at: index)
        if unanswered.isEmpty {
            stop()
            resolver.finished(self)
        }
        handler.resolution(self, of: family, answered: result)
    }

    fileprivate func enterTurn() { loop.enterTurn() }
}

@available(*, unavailable)
extension Resolution: Sendable {}

/// One question to the name servers. libevent answers every question once, also a cancelled one.
@safe
private final class Query {
    private let family: IPAddress.Family
    private var owner: Resolution?
    /// The `evdns_request`; libevent frees it when it has called back.
    private var request: OpaquePointer?
    private var base: OpaquePointer?

    init(_ family: IPAddress.Family, of owner: Resolution, base: OpaquePointer?) {
        self.family = family
        self.owner = owner
        unsafe self.base = base
        // Retained until libevent has called back.
        let context = unsafe Unmanaged.passRetained(self)
        // The name is copied.
        switch family {
        case .ipv4: unsafe request = evdns_base_resolve_ipv4(base, owner.name, 0, queryAnswered, context.toOpaque())
        case .ipv6: unsafe request = evdns_base_resolve_ipv6(base, owner.name, 0, queryAnswered, context.toOpaque())
        }
        // Without a request there is no call: the resolution's time limit answers.
        if unsafe request == nil { unsafe context.release() }
    }

    func cancel() {
        owner = nil
        guard let request = unsafe request else { return }
        unsafe self.request = nil
        unsafe evdns_cancel_request(base, request)
    }

    func answered(code: Int32, addresses: UnsafeMutableRawPointer?, count: Int) {
        unsafe request = nil
        guard let owner else { return }
        owner.enterTurn()
        unsafe owner.answered(family, result(code: code, addresses: addresses, count: count, name: owner.name))
    }

    private func result(
        code: Int32, addresses: UnsafeMutableRawPointer?, count: Int, name: String
    ) -> Result<[IPAddress], ResolutionError> {
        switch code {
        case DNS_ERR_NONE:
            let size = family == .ipv4 ? 4 : 16
            // libevent hands over `count` addresses in network order, without gaps.
            let bytes = unsafe UnsafeRawBufferPointer(start: addresses, count: addresses == nil ? 0 : count * size)
            return .success(
                (0..<bytes.count / size).compactMap { index in
                    unsafe IPAddress(bytes: bytes[index * size..<(index + 1) * size])
                })
        case DNS_ERR_NODATA: return .success([])
        case DNS_ERR_NOTEXIST: return .failure(.nameNotFound(name))
        case DNS_ERR_TIMEOUT: return .failure(.timedOut(name))
        default:
            let reason = unsafe String(cString: evdns_err_to_string(code))  // a static string of libevent
            return .failure(.serverFailure(name, reason: reason))
        }
    }
}

private func queryAnswered(
    _ code: Int32, _: CChar, _ count: Int32, _: Int32, _ addresses: UnsafeMutableRawPointer?,
    _ context: UnsafeMutableRawPointer?
) {
    guard let context = unsafe context else { return }
    // Takes over the reference that was retained for this one call.
    let query = unsafe Unmanaged<Query>.fromOpaque(context).takeRetainedValue()
    unsafe query.answered(code: code, addresses: addresses, count: Int(max(0, count)))
}
