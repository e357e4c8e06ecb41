public import EventLoop
public import Primitives
public import Tunnel

/// What becomes of a tunnel whose origin can be exchanged.
public protocol OriginPassageOwner: AnyObject {
    /// The origin is of no use any more, and the connection to it was given up: end the tunnel's protection, connect to another
    /// origin, and then call `goOn` or `giveUp`.
    func passageNeedsOrigin(_ passage: OriginPassage)
    /// The connection to an origin is no longer used.
    func passage(_ passage: OriginPassage, left origin: HostPort, _ ending: OriginPassage.Ending)
    /// The application gets bytes of another origin.
    func passage(_ passage: OriginPassage, wentOn failover: OriginFailover)
    /// The application's connection is reset; the reason is a sentence for the log.
    func passage(_ passage: OriginPassage, gaveUp reason: String)
    /// The tunnel needs no origin any more.
    func passageClosed(_ passage: OriginPassage)
}

/// A download that went on with another origin.
public struct OriginFailover: Hashable, Sendable {
    /// The origin that failed.
    public var from: HostPort
    /// The origin that goes on.
    public var to: HostPort
    /// What happened to the first one.
    public var cause: OriginFailure
    /// Bytes of the response under way that the application had; nil when none was.
    public var offset: UInt64?
    /// From the last byte of the one, or the failure where no answer had begun, to the first byte of the other.
    public var gap: Interval
}

/// Lets a tunnel's side at a gateway be one origin after another, as its `StreamMapper` says.
///
///     [ connected ] ──failure: .send──► [ between ] ──goOn──► [ connected ]
///          │  └──failure: .abort, or giveUp──► [ broken ]
///          └──the last response is complete, or nothing is owed by a dead origin──► [ over ]
///
/// While nothing fails bytes go straight from the stream into the tunnel's ring, where the mapper sees them. After an exchange
/// they take the way through the mapper.
public final class OriginPassage {
    enum Stage: Hashable {
        case connected
        /// The owner is opening a connection.
        case between
        /// The application is told that nothing follows; what it sends is dropped.
        case over
        /// The application's connection is to be reset.
        case broken
    }

    /// How a connection to an origin ended.
    public enum Ending: Hashable, Sendable {
        /// As far as is known in order.
        case ended
        /// It broke before what it was for was done.
        case failed
    }

    /// A failure after which no byte has come yet.
    struct Gap: Sendable {
        var from: HostPort
        var cause: OriginFailure
        var offset: UInt64?
        var since: Instant
    }

    /// Bytes that are read at once when they are spliced.
    static let splicedReadSize = 64 << 10

    /// Where the tunnel leads: the name, not the origin behind it.
    public let destination: Destination
    /// The tunnel's name where it can be resumed.
    public let name: ResumptionID?
    /// The origin at present.
    public private(set) var origin: HostPort
    private let stallLimit: Interval
    let loop: EventLoop
    weak var side: TunnelSide?
    weak var owner: (any OriginPassageOwner)?
    var stage = Stage.connected
    /// nil when nothing is to be followed any more.
    var mapper: StreamMapper?
    /// Whether the stream is not the first one any more.
    var isExchanged = false
    /// Whether the owner counts the connection.
    private var isCounted = true
    /// What the new origin is to get before anything else.
    var outbound = PendingBytes()
    /// Memory to read into while bytes are spliced; nil until then.
    var spliced: [UInt8]?
    /// Whether the application has ended its direction.
    var hasFinished = false
    var gap: Gap?
    /// The origins that have failed since bytes came, in order.
    public internal(set) var failedOrigins: [HostPort] = []
    /// When the latest bytes came, and since when the origin is waited for.
    var latest: Instant
    var waitingSince: Instant
    private var stallTimer: TimerHandle?
    private var isStallWatched = false
    private var wakeTimer: TimerHandle?

    /// Puts a passage before a side whose stream is a new connection to `origin`.
    public init(
        _ side: TunnelSide, to destination: Destination, at origin: HostPort, name: ResumptionID?, stallLimit: Interval,
        owner: any OriginPassageOwner, on loop: EventLoop
    ) {
        self.side = side
        self.destination = destination
        self.origin = origin
        self.name = name
        self.stallLimit = stallLimit
        self.owner = owner
        self.loop = loop
        mapper = StreamMapper()
        latest = loop.now
        waitingSince = loop.now
        side.passage = self
    }

    /// What goes on in another loop.
    public struct Remains: Sendable {
        /// Where the tunnel leads.
        public let destination: Destination
        /// The tunnel's name.
        public let name: ResumptionID?
        let origin: HostPort
        let stallLimit: Interval
        let stage: Stage
        let mapper: StreamMapper?
        let isExchanged: Bool
        let isCounted: Bool
        let outbound: [UInt8]
        let hasFinished: Bool
        let gap: Gap?
        let failedOrigins: [HostPort]
        let latest: Instant
    }

    /// Puts a passage of another loop before the side that came with it.
    public init(_ remains: Remains, _ side: TunnelSide, owner: any OriginPassageOwner, on loop: EventLoop) {
        self.side = side
        destination = remains.destination
        origin = remains.origin
        name = remains.name
        stallLimit = remains.stallLimit
        self.owner = owner
        self.loop = loop
        stage = remains.stage
        mapper = remains.mapper
        isExchanged = remains.isExchanged
        isCounted = remains.isCounted
        outbound = PendingBytes(remains.outbound)
        hasFinished = remains.hasFinished
        gap = remains.gap
        failedOrigins = remains.failedOrigins
        latest = remains.latest
        waitingSince = loop.now
        side.passage = self
        if !outbound.isEmpty { wake() }
    }

