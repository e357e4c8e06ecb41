internal import CEvent
public import Primitives

/// One name that is being resolved.
@safe
public final class Resolution: TimerHandler {
    /// The name as it was asked for.
    public let name: String

    private let loop: EventLoop
    private let started: Instant
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
        started = loop.now
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

    /// libevent tries again when a server fails and calls the end of it a timeout. One that comes before the first time
    /// limit has passed is none.
    fileprivate var errorForSilence: ResolutionError {
        guard let resolver, loop.now - started < resolver.configuration.attemptTimeout else { return .timedOut(name) }
        return .serverFailure(name, reason: "the server failed (SERVFAIL)")
    }

    fileprivate func enterTurn() { loop.enterTurn() }
}

@available(*, unavailable)
extension Resolution: Sendable {}

/// One question to the name servers. libevent answers every question once, also a cancelled one.
@safe
private final class Query {
    let family: IPAddress.Family
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
        unsafe request = gw_dns_query(
            base, Int32(family.rawValue), owner.name, queryAnswered, context.toOpaque())
        // Without a request there is no call: the resolution's time limit answers.
        if unsafe request == nil { unsafe context.release() }
    }

    func cancel() {
        owner = nil
        guard let request = unsafe request else { return }
        unsafe self.request = nil
        unsafe gw_dns_cancel(base, request)
    }

    func answered(_ result: Int, reason: String, addresses: UnsafeRawBufferPointer) {
        unsafe request = nil
        guard let owner else { return }
        owner.enterTurn()
        let name = owner.name
        switch result {
        case GW_DNS_OK:
            let size = family == .ipv4 ? 4 : 16
            let found = (0..<addresses.count / size).compactMap { index in
                unsafe IPAddress(bytes: addresses[index * size..<(index + 1) * size])
            }
            owner.answered(family, .success(found))
        case GW_DNS_NO_ADDRESS: owner.answered(family, .success([]))
        case GW_DNS_NO_SUCH_NAME: owner.answered(family, .failure(.nameNotFound(name)))
        case GW_DNS_TIMED_OUT: owner.answered(family, .failure(owner.errorForSilence))
        default: owner.answered(family, .failure(.serverFailure(name, reason: reason)))
        }
    }
}

private func queryAnswered(
    _ result: Int32, _ reason: UnsafePointer<CChar>?, _ count: Int32, _ addresses: UnsafeRawPointer?,
    _ context: UnsafeMutableRawPointer?
) {
    guard let context = unsafe context else { return }
    // Takes over the reference that was retained for this one call.
    let query = unsafe Unmanaged<Query>.fromOpaque(context).takeRetainedValue()
    let size = query.family == .ipv4 ? 4 : 16
    // libevent hands over `count` addresses without gaps, and a static text.
    unsafe query.answered(
        Int(result), reason: reason.map { unsafe String(cString: $0) } ?? "",
        addresses: UnsafeRawBufferPointer(start: addresses, count: Int(count) * size))
}
