import Configuration
import EventLoop
import Logging
import Primitives
import QUIC
import TLS

/// Reaches one gateway: resolves its name and races handshakes with its addresses (RFC 8305), a new one every 250 ms; while
/// programs wait, again and again, more often, and now and then over another link.
///
/// The link hears of exactly one outcome, and never before `start` has returned.
final class GatewayDial: ResolutionHandler, TimerHandler {
    let invite: Invite
    private unowned let link: GatewayLink
    private var race: HappyEyeballs
    private var resolution: Resolution?
    private var attempts: [HappyEyeballs.AttemptID: LinkSession] = [:]
    /// How often each address was tried.
    private var tries: [NetworkAddress: Int] = [:]
    private var failure: LinkFailure?
    private var timer: TimerHandle?

    init(_ invite: Invite, link: GatewayLink) {
        self.invite = invite
        self.link = link
        var parameters = HappyEyeballs.Parameters()
        parameters.persistence = link.isAwaited ? .whileSilent : .once
        race = HappyEyeballs(parameters: parameters)
    }

    func start(_ resolver: Resolver) {
        timer = link.loop.addTimer(self)
        resolution = resolver.resolve(invite.gateway.host.description, handler: self)
    }

    /// Gives everything up; the link hears nothing more.
    func cancel() {
        resolution?.cancel()
        for session in attempts.values { link.discard(session) }
        end()
    }

    // MARK: - Inputs

    func resolution(
        _ resolution: Resolution, of family: IPAddress.Family, answered result: Result<[IPAddress], ResolutionError>
    ) {
        var addresses: [NetworkAddress] = []
        switch result {
        case .success(let found): addresses = found.map { NetworkAddress($0, port: invite.gateway.port) }
        case .failure(let error): note(.unreachable("the gateway \(invite.gateway): \(error)"))
        }
        race.resolved(family, to: addresses, at: link.loop.now)
        perform()
    }

    func timerFired(_ timer: TimerHandle, at now: Instant) {
        race.deadlineReached(at: now)
        perform()
    }

    /// An attempt's handshake is complete; false when the session is none of this dial's.
    func established(_ session: LinkSession) -> Bool {
        guard let attempt = attempts.first(where: { $0.value === session })?.key else { return false }
        race.attemptSucceeded(attempt)
        perform()
        return true
    }

    /// An attempt's connection is over; false when the session is none of this dial's.
    func closed(_ session: LinkSession, _ end: ConnectionEnd) -> Bool {
        guard let attempt = attempts.first(where: { $0.value === session })?.key else { return false }
        attempts[attempt] = nil
        note(LinkFailure(end, gateway: session.attempt))
        race.attemptFailed(attempt, at: link.loop.now)
        perform()
        return true
    }

    /// An attempt cannot succeed.
    func failed(_ session: LinkSession, _ failure: LinkFailure) {
        guard let attempt = attempts.first(where: { $0.value === session })?.key else { return }
        attempts[attempt] = nil
        link.discard(session)
        note(failure)
        race.attemptFailed(attempt, at: link.loop.now)
        perform()
    }

    // MARK: - The race

    private func note(_ failure: LinkFailure) {
        link.log.debug("attempt failed: \(failure.sentence)")
        self.failure = failure.orWorse(self.failure)
    }

    private func perform() {
        while let action = race.nextAction() {
            switch action {
            case .connect(let id, let address):
                connect(id, GatewayAttempt(invite: invite, address: address, turn: tries[address, default: 0]))
                tries[address, default: 0] += 1
            case .cancel(let id):
                if let session = attempts.removeValue(forKey: id) { link.discard(session) }
            case .succeeded(let id):
                guard let session = attempts.removeValue(forKey: id) else { continue }
                end()
                return link.dial(self, connected: session)
            case .failed:
                end()
                let nothing = "the gateway \(invite.gateway) has no address; check the invite and the network"
                return link.dial(self, failed: failure ?? .unreachable(nothing))
            }
        }
        if let timer { link.loop.arm(timer, at: race.nextDeadline) }
    }

    private func connect(_ id: HappyEyeballs.AttemptID, _ attempt: GatewayAttempt) {
        do {
            attempts[id] = try attempt.start(link: link)
            link.log.debug("connecting", metadata: ["gateway": "\(attempt.address)"])
            return
        } catch let error as TLSError {
            note(.notAuthenticated("\(invite.gateway): \(error.reason)"))
        } catch {
            note(.unreachable("the gateway \(invite.gateway): \(error)"))
        }
        race.attemptFailed(id, at: link.loop.now)
    }

    private func end() {
        attempts = [:]
        resolution = nil
        if let timer { link.loop.removeTimer(timer) }
        timer = nil
    }
}
