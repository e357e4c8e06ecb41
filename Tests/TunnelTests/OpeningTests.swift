import HTTP3
import Primitives
import QUIC
import Testing

@testable import Tunnel

@Suite("Opening tunnels")
struct OpeningTests {
    @Test("tunnels asked for before the handshake wait for it and for SETTINGS")
    func queue() throws {
        let pair = try TunnelPair()
        let ids = (0..<3).map { pair.open(Destination(.name("h\($0).internal"), port: 80)).id }
        #expect(pair.client.waitingCount == 3)
        #expect(pair.local.log.isEmpty)
        pair.run()
        #expect(pair.local.log.filter { if case .opened = $0 { true } else { false } } == ids.map { .opened($0) })
        #expect(pair.client.waitingCount == 0)
        #expect(
            pair.server.relay.statistics.map(\.destination?.description) == [
                "h0.internal:80", "h1.internal:80", "h2.internal:80",
            ])
    }

    @Test("a gateway that announces extended CONNECT is asked by connect-tcp, another one by classic CONNECT")
    func forms() throws {
        for (support, isClassic) in [(Settings.Support.announced, false), (.notAnnounced, true)] {
            let pair = try TunnelPair.connected { $0.extendedConnect = support }
            let (id, _) = pair.open(buildServer)
            pair.run()
            let session = try #require(pair.client.relay.session(id))
            #expect((session.form == .classic) == isClassic)
            #expect(session.phase == .relaying)
        }
    }

    @Test("tunnels beyond the stream limit wait for credit")
    func credit() throws {
        let pair = try TunnelPair.connected()
        let tunnels = (0..<140).map { _ in pair.open(buildServer) }
        pair.run()
        #expect(pair.client.waitingCount == 12)
        for (_, app) in tunnels.prefix(70) { app.sendsFin = true }
        for (_, socket) in pair.gateway.sockets.sorted(by: { $0.key < $1.key }).prefix(70) { socket.sendsFin = true }
        pair.run(turns: 60)
        #expect(pair.client.waitingCount == 0)
    }

    @Test("connect-tcp sends payload before the answer, and the gateway keeps it until TCP is up")
    func optimistic() throws {
        let pair = try TunnelPair.connected()
        pair.silent = [buildServer]
        let (id, app) = pair.open(buildServer)
        app.outgoing = Array("SSH-2.0-x\r\n".utf8)
        pair.run()
        #expect(app.outgoing.isEmpty)
        guard case .connect(let gatewayID, buildServer) = pair.gateway.log.last else {
            Issue.record("not asked to connect: \(pair.gateway.log)")
            return
        }
        let origin = FakeTCP()
        pair.gateway.sockets[gatewayID] = origin
        pair.server.connected(gatewayID)
        pair.run()
        #expect(origin.received == Array("SSH-2.0-x\r\n".utf8))
        #expect(pair.local.log.contains(.opened(id)))
    }

    @Test("payload waits for the answer where it must, or is asked to")
    func patient() throws {
        for (support, optimism) in [
            (Settings.Support.notAnnounced, TunnelClient.Optimism.beforeAnswer), (.announced, .afterAnswer),
        ] {
            let pair = try TunnelPair.connected { $0.extendedConnect = support }
            pair.silent = [buildServer]
            let (_, app) = pair.open(buildServer, optimism)
            app.outgoing = [1]
            pair.run()
            #expect(app.outgoing == [1])
            guard case .connect(let gatewayID, _) = pair.gateway.log.last else { continue }
            pair.gateway.sockets[gatewayID] = FakeTCP()
            pair.server.connected(gatewayID)
            pair.run()
            #expect(pair.gateway.sockets[gatewayID]?.received == [1])
        }
    }

    @Test(
        "each failure of the gateway reaches the client as itself", arguments: TunnelFailure.named,
        ["connect-tcp", "classic"])
    func failures(failure: TunnelFailure, form: String) throws {
        let pair = try TunnelPair.connected { if form == "classic" { $0.extendedConnect = .notAnnounced } }
        pair.failures[buildServer] = failure
        let (id, app) = pair.open(buildServer)
        app.outgoing = Array(repeating: 1, count: 100_000)
        pair.run()
        #expect(pair.local.log.last == .failed(id, failure, form == "classic" ? .untouched : .taken))
        #expect(pair.client.relay.count == 0 && pair.server.relay.count == 0)
        #expect(pair.client.http.openRequestCount == 0 && pair.server.http.openRequestCount == 0)
    }

    @Test(
        "a wrong token, or none, is refused before the destination is looked at",
        arguments: [Credentials.none, .bearer("wrong")])
    func unauthorized(credentials: Credentials) throws {
        for support in [Settings.Support.announced, .notAnnounced] {
            let pair = try TunnelPair.connected(credentials: credentials) { $0.extendedConnect = support }
            let (id, _) = pair.open(buildServer)
            pair.run()
            #expect(pair.local.log.last == .failed(id, .unauthorized, .untouched))
            #expect(!pair.gateway.log.contains { if case .connect = $0 { true } else { false } })
        }
    }

    @Test(
        "a client that gives up while the gateway connects makes it give up too",
        arguments: [Settings.Support.announced, .notAnnounced])
    func cancelled(support: Settings.Support) throws {
        let pair = try TunnelPair.connected { $0.extendedConnect = support }
        pair.silent = [buildServer]
        let (id, _) = pair.open(buildServer)
        pair.run()
        guard case .connect(let gatewayID, _) = pair.gateway.log.last else {
            Issue.record("not asked to connect")
            return
        }
        pair.client.relay.resetArrived(on: id)
        pair.run()
        #expect(pair.gateway.log.last == .reset(gatewayID))
        #expect(pair.server.relay.count == 0)
        // The driver's answer may cross it.
        pair.server.connected(gatewayID)
        pair.server.connectFailed(gatewayID, .connectionTimeout)
        pair.run()
        #expect(pair.server.relay.count == 0 && pair.client.relay.count == 0)
    }

    @Test(
        "a request beyond GOAWAY may be tried elsewhere at once, whether or not the gateway refuses it (RFC 9114 §5.2)")
    func beyondGoAway() throws {
        let pair = try TunnelPair.connected()
        // The request is lost on its way, and with it every refusal.
        pair.transport.deaf = [.server]
        let (late, _) = pair.open(buildServer, .afterAnswer)
        pair.server.goAway()
        pair.run(turns: 3)
        #expect(pair.local.log.contains(.failed(late, .gatewayGoingAway, .untouched)))
    }

    @Test("a gateway that goes away finishes what is up, and the rest may be tried elsewhere")
    func goingAway() throws {
        let pair = try TunnelPair.connected()
        let (_, app) = pair.open(buildServer)
        pair.run()
        pair.server.goAway()
        // On its way to the gateway while GOAWAY comes.
        let (late, _) = pair.open(buildServer, .afterAnswer)
        pair.run()
        #expect(pair.local.log.contains(.failed(late, .gatewayGoingAway, .untouched)))
        #expect(pair.local.log.contains(.goingAway))
        #expect(!pair.client.isAcceptingTunnels)
        let (later, _) = pair.open(buildServer)
        pair.run(turns: 1)
        #expect(pair.local.log.last == .failed(later, .gatewayGoingAway, .untouched))
        app.outgoing = [5]
        pair.run()
        #expect(pair.gateway.sockets.values.first?.received == [5])
    }

    @Test("a gateway that only goes on with tunnels that it has is asked for no other one, early or late")
    func resumptionOnly() throws {
        let pair = try TunnelPair { $0.tunnelResumptionOnly = .announced }
        let (early, _) = pair.open(buildServer)
        pair.run()
        #expect(pair.local.log == [.failed(early, .gatewayGoingAway, .untouched), .goingAway])
        #expect(pair.client.isResumptionOnly && !pair.client.isAcceptingTunnels)
        let (late, _) = pair.open(buildServer)
        pair.run()
        #expect(pair.local.log.last == .failed(late, .gatewayGoingAway, .untouched))
        #expect(pair.gateway.log.isEmpty && pair.client.waitingCount == 0)
    }
}
