import Primitives
import QUIC
import Testing

@testable import Tunnel

/// What the application and the destination of one tunnel have written and may see: the reference for everything that happens
/// to the tunnel on the way.
final class TunnelModel {
    /// How one of the two has ended what it writes.
    enum End: Hashable {
        case none
        case fin
    }

    let app: FakeTCP
    let origin: FakeTCP
    private(set) var up: [UInt8] = []
    private(set) var down: [UInt8] = []
    private(set) var upEnd = End.none
    private(set) var downEnd = End.none
    /// Which ends' TCP was reset from outside.
    private(set) var resets: Set<Role> = []

    init(_ ends: (id: TunnelID, app: FakeTCP, origin: FakeTCP)) {
        app = ends.app
        origin = ends.origin
    }

    func write(_ bytes: [UInt8], by role: Role) {
        switch role {
        case .client where upEnd == .none && resets.isEmpty:
            up += bytes
            app.outgoing += bytes
        case .server where downEnd == .none && resets.isEmpty:
            down += bytes
            origin.outgoing += bytes
        case .client, .server: break
        }
    }

    func finish(by role: Role) {
        switch role {
        case .client:
            upEnd = .fin
            app.sendsFin = true
        case .server:
            downEnd = .fin
            origin.sendsFin = true
        }
    }

    func reset(by role: Role, on bench: ResumptionBench) {
        // TCP that was closed in order, or reset already, cannot be reset.
        let tcp = role == .client ? app : origin
        guard !tcp.wasClosed, !tcp.wasReset, resets.isEmpty else { return }
        resets.insert(role)
        switch role {
        case .client: bench.resetLocally(app)
        case .server: bench.resetAtGateway(origin)
        }
    }

    /// What holds at every moment: each end has seen a prefix of what the other wrote, its end only after all of it, and no reset that
    /// nobody made.
    func check(_ place: @autoclosure () -> String) {
        let isRight =
            up.starts(with: origin.received) && down.starts(with: app.received)
            && (!origin.hasFin || (upEnd == .fin && origin.received.count == up.count))
            && (!app.hasFin || (downEnd == .fin && app.received.count == down.count))
            && (!resets.isEmpty || (!app.wasReset && !origin.wasReset))
        #expect(isRight, "\(place()): \(state)")
    }

    private var state: String {
        func side(_ tcp: FakeTCP, of written: [UInt8]) -> String {
            "\(tcp.received.count) of \(written.count)"
                + (tcp.hasFin ? ", FIN" : "") + (tcp.wasClosed ? ", closed" : "") + (tcp.wasReset ? ", reset" : "")
        }
        return "origin \(side(origin, of: up)); app \(side(app, of: down)); resets \(resets)"
    }

    /// What holds in the end.
    func checkEnd(_ place: @autoclosure () -> String) {
        check(place())
        guard let reset = resets.first else {
            let isComplete =
                origin.received == up && app.received == down && app.hasFin && origin.hasFin && app.wasClosed
                && origin.wasClosed
            #expect(isComplete, "\(place()): incomplete: \(state)")
            return
        }
        let other = reset == .client ? origin : app
        #expect(other.wasReset || other.wasClosed, "\(place()): a reset was not passed on: \(state)")
    }
}

/// Random things that happen to tunnels, from a seed.
final class TunnelSchedule {
    let bench: ResumptionBench
    let tunnels: [TunnelModel]
    private var generator: SeededGenerator
    private let seed: UInt64
    private var log: [String] = []
    /// Whether the present connection still carries something both ways.
    private var isConnected = true

    init(seed: UInt64, tunnels count: Int) throws {
        self.seed = seed
        generator = SeededGenerator(seed: seed)
        var limits = TunnelRelay.Limits()
        limits.initialRing = 4096
        limits.maximumRing = 32 * 1024
        let bench = try ResumptionBench(limits: limits)
        self.bench = bench
        tunnels = try (0..<count).map { _ in TunnelModel(try bench.open()) }
    }

