import Primitives

/// The congestion control of one network path (RFC 9002 §7), whichever it is.
///
/// Of an ACK, first every packet goes in through `packetAcknowledged`, then what it shows to be lost, then
/// `acknowledgementsProcessed` moves the window.
struct CongestionController: Equatable, Sendable {
    /// Datagrams in the first flight (RFC 9002 §7.2).
    static let initialWindowDatagrams = 10
    /// Bytes in the first flight, unless two datagrams are more (RFC 9002 §7.2).
    static let initialWindowBytes = 14_720
    /// Datagrams that may always be in flight (RFC 9002 §7.2: kMinimumWindow).
    static let minimumWindowDatagrams = 2
    /// The widest window, in bytes; growth stops there. It bounds what a peer that acknowledges fast can make us hold.
    static let maximumWindow = 1 << 28
    /// Datagrams of room with which a window still counts as filled: less than a burst is not worth waking up for.
    static let filledSlackDatagrams = 3

    /// Exactly one of the two is there: in place, so that no packet copies it.
    private var lossBased: LossBasedWindow?
    private(set) var model: BBR?
    /// Whether that is `model`; asking the optional itself would copy it.
    private let isModelBased: Bool
    private var datagramSize: Int
    /// The window in bytes. A copy of what the algorithm says: every packet asks, and only few inputs change it.
    private(set) var window: Int

    /// Starts with the initial window for datagrams of `datagramSize` bytes.
    init(_ algorithm: CongestionAlgorithm = .standard, datagramSize: Int) {
        self.datagramSize = datagramSize
        isModelBased = algorithm == .bbr
        window = Self.initialWindow(datagramSize: datagramSize)
        switch algorithm {
        case .newReno: lossBased = LossBasedWindow(.newReno(NewReno()), datagramSize: datagramSize)
        case .cubic: lossBased = LossBasedWindow(.cubic(Cubic()), datagramSize: datagramSize)
        case .bbr:
            model = BBR(datagramSize: datagramSize, initialWindow: Self.initialWindow(datagramSize: datagramSize))
        }
        noteWindow()
    }

    private mutating func noteWindow() { window = model?.window ?? lossBased?.window ?? initialWindow }

    /// The window before anything is known of the path (RFC 9002 §7.2).
    static func initialWindow(datagramSize: Int) -> Int {
        min(
            initialWindowDatagrams.multiplyingSaturating(datagramSize),
            max(initialWindowBytes, minimumWindowDatagrams.multiplyingSaturating(datagramSize)))
    }

    private var initialWindow: Int { Self.initialWindow(datagramSize: datagramSize) }

    // MARK: Outputs

    /// The rate at which packets leave, in bytes per second; nil: what the window allows, spread over the round trip.
    var pacingRate: Double? {
        guard let rate = model?.pacingRate, rate > 0 else { return nil }
        return rate
    }

    /// The window that the path carried of late, also while less is sent on purpose.
    var carriedWindow: Int { model?.carriedWindow ?? window }

    /// Whether the limits of the path are not known yet.
    var isInSlowStart: Bool { model.map { $0.state == .startup } ?? lossBased?.isInSlowStart ?? false }

    /// Whether less is sent on purpose than the path carries: rates measured now say nothing of it.
    var isHoldingBack: Bool { model?.isInProbeRTT ?? false }

    /// The window that is always allowed.
    var minimumWindow: Int {
        model?.minimumWindow ?? Self.minimumWindowDatagrams.multiplyingSaturating(datagramSize)
    }

    /// Below it the window doubles each round trip.
    var slowStartThreshold: Int { lossBased?.slowStartThreshold ?? .max }

    /// Congestion events so far, undone ones included.
    var congestionEventCount: UInt64 { model?.episodes ?? lossBased?.congestionEventCount ?? 0 }

    /// Congestion events that turned out to be reordering.
    var undoneEventCount: UInt64 { model?.undoneEpisodes ?? lossBased?.undoneEventCount ?? 0 }

    var algorithm: CongestionAlgorithm { lossBased?.algorithm ?? .bbr }

    // MARK: Inputs

    /// Notes a packet that counts against the window; `bytesInFlight` includes it, `mark` is what is remembered with it.
    mutating func packetSent(
        size: Int, bytesInFlight: Int, mark: RateSampler.Mark = RateSampler.Mark(), at now: Instant
    ) {
        lossBased?.packetSent(size: size, bytesInFlight: bytesInFlight, at: now)
        guard isModelBased else { return }
        model?.packetSent(size: size, bytesInFlight: bytesInFlight, mark: mark, at: now)
        noteWindow()
    }

