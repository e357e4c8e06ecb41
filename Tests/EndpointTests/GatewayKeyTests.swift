import Configuration
import Cryptography
import Driver
import EventLoop
import Primitives
import QUIC
import TLS
import Telemetry
import Testing

@testable import Gateway
@testable import LocalEndpoint

@Suite("What gateways of one owner share")
struct GatewayKeyTests {
    private static func keys(_ byte: UInt8) -> GatewayKeys {
        GatewayKeys(ticketSecret: SecretBytes([UInt8](repeating: byte, count: GatewayKeys.secretLength)))
    }

    @Test(
        "a ticket of one gateway is good at another one with the same keys, and at no other", arguments: [true, false])
    func tickets(isShared: Bool) throws {
        let bench = try Bench()
        let first = try bench.otherGateway(keys: Self.keys(1))
        let second = try bench.otherGateway(keys: Self.keys(isShared ? 1 : 2))
        // Both keys are good for both, as with certificates of one authority.
        let pins = first.invite.pins + second.invite.pins
        func invite(_ invite: Invite) -> Invite { Invite(token: invite.token, gateway: invite.gateway, pins: pins) }
        let links = try bench.makeLinks([invite(first.invite)])
        let otherLinks = try bench.makeLinks([invite(second.invite)])
        let (near, far) = (links.links[0], otherLinks.links[0])
        near.start()
        #expect(bench.run { near.hasTicket })
        #expect(near.session?.driven.connection.handshakeSummary?.isResumed == false)
        far.keepTicket(try #require(near.takeTicket()).bytes)
        far.start()
        #expect(bench.run { far.session != nil })
        #expect(far.session?.driven.connection.handshakeSummary?.isResumed == isShared)
        links.stop()
        otherLinks.stop()
    }

    @Test("a command to drain has a time in it, and only one that is possible")
    func drainCommands() {
        #expect(GatewayProcess.drainLimit(in: "drain 1500") == .milliseconds(1_500))
        #expect(GatewayProcess.drainLimit(in: "drain 0") == .zero)
        for line in ["drain", "drain -1", "drain x", "drain 1 2", "drained 1", "drain 999999999999", ""] {
            #expect(GatewayProcess.drainLimit(in: line) == nil)
        }
    }

    @Test("the status of a gateway says that it is draining, and for how long")
    func status() {
        var status = GatewayStatus(listen: ["127.0.0.1:1"], reports: [])
        #expect(!status.text.contains("draining") && status.json.text.contains("\"draining_ms\":null"))
        status.draining = .seconds(9)
        #expect(status.text.contains("its tunnels have 9 s to end"))
        #expect(status.json.text.contains("\"draining_ms\":9000"))
    }
}