    var isBetweenOrigins: Bool { stage == .between }

    /// Whether the tunnel's bytes are others than those of the present stream.
    var isAltering: Bool { isExchanged }
    var isOver: Bool { stage == .over || stage == .broken }
    var leastRoom: Int { isExchanged && mapper != nil ? StreamMapper.longestFraming + 1 : 1 }
}

// MARK: - Failures

extension OriginPassage {
    enum Loss {
        /// As it would be without a mapper.
        case unchanged
        case aborted
        case exchanging
    }

    func lose(_ cause: OriginFailure) -> Loss {
        let offset = mapper?.offset
        guard stage == .connected, let plan = mapper?.originFailed(cause) else { return .unchanged }
        switch plan {
        case .unchanged: return .unchanged
        case .abort(let reason):
            mapper = nil
            leave(.failed)
            owner?.passage(self, gaveUp: reason)
            return .aborted
        case .send(let bytes):
            if gap == nil {
                let since = offset == nil ? loop.now : latest
                gap = Gap(from: origin, cause: cause, offset: offset, since: since)
            }
            failedOrigins.append(origin)
            stage = .between
            isExchanged = true
            outbound = PendingBytes(bytes)
            side?.stream.abort()
            leave(.failed)
            owner?.passageNeedsOrigin(self)
            return .exchanging
        }
    }

    func leave(_ ending: Ending) {
        guard isCounted else { return }
        isCounted = false
        owner?.passage(self, left: origin, ending)
    }

    /// Somebody who watches the origin says that it is dead. Tunnels of which nothing is known are left alone: they may know better.
    public func originDied() {
        guard stage == .connected, mapper != nil else { return }
        switch lose(.declaredDead) {
        case .unchanged: end(.over)
        case .aborted: end(.broken)
        case .exchanging: break
        }
    }

    /// Goes on with a connection to another origin.
    public func goOn(with stream: ByteStream, at origin: HostPort) {
        guard stage == .between, let side else { return stream.abort() }
        stage = .connected
        self.origin = origin
        isCounted = true
        waitingSince = loop.now
        side.exchange(for: stream)
        flush()
    }

    /// There is no other origin: the application's connection is reset.
    public func giveUp(_ reason: String) {
        guard stage == .between else { return }
        owner?.passage(self, gaveUp: reason)
        end(.broken)
    }

    func end(_ end: Stage) {
        stage = end
        mapper = nil
        side?.readStream()
        wake()
    }
}

// MARK: - Time

extension OriginPassage: TimerHandler {
    func readingChanged() {
        guard side?.isReading == true else { return }
        waitingSince = loop.now
        if isOver { wake() } else { watchForStall() }
    }

    /// Silence counts only while an answer is due that another origin could go on with, and while the application takes what comes.
    private var isStallPossible: Bool {
        stage == .connected && side?.isReading == true && mapper?.isStallPossible == true
    }

    func watchForStall() {
        guard !isStallWatched, isStallPossible else { return }
        let timer = stallTimer ?? loop.addTimer(self)
        stallTimer = timer
        isStallWatched = true
        loop.arm(timer, at: waitingSince + stallLimit)
    }

    /// Has the mover look at the side though its stream has nothing to say, once the present call is over.
    private func wake() {
        let timer = wakeTimer ?? loop.addTimer(self)
        wakeTimer = timer
        loop.arm(timer, at: loop.now)
    }

    /// For the loop.
    public func timerFired(_ timer: TimerHandle, at now: Instant) {
        if timer == wakeTimer { return woken() }
        isStallWatched = false
        guard isStallPossible else { return }
        guard waitingSince + stallLimit <= now else { return watchForStall() }
        switch lose(.stalled) {
        case .unchanged:
            waitingSince = now
            watchForStall()
        case .aborted: end(.broken)
        case .exchanging: break
        }
    }

    private func woken() {
        guard let side else { return }
        switch stage {
        case .connected: flush()
        case .between: break
        case .over: if side.isReading { side.mover?.readable(side) }
        case .broken: side.mover?.failed(side)
        }
    }
}

extension OriginPassage: SidePassage {
    func surrender() -> Remains? {
        removeTimers()
        owner?.passageClosed(self)
        return Remains(
            destination: destination, name: name, origin: origin, stallLimit: stallLimit, stage: stage, mapper: mapper,
            isExchanged: isExchanged, isCounted: isCounted, outbound: outbound.remaining, hasFinished: hasFinished,
            gap: gap, failedOrigins: failedOrigins, latest: latest)
    }

    func sideClosed() {
        stage = .broken
        mapper = nil
        removeTimers()
        leave(.ended)
        owner?.passageClosed(self)
    }

    private func removeTimers() {
        for timer in [stallTimer, wakeTimer] { if let timer { loop.removeTimer(timer) } }
        stallTimer = nil
        wakeTimer = nil
    }
}

@available(*, unavailable)
extension OriginPassage: Sendable {}