    func play(steps: Int) throws {
        for _ in 0..<steps {
            try step()
            for tunnel in tunnels { tunnel.check("seed \(seed): \(log.suffix(40))") }
        }
        try finish()
    }

    private func number(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &generator) }

    private func step() throws {
        let tunnel = tunnels[number(0...tunnels.count - 1)]
        let role: Role = Bool.random(using: &generator) ? .client : .server
        let choice = number(0...99)
        log.append("\(choice) \(role)")
        switch choice {
        case ..<20: tunnel.write(randomBytes(number(1...12_000), using: &generator), by: role)
        case ..<30:
            let tcp = role == .client ? tunnel.app : tunnel.origin
            tcp.room = [0, 1, number(2...5000), .max][number(0...3)]
        case ..<55: bench.pair.run(turns: 1)
        case ..<63: bench.pair.turn(role)
        case ..<68: bench.pair.transport.exchange()
        case ..<73: bench.readWhileHeld(atMost: number(1...20_000))
        case ..<76:
            bench.pair.transport.remaining[role] = number(0...6)
            isConnected = false
        case ..<81: try loseConnection()
        case ..<84: try moveOn()
        case ..<93: bench.resumeAll()
        case ..<96: try intrude()
        case ..<98: tunnel.finish(by: role)
        default: if number(0...3) == 0 { tunnel.reset(by: role, on: bench) }
        }
    }

    /// Both ends have noticed that the connection is dead.
    private func loseConnection() throws {
        bench.loseConnection()
        try bench.reconnect()
        isConnected = true
    }

    /// The client has noticed, the gateway has not.
    private func moveOn() throws {
        bench.loseConnectionLocally()
        try bench.reconnect()
        isConnected = true
    }

    /// A request that is late, repeated or invented.
    private func intrude() throws {
        guard isConnected, let id = bench.granted.randomElement(using: &generator) else { return }
        var stranger = generator
        let invented = ResumptionID(drawing: &stranger)
        let request: ResumptionRequest =
            switch number(0...2) {
            case 0: ResumptionRequest(id: invented, delivered: 0, generation: 1)
            case 1: ResumptionRequest(id: id, delivered: 1 << 40, generation: 1 << 40)
            default: ResumptionRequest(id: id, delivered: UInt64(number(0...30_000)), generation: 1)
            }
        // Generation 1 may be the next one of a tunnel that was never resumed: such a request is no intruder's.
        let carried = bench.heldAtGateway[id].map(\.held.generation) ?? 1
        guard request.generation != 1 || request.id == invented || carried >= 1 && wasResumed(id) else { return }
        let failure = try bench.request(request)
        #expect(failure == .resumptionRefused || failure == .resumptionGone, "seed \(seed): \(log.suffix(12))")
    }

    private func wasResumed(_ id: ResumptionID) -> Bool {
        if let waiting = bench.heldAtGateway[id] { return waiting.held.generation >= 1 }
        return bench.pair.server.relay.sessions.values.contains {
            $0.attachment?.id == id && ($0.attachment?.generation ?? 0) >= 1
        }
    }

    /// From here on the network is good, everyone reads, and everyone finishes.
    private func finish() throws {
        log.append("finish")
        for tunnel in tunnels {
            (tunnel.app.room, tunnel.origin.room) = (.max, .max)
            tunnel.finish(by: .client)
            tunnel.finish(by: .server)
        }
        try loseConnection()
        for _ in 0..<4 {
            bench.resumeAll()
            bench.pair.run(turns: 15)
        }
        for tunnel in tunnels { tunnel.checkEnd("seed \(seed): \(log)") }
        #expect(bench.heldLocally.isEmpty)
        #expect(bench.pair.client.relay.count == 0 && bench.pair.server.relay.count == 0, "seed \(seed)")
        #expect(bench.pair.client.relay.memory == 0 && bench.pair.server.relay.memory == 0)
    }
}
