public import EventLoop
public import Primitives
import Simulator

/// The demonstration: gateway, local endpoint and origin on this machine, two emulated links between them, and what
/// happens to a verified download while the network changes.
///
/// ```
///   download ─► local endpoint ─┬─ Wi-Fi ────┬─► gateway ─► origin
///                               └─ cellular ─┘
/// ```
/// It needs no privilege: the links are a UDP relay, the networks different addresses of the loopback interface.
public final class Demo: TimerHandler, SignalHandler {
    /// How long the download runs before the first act.
    static let prelude = Interval.seconds(2)
    /// How long the consequences of an act are watched.
    static let watch = Interval.milliseconds(2_500)

    /// How it ended.
    public enum Outcome: Hashable, Sendable {
        /// Everything held.
        case held
        /// Something did not, as the table says.
        case broken
        /// The user ended it.
        case interrupted
    }

    /// What came of an act.
    struct Result {
        var act: DemoAct
        var stall: Interval
        /// What was wrong with the bytes or the connection, if anything was.
        var fault: String?

        var held: Bool { fault == nil && stall - act.outage <= act.allowed }
    }

    private let loop: EventLoop
    private let write: (String) -> Void
    private let relay: UDPRelay
    /// The same networks, where loopback speaks IPv6.
    private let relay6: UDPRelay?
    private let origin: DemoOrigin
    private let programs: DemoPrograms
    private var download: DemoDownload?
    private var signals: SignalEvents?
    private var timer: TimerHandle?
    private var watcher: WireWatch?
    private let began: Instant
    private var acts: ArraySlice<DemoAct>
    /// Acts of this performance.
    private let programme: Int
    private var steps: ArraySlice<DemoAct.Step> = []
    private var current: DemoAct?
    private var results: [Result] = []
    private var outcome = Outcome.broken

    /// Sets the stage; `write` gets the lines for the audience.
    public init(on loop: EventLoop, write: @escaping (String) -> Void) throws {
        self.loop = loop
        self.write = write
        began = loop.now
        programs = try DemoPrograms()
        origin = try DemoOrigin(on: loop)
        relay = try UDPRelay(
            NetworkAddress(DemoAddress.wifi, port: 0), to: programs.gateway,
            links: [.wifi, .cellular].map(Demo.emulated), on: loop)
        if let gateway = programs.gateway6 {
            let own = NetworkAddress(.loopback(.ipv6), port: 0)
            relay6 = try UDPRelay(own, to: gateway, links: [Demo.emulated(.wifi6)], on: loop)
        } else {
            relay6 = nil
        }
        relay.attach(DemoAddress.wifi, to: DemoLink.wifi.rawValue)
        relay.attach(DemoAddress.cellular, to: DemoLink.cellular.rawValue)
        relay.attach(DemoAddress.wifiAgain, to: DemoLink.wifi.rawValue)
        relay6?.attach(.loopback(.ipv6), to: 0)
        let speaksIPv6 = programs.gateway6 != nil
        acts = DemoAct.all.filter { $0.family == .ipv4 || speaksIPv6 }[...]
        programme = acts.count
        timer = loop.addTimer(self)
    }

    private static func emulated(_ link: DemoLink) -> EmulatedLink<Datagram> {
        EmulatedLink(link.name, link.conditions, seed: UInt64(link.rawValue))
    }

    /// Plays every act and returns when it is over; what it started has ended then.
    public func run() throws -> Outcome {
        defer { strike() }
        let watcher = WireWatch { [weak self] in self?.say("  wire: \($0)") }
        self.watcher = watcher
        relay.observer = watcher
        relay6?.observer = watcher
        signals = try SignalEvents([.terminate, .interrupt], on: loop, handler: self)
        let address = NetworkAddress(.loopback(.ipv4), port: origin.port)
        try programs.start(relay: relay.address, relay6: relay6?.address, origin: address)
        say("A gateway at \(programs.gateway), an origin at \(address), a local endpoint that knows the gateway")
        say("as \(relay.address), where two links begin: Wi-Fi (20 ms, 100 Mbit/s), cellular (60 ms, 40 Mbit/s).")
        let download = DemoDownload(from: programs.forward, on: loop)
        self.download = download
        download.started = { [weak self] in self?.downloadStarted() }
        loop.run()
        if outcome != .interrupted { writeTable() }
        return outcome
    }