    /// Takes a packet that counted against the window and is now acknowledged for the first time.
    mutating func packetAcknowledged(size: Int, sentAt: Instant) {
        lossBased?.packetAcknowledged(size: size, sentAt: sentAt)
    }

    /// What an ACK told of a path's delivery, for those that reckon with it.
    struct Delivery: Equatable, Sendable {
        /// What was delivered, and how fast; nil when the ACK acknowledged nothing new here.
        var sample: RateSampler.Sample?
        /// Bytes that are in flight still.
        var bytesInFlight = 0
        /// The window that fills the path and leaves its queue nearly empty, as far as that is known.
        var fitting: Int?
    }

    /// Moves the window for the packets taken since the last call. `sample` is the round-trip time the ACK gave, if any.
    mutating func acknowledgementsProcessed(
        rtt: RTTEstimator, sample: Interval?, delivery: Delivery = Delivery(), at now: Instant
    ) {
        defer { noteWindow() }
        lossBased?.acknowledgementsProcessed(rtt: rtt, sample: sample, fitting: delivery.fitting, at: now)
        guard let delivered = delivery.sample else { return }
        let initialWindow = self.initialWindow
        model?.acknowledged(
            delivered, rtt: sample, smoothedRTT: rtt.smoothed, inFlight: delivery.bytesInFlight,
            initialWindow: initialWindow, at: now)
    }

    /// A packet that was declared lost.
    struct Loss: Equatable, Sendable {
        var packetNumber: UInt64
        var size: Int
        /// What was remembered with it.
        var mark: RateSampler.Mark
        /// Bytes declared lost since it left, its own included.
        var lostSince: Int
    }

    /// Takes a packet that was declared lost and whose loss means congestion: not a probe for MTU or path.
    mutating func packetLost(sentAt: Instant, _ loss: Loss? = nil, at now: Instant) {
        defer { noteWindow() }
        lossBased?.packetLost(sentAt: sentAt, at: now)
        guard let loss else { return }
        model?.packetLost(loss.packetNumber, size: loss.size, mark: loss.mark, lost: loss.lostSince, at: now)
    }

    /// Takes a rise of the CE count in an ACK whose largest packet was sent at `sentAt` (RFC 9002 §7.1).
    mutating func congestionExperienced(sentAt: Instant, at now: Instant) {
        defer { noteWindow() }
        lossBased?.congestionExperienced(sentAt: sentAt, at: now)
        model?.congestionExperienced(at: now)
    }

    /// Takes the late arrival of a packet that had been declared lost at `lostAt`. When every loss of the recovery period
    /// proves wrong, the window comes back (RFC 9438 §4.9 in spirit).
    mutating func lossWasSpurious(lostAt: Instant) {
        defer { noteWindow() }
        lossBased?.lossWasSpurious(lostAt: lostAt)
        model?.lossWasSpurious(lostAt: lostAt)
    }

    /// Takes the end of all hope for packets in flight, which says nothing of congestion: their late arrival undoes nothing.
    mutating func flightGivenUp() {
        lossBased?.flightGivenUp()
        model?.undo = nil
    }

    /// Falls back to the minimum window (RFC 9002 §7.6.2).
    mutating func persistentCongestionEstablished() {
        defer { noteWindow() }
        lossBased?.persistentCongestionEstablished()
        model?.persistentCongestionEstablished()
    }

    /// Goes on with half of a window that this network has carried before, and searches on from there. Until as much
    /// has been acknowledged a sign of congestion means that the network is not what it was: what was acknowledged since
    /// then is all that is known (careful resume: reconnaissance, then unvalidated, then validated or safe retreat).
    mutating func restore(_ remembered: Int) {
        defer { noteWindow() }
        lossBased?.restore(remembered)
        let initialWindow = self.initialWindow
        model?.restore(remembered, initialWindow: initialWindow)
    }

    /// Follows the path's datagram size; a window that is too narrow for the fewest datagrams widens.
    mutating func datagramSizeChanged(to size: Int) {
        defer { noteWindow() }
        datagramSize = size
        lossBased?.datagramSizeChanged(to: size)
        model?.datagramSizeChanged(to: size)
    }
}
