import Configuration
import Driver
import EventLoop
import Logging
import Primitives
import Tunnel

/// How long there has been no connection for tunnels that are up, and what people were told of it.
struct Outage {
    /// The first report of an outage; further ones come each time it has lasted twice as long.
    static let firstReport = Interval.seconds(10)

    /// For so long the gateway is asked a few times a second: what programs wait for is to go on as soon as the network does, and
    /// a network that swallows everything does not tell when it ends to. After that it is asked every few seconds.
    static let hope = Interval.seconds(150)

    /// How long a gateway that cannot go on with a tunnel now is left alone.
    static let pause = Interval.milliseconds(500)

    /// When the tunnels lost their connection; nil while there is none that waits.
    var began: Instant?
    /// When there was last a reason to think that the gateway can be reached again soon.
    var lastHope = Instant.origin
    /// When the next report is due.
    var nextReport = Instant.origin
    /// Tunnels that wait for the gateway's answer.
    var unanswered = 0
    /// Tunnels that go on.
    var resumed = 0
    /// Tunnels that the gateway had no more.
    var lost = 0
}

/// Tunnels whose connection is gone: they wait here for the next one.
extension GatewayLink: TunnelHoldOwner {
    /// Bounds what tunnels without a connection cost: as many as a process can have descriptors, and 512 MiB of what programs have sent.
    static let holdLimits = TunnelHold<TunnelNote>.Limits(
        count: 65_536, memory: 512 << 20, memoryPerHolder: 512 << 20, ring: HeldTunnel.largestRing)
    /// Bytes beyond their first ones that the buffers of tunnels may take while a connection carries them.
    static let ringLimit = 512 << 20

    /// A connection has lost a tunnel that can go on with another one.
    func hold(_ tunnel: HeldTunnel, _ side: TunnelSide?, _ note: TunnelNote, from session: LinkSession) {
        held.hold(tunnel, side, for: tunnel.linger, note)
        if outage.began == nil {
            // It began when the gateway was heard for the last time.
            outage = Outage(
                began: session.lastContact, lastHope: loop.now, nextReport: session.lastContact + Outage.firstReport)
            armOutage(at: max(outage.nextReport, loop.now))
        }
        connectIfNeeded()
        // Where another connection is up, the tunnels go on there at the end of this turn.
        if let current = self.session, current !== session, current.isAcceptingTunnels { armOutage(at: loop.now) }
    }

    /// All tunnels of its gateway ask for their continuation in one flight; another gateway does not have them.
    func resumeHeld(on session: LinkSession) {
        let invite = session.attempt.invite
        let entries = held.takeAll { $0.note.gateway.gateway == invite.gateway && $0.note.gateway.pins == invite.pins }
        guard !entries.isEmpty else { return }
        outage.unanswered += entries.count
        for entry in entries { session.resume(entry) }
    }

    /// A gateway that is draining goes on with the tunnels that it has: the connection is for nothing else.
    func goOnDraining(on session: LinkSession) {
        log.debug("the gateway is still draining", metadata: ["gateway": "\(session.attempt.address)"])
        for old in leaving where old.isSilent { old.detachTunnels() }
        resumeHeld(on: session)
        leave(session)
        state = .waiting
        armRetry(nextPause())
        owner.linkGoingAway(self)
    }

    func tunnelResumed() {
        outage.resumed += 1
        tunnelAnswered()
    }

    /// The gateway cannot go on with a tunnel: its program got a reset.
    func tunnelLost(to destination: Destination?, _ failure: TunnelFailure) {
        outage.lost += 1
        if let destination { log.info("\(failure.description(for: destination))") }
        tunnelAnswered()
    }

    /// The gateway has forgotten a tunnel whose TCP had ended in order here.
    func tunnelSettled() { tunnelAnswered() }

    /// The gateway has no answer now, or its connection is gone: it is asked again.
    func resumptionPostponed() {
        outage.unanswered = max(0, outage.unanswered - 1)
        armOutage(at: loop.now + Outage.pause)
    }

