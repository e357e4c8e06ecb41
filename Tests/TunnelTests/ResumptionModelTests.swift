import Primitives
import QUIC
import Testing

@testable import Tunnel

@Suite("Tunnels against a model of their bytes")
struct ResumptionModelTests {
    @Test("whatever happens, every byte arrives once and in order, or both ends see a reset", arguments: 0..<16)
    func schedules(seed: Int) throws {
        try TunnelSchedule(seed: UInt64(seed), tunnels: 1 + seed % 4).play(steps: 150)
    }
}

@Suite("Loss of the connection at every step")
struct ResumptionInterleavingTests {
    /// Who is cut off from the connection after some datagrams.
    enum Cut: CaseIterable {
        case client
        case server
        case both

        func apply(to transport: TransportPair, after count: Int) {
            switch self {
            case .client: transport.remaining = [.client: count]
            case .server: transport.remaining = [.server: count]
            case .both: transport.remaining = [.client: count, .server: count]
            }
        }
    }

    /// Who notices it before the tunnel moves on.
    enum Notice: CaseIterable {
        case bothEnds
        case clientOnly
    }

    /// One exchange: three pieces in each direction, some of which TCP takes only in part, and both ends.
    private func begin(_ model: TunnelModel, _ bench: ResumptionBench, step: Int) {
        var generator = SeededGenerator(seed: UInt64(step))
        switch step {
        case 0:
            model.origin.room = 700
            model.write(randomBytes(1000, using: &generator), by: .client)
            model.write(randomBytes(900, using: &generator), by: .server)
        case 1:
            model.app.room = 300
            model.write(randomBytes(800, using: &generator), by: .client)
        case 2:
            (model.app.room, model.origin.room) = (.max, 500)
            model.write(randomBytes(600, using: &generator), by: .server)
            model.finish(by: .client)
        case 3:
            model.origin.room = .max
            model.write(randomBytes(700, using: &generator), by: .server)
        case 4: model.finish(by: .server)
        default: break
        }
    }

    private func lose(_ bench: ResumptionBench, _ notice: Notice) throws {
        switch notice {
        case .bothEnds: bench.loseConnection()
        case .clientOnly: bench.loseConnectionLocally()
        }
        bench.readWhileHeld()
        try bench.reconnect()
    }

    /// Plays the exchange with a cut, moves on, plays what follows, perhaps with another cut, and checks the end.
    private func play(
        _ cut: Cut, after count: Int, _ notice: Notice, then second: (Cut, Int)? = nil
    ) throws {
        let bench = try ResumptionBench()
        let model = TunnelModel(try bench.open())
        let place = "\(cut) after \(count), \(notice), \(second.map { "\($0)" } ?? "-")"
        cut.apply(to: bench.pair.transport, after: count)
        for step in 0..<7 {
            begin(model, bench, step: step)
            bench.pair.run(turns: 1)
            model.check(place)
        }
        try lose(bench, notice)
        if let (cut, count) = second {
            cut.apply(to: bench.pair.transport, after: count)
            bench.resumeAll()
            bench.pair.run(turns: 4)
            model.check(place)
            try lose(bench, notice)
        }
        (model.app.room, model.origin.room) = (.max, .max)
        bench.resumeAll()
        bench.pair.run(turns: 12)
        model.checkEnd(place)
        #expect(bench.heldLocally.isEmpty && bench.heldAtGateway.isEmpty, "\(place)")
        #expect(bench.pair.client.relay.count == 0 && bench.pair.server.relay.count == 0, "\(place)")
    }

    @Test("after any datagram, in any direction, whoever notices", arguments: Cut.allCases, Notice.allCases)
    func anyDatagram(cut: Cut, notice: Notice) throws {
        for count in 0..<22 { try play(cut, after: count, notice) }
    }

    @Test(
        "and again after any datagram of the connection on which the tunnel goes on", arguments: Cut.allCases,
        Notice.allCases)
    func anyDatagramOfResumption(cut: Cut, notice: Notice) throws {
        for count in [0, 1, 2, 3, 5] { try play(.both, after: 2 * count, notice, then: (cut, count)) }
    }
}
