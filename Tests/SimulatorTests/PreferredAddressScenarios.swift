import Primitives
import QUIC
import Simulator
import Testing

@Suite("A server's preferred address")
struct PreferredAddressScenarios {
    static let preferred = NetworkAddress(.v4(192, 0, 2, 77), port: 8_443)

    private static func scene(
        _ stage: Stage, _ link: LinkConditions, client: [any QUICApplication],
        server: @escaping () -> [any QUICApplication]
    ) throws -> QUICPair {
        let pair = try stage.quic(over: .wifi, client: client, server: server) {
            QUICOptions.steady(&$0)
            $0.client.preferredAddresses = .any
            $0.changeServer = { $0.preferredIPv4 = preferred }
        }
        _ = stage.link("preferred", of: pair.serverPlace, at: preferred.ip, link)
        return pair
    }

    /// RFC 9000 §9.6: validated first, then everything moves, and nothing is lost meanwhile.
    @Test(arguments: Flow.allCases)
    func isMovedToAfterTheHandshake(flow: Flow) {
        let report = play(
            Scenario("\(flow) by way of the preferred address") { stage in
                let receiver = BulkReceiver(1_500_000)
                let (client, server) = flow.applications(1_500_000, receiver)
                let pair = try Self.scene(stage, .ideal, client: client, server: server)
                stage.completes(within: .milliseconds(420))
                stage.expectStall(
                    of: receiver, from: .milliseconds(40), to: .milliseconds(420), atMost: .milliseconds(40))
                for (name, node) in [("client", pair.client), ("server", pair.server)] {
                    stage.expect("the \(name) uses the preferred address") {
                        guard let path = node.connection?.networkPaths.first?.path else { return false }
                        return path.remote == Self.preferred || path.local == Self.preferred
                    }
                }
            })
        #expect(report.trace.bytesSent(by: "client", to: Self.preferred.ip) > 20_000)
    }

    @Test(arguments: Flow.allCases)
    func isIgnoredWhereItCannotBeReached(flow: Flow) {
        play(
            Scenario("\(flow), nothing arrives at the preferred address") { stage in
                let receiver = BulkReceiver(1_500_000)
                let (client, server) = flow.applications(1_500_000, receiver)
                let pair = try Self.scene(
                    stage, .ideal.with { $0.loss = .random(1) }, client: client, server: server)
                stage.completes(within: .milliseconds(420))
                stage.expect("the client stays") {
                    pair.client.connection?.networkPaths.first?.path.remote == QUICPair.serverAddress
                }
            })
    }
}
