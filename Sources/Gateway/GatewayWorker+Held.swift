import Configuration
import Driver
import EventLoop
import Keeper
import Logging
import Primitives
import Telemetry
import Tunnel

// Tunnels that outlive their connections.
extension GatewayWorker: TunnelHoldOwner {
    /// How a tunnel is to be resumed when a user may have such ones; nil when not.
    func grant(to user: String, carriedBy session: GatewaySession, _ tunnel: TunnelID) -> ResumptionGrant? {
        let linger = state.policy.resumption.linger
        guard linger > .zero else { return nil }
        let id = drawResumptionID()
        state.directory[id] = TunnelDirectory.Entry(worker: index, user: user)
        carriers[id] = Carrier(session: session, tunnel: tunnel)
        return ResumptionGrant(id: id, linger: linger)
    }

    /// A tunnel is over, or was never begun.
    func forget(_ id: ResumptionID) {
        carriers[id] = nil
        state.directory[id] = nil
        protection?.ended(id)
    }

    /// A connection has lost a tunnel that can be resumed.
    func hold(_ tunnel: HeldTunnel, _ side: TunnelSide?, _ note: GatewayNote) {
        carriers[tunnel.id] = nil
        counters.tunnelsDetached += 1
        held.hold(tunnel, side, for: tunnel.linger, note)
    }

    func holdEnded(_ entry: HeldEntry<GatewayNote>, _ end: HoldEnd) {
        let reason = end == .expired ? "nobody came for it in time" : "there was no room for more"
        log.notice(
            "a tunnel without a connection was reset",
            metadata: [
                "user": "\(entry.note.user)", "reason": "\(reason)",
                "destination": "\(entry.tunnel.destination.map { "\($0)" } ?? "-")",
            ])
        over(entry)
    }

    // The client hears of it when it comes for the tunnel.
    func heldStreamBroken(_ entry: HeldEntry<GatewayNote>) {
        log.info(
            "the origin has broken a tunnel without a connection",
            metadata: [
                "user": "\(entry.note.user)", "destination": "\(entry.tunnel.destination.map { "\($0)" } ?? "-")",
            ])
        held.abort(entry.tunnel.id)
        over(entry)
    }

    private func over(_ entry: HeldEntry<GatewayNote>) {
        forget(entry.tunnel.id)
        counters.tunnelsClosed += 1
        if entry.note.counting == .counted { state.returnTunnel(of: entry.note.user) }
    }

    /// Ends the tunnels of users who are none any more.
    func endTunnelsOfRemovedUsers() {
        let users = state.policy.users
        for entry in held.all where users.user(named: entry.note.user) == nil {
            held.abort(entry.tunnel.id)
            over(entry)
        }
    }

    // MARK: - Claims

    /// Finds a tunnel that a client wants to go on with; the session hears of it, at once or a little later.
    func claim(_ request: ResumptionRequest, to destination: Destination, of user: String, by claimant: Carrier) {
        guard let entry = state.directory[request.id], entry.user == user else {
            return answer(claimant, .unknown)
        }
        let claim = TunnelClaim(
            number: nextClaim, asker: index, request: request, destination: destination, user: user)
        guard entry.worker != index else { return answer(claimant, settle(claim)) }
        nextClaim += 1
        claims[claim.number] = claimant
        if !state.directory.post(.claim(claim), to: entry.worker) {
            claims[claim.number] = nil
            answer(claimant, .unknown)
        }
    }

    /// Takes a tunnel from the hold, or from the connection that still has it.
    private func settle(_ claim: TunnelClaim) -> TunnelClaimOutcome {
        let id = claim.request.id
        if let entry = held[id] {
            guard entry.note.user == claim.user else { return .unknown }
            if claim.asker != index, entry.side?.isBetweenOrigins == true { return .underWay }
            guard entry.tunnel.verdict(on: claim.request, to: claim.destination) == .resumed else { return .conflict }
            _ = held.take(id)
            return .found(entry.tunnel, entry.side, entry.note)
        }
        guard let carrier = carriers[id], let session = carrier.session else {
            return state.directory[id] == nil ? .unknown : .underWay
        }
        return session.relinquish(carrier.tunnel, claim)
    }

    /// A claim of another worker's client.
    func hand(over claim: TunnelClaim) {
        let outcome: TunnelHandover.Outcome
        switch settle(claim) {
        case .found(let tunnel, let side, let note):
            carriers[tunnel.id] = nil
            let transfer = protection?.leave(tunnel.id, side)
            outcome = .found(tunnel, side?.surrender(), note, transfer)
        case .conflict: outcome = .conflict
        case .unknown: outcome = .unknown
        case .underWay: outcome = .underWay
        }
        let answer = TunnelHandover(number: claim.number, outcome: outcome)
        guard !state.directory.post(.handedOver(answer), to: claim.asker),
            case .found(let tunnel, let remains, let note, let transfer) = outcome
        else {
            return
        }
        // Nobody is there to take it: it stays.
        let side = remains.map(takeUp)
        protection?.arrive(tunnel.id, transfer, side)
        hold(tunnel, side, note)
    }

    private func takeUp(_ remains: TunnelSide.Remains) -> TunnelSide {
        let side = TunnelSide(remains, on: loop)
        if let passage = remains.passage { origins.watch(side, passage) }
        return side
    }

    /// Another worker's answer.
    func take(over handover: TunnelHandover) {
        let claimant = claims.removeValue(forKey: handover.number)
        switch handover.outcome {
        case .found(let tunnel, let remains, let note, let transfer):
            state.directory[tunnel.id] = TunnelDirectory.Entry(worker: index, user: note.user)
            let side = remains.map(takeUp)
            protection?.arrive(tunnel.id, transfer, side)
            guard let claimant else { return hold(tunnel, side, note) }
            answer(claimant, .found(tunnel, side, note))
        case .conflict: if let claimant { answer(claimant, .conflict) }
        case .unknown: if let claimant { answer(claimant, .unknown) }
        case .underWay: if let claimant { answer(claimant, .underWay) }
        }
    }

    private func answer(_ claimant: Carrier, _ outcome: TunnelClaimOutcome) {
        if let session = claimant.session { return session.claimed(claimant.tunnel, outcome) }
        // The connection has ended meanwhile.
        if case .found(let tunnel, let side, let note) = outcome { hold(tunnel, side, note) }
    }
}

/// A connection and the tunnel on it.
struct Carrier {
    weak var session: GatewaySession?
    var tunnel: TunnelID
}