    private func strike() {
        download?.close()
        origin.close()
        relay.close()
        relay6?.close()
        signals?.cancel()
        if let timer { loop.removeTimer(timer) }
        timer = nil
        programs.end()
    }

    private func say(_ text: String) {
        let milliseconds = String((loop.now - began).milliseconds % 1_000)
        let zeros = String(repeating: "0", count: 3 - milliseconds.count)
        let seconds = String((loop.now - began).milliseconds / 1_000)
        let blanks = String(repeating: " ", count: max(0, 3 - seconds.count))
        write("\(blanks)\(seconds).\(zeros)\(milliseconds)  \(text)")
    }

    public func signalReceived(_ signal: ProcessSignal) {
        outcome = .interrupted
        loop.stop()
    }

    // MARK: - The play

    private func downloadStarted() {
        guard let download, case .running = download.state else { return finish() }
        say("A download runs; each of its bytes is checked.")
        arm(Self.prelude)
    }

    private func arm(_ interval: Interval) {
        if let timer { loop.arm(timer, at: loop.now + interval) }
    }

    public func timerFired(_ timer: TimerHandle, at now: Instant) {
        if let act = current, steps.isEmpty { judge(act) }
        do {
            try play()
        } catch {
            say("\(error)")
            finish()
        }
    }

    /// Plays on up to the next pause.
    private func play() throws {
        if current == nil {
            guard let act = acts.popFirst(), results.allSatisfy({ $0.fault == nil }) else { return finish() }
            write("")
            current = act
            steps = act.steps[...]
            download?.mark()
        }
        while let step = steps.popFirst() {
            if case .pause(let interval) = step { return arm(interval) }
            try perform(step)
        }
        arm(Self.watch)
    }

    private func perform(_ step: DemoAct.Step) throws {
        switch step {
        case .say(let words): say(words)
        case .command(let words): try programs.command(words)
        case .link(.wifi6, let state): relay6?.change(0) { $0.state = state }
        case .link(let link, let state): relay.change(link.rawValue) { $0.state = state }
        case .rebind(let link, let outer): try relay.rebind(link.rawValue, to: outer)
        case .detach(let address): relay.detach(address)
        case .pause: break
        }
    }

    private func judge(_ act: DemoAct) {
        current = nil
        guard let download else { return }
        var fault = download.check.fault.map { "\($0)" } ?? programs.failures().first
        if case .ended(let reason) = download.state { fault = fault ?? reason }
        let result = Result(act: act, stall: download.stall(at: loop.now), fault: fault)
        results.append(result)
        say("  the longest time without a byte was \(result.stall.milliseconds) ms; \(fault ?? "every byte was right")")
    }

    private func finish() {
        if let download, case .ended(let reason) = download.state { say("the download ended: \(reason)") }
        let complete = results.count == programme && results.allSatisfy(\.held)
        outcome = complete ? .held : .broken
        loop.stop()
    }

    // MARK: - The table

    private func writeTable() {
        write("")
        let widths = [24, 12, 12, 28]
        func row(_ cells: [String]) {
            let padded = zip(cells, widths).map { cell, width in
                cell + String(repeating: " ", count: max(1, width - cell.count))
            }
            write(padded.joined())
        }
        row(["event", "stall", "allowed", "bytes lost"])
        for result in results {
            let allowed = "\((result.act.allowed + result.act.outage).milliseconds) ms"
            let stall = "\(result.stall.milliseconds) ms" + (result.held ? "" : " !")
            row([result.act.title, stall, allowed, result.fault ?? "0"])
        }
        for act in acts { row([act.title, "not played", "", ""]) }
        let megabytes = (download?.check.count ?? 0) / 1_000_000
        write("")
        write(
            outcome == .held
                ? "\(megabytes) MB came through all of it, every byte right." : "Not everything held; see above.")
    }
}
