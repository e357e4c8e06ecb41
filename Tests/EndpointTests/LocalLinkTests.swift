import Configuration
import EventLoop
import Primitives
import Telemetry
import Testing
import Tunnel

@testable import Gateway
@testable import LocalEndpoint

/// Asks for a tunnel and writes down what becomes of it.
final class Asker: TunnelApplicant {
    let destination: Destination
    let optimism: TunnelClient.Optimism
    private(set) var isOpened = false
    private(set) var failure: TunnelFailure?

    init(_ destination: Destination, _ optimism: TunnelClient.Optimism = .afterAnswer) {
        self.destination = destination
        self.optimism = optimism
    }

    func tunnelOpened() -> TunnelEntrance? {
        isOpened = true
        return nil
    }

    func tunnelFailed(_ failure: TunnelFailure) { self.failure = failure }
}

@Suite("The link to a gateway")
struct LocalLinkTests {
    static func withWrongPin(_ invite: Invite) -> Invite {
        let pin = PublicKeyPin(digest: [UInt8](repeating: 7, count: 32))
        return Invite(token: invite.token, gateway: invite.gateway, pins: [pin].compactMap { $0 })
    }

    static func moved(_ invite: Invite, to port: UInt16) -> Invite {
        Invite(token: invite.token, gateway: HostPort(invite.gateway.host, port: port), pins: invite.pins)
    }

    static func withWrongToken(_ invite: Invite) -> Invite {
        Invite(token: .generate(), gateway: invite.gateway, pins: invite.pins)
    }

    @Test("a tunnel that is asked for before there is a connection waits for it")
    func waiting() throws {
        let bench = try Bench()
        let echo = try bench.echo()
        let asker = Asker(echo.destination)
        bench.links.open(asker)
        bench.links.start()
        #expect(bench.run { asker.isOpened })
        #expect(bench.establishedCount == 1)
        #expect(bench.firstFailure == nil)
    }

    @Test("a gateway with another key is not the one of the invite")
    func wrongPin() throws {
        let bench = try Bench(invites: { [Self.withWrongPin($0)] })
        bench.links.start()
        #expect(bench.run { bench.firstFailure != nil })
        guard case .notAuthenticated = bench.firstFailure else {
            Issue.record("\(bench.firstFailure?.sentence ?? "-")")
            return
        }
        #expect(bench.establishedCount == 0)
    }

    @Test("that no gateway listens is told by the other machine's answer, not by the end of a time")
    func nothingListens() throws {
        let vacant = try BoundDatagramSocket(NetworkAddress(.loopback(.ipv4), port: 0))
        vacant.close()
        let bench = try Bench(invites: { [Self.moved($0, to: vacant.localAddress.port)] })
        bench.links.start()
        #expect(bench.run { bench.firstFailure != nil })
        #expect(bench.firstFailure?.status == .unreachable)
        #expect(bench.firstFailure?.sentence.contains("nothing listens there") == true)
    }

    @Test("a gateway that is not there leaves the others of the list their turn")
    func nothingListensAtFirst() throws {
        let vacant = try BoundDatagramSocket(NetworkAddress(.loopback(.ipv4), port: 0))
        vacant.close()
        let bench = try Bench(invites: { [Self.moved($0, to: vacant.localAddress.port), $0] })
        bench.links.start()
        #expect(bench.run { bench.establishedCount == 1 })
        #expect(bench.link.invite == bench.invite)
    }

    @Test("a gateway whose name has addresses of both families is reached at the one where it listens (RFC 8305)")
    func bothFamilies() throws {
        let host = try #require(Host("localhost"))
        let bench = try Bench(
            at: .anyLoopbackPort,
            invites: {
                [Invite(token: $0.token, gateway: HostPort(host, port: $0.gateway.port), pins: $0.pins)]
            })
        bench.links.start()
        #expect(bench.run { bench.establishedCount == 1 })
        #expect(bench.firstFailure == nil)
    }

    @Test("when the first gateway of the list does not do, the second one is used")
    func secondGateway() throws {
        let host = try #require(Host("localhost"))
        let bench = try Bench(invites: {
            let wrong = Invite(token: $0.token, gateway: HostPort(host, port: $0.gateway.port), pins: $0.pins)
            return [Self.withWrongPin(wrong), $0]
        })
        bench.links.start()
        #expect(bench.run { bench.establishedCount == 1 })
        #expect(bench.firstFailure == nil)
        #expect(bench.link.invite == bench.invite)
    }

    @Test("a token that the gateway does not know fails the tunnel and is told once")
    func wrongToken() throws {
        let bench = try Bench(invites: { [Self.withWrongToken($0)] })
        let asker = Asker(Destination(.address(.loopback(.ipv4)), port: 9))
        bench.links.open(asker)
        bench.links.start()
        #expect(bench.run { asker.failure != nil })
        #expect(asker.failure == .unauthorized)
        #expect(bench.refusals.count == 1)
        #expect(bench.links.isRefusedForGood)
    }

    @Test("a token that was good once does not end the local endpoint when it is refused later")
    func tokenOfARemovedUser() throws {
        let bench = try Bench()
        let asker = Asker(try bench.echo().destination)
        bench.links.open(asker)
        bench.links.start()
        #expect(bench.run { asker.isOpened })
        #expect(!bench.links.isRefusedForGood)
    }

    @Test("a gateway that is ending takes no new tunnels, however often it is asked, and programs wait")
    func ending() throws {
        let bench = try Bench()
        let echo = try bench.echo()
        let asker = Asker(echo.destination)
        bench.links.open(asker)
        bench.links.start()
        #expect(bench.run { asker.isOpened })
        bench.gateway.receive(.drain)
        #expect(bench.run { bench.link.session == nil })
        let late = Asker(echo.destination)
        bench.links.open(late)
        #expect(bench.run { bench.gateway.counters.connectionsOpened > 3 })
        #expect(bench.link.isDraining && !late.isOpened && late.failure == nil)
        #expect(bench.gateway.counters.tunnelsOpened == 1 && bench.gateway.counters.tunnelsRefused == 0)
    }

    @Test("a connection that the gateway closes is replaced, and tunnels meet the next one")
    func reconnection() throws {
        let bench = try Bench()
        bench.links.start()
        #expect(bench.run { bench.establishedCount == 1 })
        bench.gateway.receive(.close(.stop))
        #expect(bench.run { bench.link.session == nil })
        let asker = Asker(try bench.echo().destination, .beforeAnswer)
        bench.links.open(asker)
        #expect(bench.run { asker.isOpened })
        #expect(bench.link.reconnects == 1)
        #expect(bench.establishedCount == 1)
    }

    @Test("the end of the link fails what waits")
    func stop() throws {
        let bench = try Bench()
        let asker = Asker(Destination(.address(.loopback(.ipv4)), port: 9))
        bench.links.open(asker)
        bench.links.start()
        bench.links.stop()
        #expect(asker.failure == .connectionLost)
        bench.links.open(asker)
        #expect(bench.link.session == nil)
    }
}
