import Configuration
import Driver
import EventLoop
import HTTP3
import Logging
import Primitives
import QUIC
import Tunnel

/// One connection to a gateway, with the tunnels that it carries.
final class LinkSession: ConnectionApplication {
    let driven: DrivenConnection
    let attempt: GatewayAttempt
    private unowned let link: GatewayLink
    private let client: TunnelClient
    private let relay: RelayDriver
    private var applicants: [TunnelID: any TunnelApplicant] = [:]
    /// When something last arrived from the gateway.
    private(set) var lastContact: Instant
    private(set) var isEstablished = false

    init(_ driven: DrivenConnection, _ attempt: GatewayAttempt, link: GatewayLink) {
        self.driven = driven
        self.attempt = attempt
        self.link = link
        lastContact = link.loop.now
        let http = HTTP3Connection(
            driven.connection, configuration: HTTP3Connection.Configuration(greaseSeed: link.drawSeed()))
        client = TunnelClient(
            http, gateway: "\(attempt.invite.gateway)", credentials: .bearer(attempt.invite.token.text))
        relay = RelayDriver(client.relay, over: driven, on: link.loop)
    }

    var isAcceptingTunnels: Bool { client.isAcceptingTunnels }
    var tunnels: [TunnelRelay.Statistics] { client.relay.statistics }
    var tunnelCount: Int { client.relay.count }

    // MARK: - Tunnels

    func open(_ applicant: any TunnelApplicant) {
        let id = client.open(to: applicant.destination, applicant.optimism)
        applicants[id] = applicant
        driven.connection.setKeepAlive(.on)
        // Bytes that may be sent at once are read at once; what comes back waits for the answer all the same.
        if applicant.optimism == .beforeAnswer { attach(applicant, to: id) }
        driven.needsService()
    }

    /// Gives up on behalf of a program that is gone.
    func withdraw(_ applicant: any TunnelApplicant) {
        for (id, known) in applicants where known === applicant {
            applicants[id] = nil
            client.relay.resetArrived(on: id)
        }
        driven.needsService()
    }

    private func attach(_ applicant: any TunnelApplicant, to id: TunnelID) {
        guard let (stream, received) = applicant.tunnelOpened() else {
            client.relay.resetArrived(on: id)
            return
        }
        relay.attach(stream, to: id)
        guard !received.isEmpty, let ring = client.relay.ring(of: id) else { return }
        _ = ring.append(received.span)
        client.relay.bytesArrived(on: id)
    }

    // MARK: - ConnectionApplication

    func receive(_ event: ConnectionEvent, at now: Instant) {
        switch event {
        case .handshakeCompleted:
            isEstablished = true
            link.established(self)
        case .sessionTicket(let bytes): link.keepTicket(bytes, of: attempt)
        case .newToken(let bytes): link.keepToken(bytes, of: attempt)
        case .keyLogLine(let line): link.keyLog(line)
        case .path(let change): link.pathChanged(change)
        case .closed(let end):
            client.receive(event, at: now)
            settle(at: now)
            return link.closed(self, end)
        default: break
        }
        lastContact = now
        client.receive(event, at: now)
    }

    func settle(at now: Instant) {
        while let action = client.nextAction() { perform(action) }
    }

    private func perform(_ action: TunnelAction) {
        switch action {
        case .opened(let id):
            guard let applicant = applicants.removeValue(forKey: id) else { return }
            link.tunnelOpened(to: applicant.destination)
            if applicant.optimism == .afterAnswer { attach(applicant, to: id) }
        case .failed(let id, let failure, let payload): failed(id, failure, payload, action)
        case .close, .reset:
            relay.perform(action)
            if client.relay.count == 0 { driven.connection.setKeepAlive(.off) }
        case .read, .deliver, .closeWrite: relay.perform(action)
        case .goingAway: link.goingAway(self)
        case .ended: relay.abortAll()
        // Actions of a gateway only.
        case .authenticate, .connect: break
        }
    }

    private func failed(
        _ id: TunnelID, _ failure: TunnelFailure, _ payload: TunnelAction.Payload, _ action: TunnelAction
    ) {
        guard let applicant = applicants.removeValue(forKey: id) else { return }
        // Nothing of the program's was sent: another connection may try it.
        if failure.isSafeToRetry, payload == .untouched, applicant.optimism == .afterAnswer {
            return link.open(applicant)
        }
        link.tunnelFailed(to: applicant.destination, failure)
        relay.perform(.reset(id))
        applicant.tunnelFailed(failure)
    }
}