    private func tunnelAnswered() {
        outage.unanswered = max(0, outage.unanswered - 1)
        guard outage.unanswered == 0, held.count == 0, let began = outage.began else { return }
        let seconds = Self.seconds(loop.now - began)
        if outage.lost == 0 {
            log.notice("\(Self.tunnels(outage.resumed)) on after \(seconds)")
        } else {
            let reset = outage.lost == 1 ? "1 was reset" : "\(outage.lost) were reset"
            log.warning(
                "\(Self.tunnels(outage.resumed)) on after \(seconds); \(reset), because the gateway has them no more")
        }
        outage = Outage()
        armOutage(at: nil)
    }

    func tellOfOutage(at now: Instant) {
        if let session, session.isAcceptingTunnels { resumeHeld(on: session) }
        guard let began = outage.began else { return }
        if held.count == 0, outage.unanswered == 0 {
            outage = Outage()
            return
        }
        if now >= outage.nextReport {
            let count = held.count + outage.unanswered
            let what = session == nil ? "gateway silent" : "gateway does not answer for them"
            log.warning("\(what) for \(Self.seconds(now - began)), \(count) tunnels held")
            outage.nextReport = now + (now - began)
        }
        armOutage(at: outage.nextReport)
    }

    func armOutage(at instant: Instant?) {
        if let outageTimer { loop.arm(outageTimer, at: instant) }
    }

    /// Takes the programs that can go on through another gateway; this one is told so should it come back.
    func takeContinuations() -> [ContinuedTunnel] {
        for session in sessions { session.detachContinuable() }
        return held.all.compactMap { entry in
            guard entry.side?.applicationPassage?.canGoOn == true, let destination = entry.tunnel.destination,
                let side = held.takeSide(entry.tunnel.id)
            else { return nil }
            protection?.ended(entry.tunnel.id)
            return ContinuedTunnel(to: destination, side, entry.note.follower, log: log)
        }
    }

    /// The gateway is dead: its tunnels end here. Should it come back all the same, it is told so.
    ///
    /// - Returns: how many there were.
    func giveUp() -> Int {
        cancelRace()
        let count = tunnelCount
        for session in sessions { session.detachTunnels() }
        abandonSessions()
        for entry in held.all { held.reset(entry.tunnel.id) }
        outage = Outage()
        armOutage(at: nil)
        return count
    }

    /// Ends what is held: the process, or the hope, is at its end.
    func abortHeld() {
        for entry in held.all {
            held.abort(entry.tunnel.id)
            protection?.ended(entry.tunnel.id)
            entry.note.follower?.tunnelEnded(.reset)
        }
    }

    func holdEnded(_ entry: HeldEntry<TunnelNote>, _ end: HoldEnd) {
        protection?.ended(entry.tunnel.id)
        let destination = Self.destination(of: entry.tunnel)
        switch end {
        case .expired: log.warning("the tunnel to \(destination) was reset: the gateway was away for too long")
        case .noRoom: log.warning("the tunnel to \(destination) was reset: too many tunnels wait for the gateway")
        }
        entry.note.follower?.tunnelEnded(.reset)
    }

    // The gateway is told when there is a connection again.
    func heldStreamBroken(_ entry: HeldEntry<TunnelNote>) {
        protection?.ended(entry.tunnel.id)
        entry.note.follower?.tunnelEnded(.reset)
    }

    static func destination(of tunnel: HeldTunnel) -> String { tunnel.destination.map { "\($0)" } ?? "-" }

    private static func seconds(_ interval: Interval) -> String {
        let tenths = interval.milliseconds / 100
        return tenths < 100 ? "\(tenths / 10).\(tenths % 10) s" : "\(tenths / 10) s"
    }

    private static func tunnels(_ count: Int) -> String { count == 1 ? "1 tunnel goes" : "\(count) tunnels go" }
}
