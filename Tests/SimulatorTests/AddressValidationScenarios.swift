import Primitives
import QUIC
import Simulator
import Testing

@Suite("A server that asks for proof of an address")
struct AddressValidationScenarios {
    private static func retrying(_ options: inout QUICOptions) {
        options.changeServer = { $0.retry = .always }
    }

    /// RFC 9000 §8.1.2
    @Test func costsOneMoreRoundTrip() {
        play(
            Scenario("Retry") { stage in
                let pair = try stage.quic(
                    over: .wifi, client: [IdleApplication()], server: { [IdleApplication()] }, Self.retrying)
                stage.completes(within: .milliseconds(62))
                stage.expect("the connections of the server", { pair.server.sessions.count }, equals: 1)
            })
    }

    @Test(arguments: Direction.allCases, 0..<5)
    func isNotStoppedByALostDatagram(direction: Direction, ordinal: Int) {
        play(
            Scenario("Retry, \(direction) datagram \(ordinal) lost") { stage in
                let losing = LinkConditions.wifi.with { $0.lostOrdinals = [ordinal] }
                _ = try stage.quic(
                    over: direction == .outbound ? losing : .wifi, inbound: direction == .inbound ? losing : .wifi,
                    client: [IdleApplication()], server: { [IdleApplication()] }, Self.retrying)
                stage.completes(within: .milliseconds(1_150))
            })
    }

    /// RFC 9000 §8.1.3
    @Test func letsAClientComeBackWithItsToken() {
        play(
            Scenario("the token of NEW_TOKEN") { stage in
                let pair = try stage.quic(
                    over: .wifi, client: [IdleApplication()], server: { [IdleApplication()] }, Self.retrying)
                let again = IdleApplication()
                func token() -> [UInt8]? {
                    for case .newToken(let token) in pair.client.events { return token }
                    return nil
                }
                stage.when({ token() != nil }) { network in
                    var parameters = QUICPair.parameters(pair.options, pair.credentials)
                    parameters.local.port += 1
                    parameters.token = token() ?? []
                    do {
                        try pair.client.connect(parameters, running: [again], at: network.now)
                    } catch {
                        Issue.record("could not connect again: \(error)")
                    }
                }
                // Three round trips with Retry, two without.
                stage.completes(within: .milliseconds(103))
                stage.expect("the second handshake is confirmed") { again.isFinished }
            })
    }
}

@Suite("A client that is offered other versions")
struct VersionNegotiationScenarios {
    /// A copy of a Version Negotiation packet with other versions in it.
    private static func offering(_ versions: [UInt8], in datagram: Datagram) -> Datagram {
        var copy = datagram
        let destination = Int(datagram.bytes[5])
        let source = Int(datagram.bytes[6 + destination])
        copy.bytes = Array(datagram.bytes.prefix(7 + destination + source)) + versions
        return copy
    }

    /// The client's first datagram in a version that nobody speaks.
    private static func unknownVersion(_ datagram: Datagram) -> Datagram {
        var copy = datagram
        copy.bytes.replaceSubrange(1..<5, with: [0x1A, 0x2A, 0x3A, 0x4A])
        return copy
    }

    /// RFC 9000 §6.2: an offer that names the version in use was provoked by somebody else.
    @Test func ignoresAnOfferOfItsOwnVersion() {
        play(
            Scenario("somebody changes the version on the way") { stage in
                let pair = try stage.quic(over: .wifi, client: [IdleApplication()], server: { [IdleApplication()] })
                stage.network.intercept(pair.link, .outbound) { datagram, ordinal, _ in
                    ordinal == 0 ? .replace([Self.unknownVersion(datagram)]) : .pass
                }
                stage.completes(within: .milliseconds(1_100))
            })
    }

    @Test func givesUpWhenNoneIsItsOwn() {
        play(
            Scenario("only other versions") { stage in
                let pair = try stage.quic(over: .wifi, client: [], server: { [] })
                stage.network.intercept(pair.link, .outbound) { datagram, _, _ in
                    .replace([Self.unknownVersion(datagram)])
                }
                stage.network.intercept(pair.link, .inbound) { datagram, _, _ in
                    .replace([Self.offering([0x6B, 0x33, 0x43, 0xCF], in: datagram)])
                }
                stage.continues(for: .milliseconds(30))
                stage.expect("the end of the connection") {
                    pair.client.events == [.closed(.versionNegotiation(offered: [0x6B33_43CF]))]
                }
            })
    }
}
