import Primitives
import QUIC
import Simulator
import TLS
import Testing

/// A client and a server that want nothing but a confirmed handshake.
private func handshake(
    _ name: String, seed: UInt64 = 1, over outbound: LinkConditions = .wifi, inbound: LinkConditions? = nil,
    within limit: Interval, _ tell: @escaping @Sendable (QUICPair) -> Void = { _ in }
) -> Scenario {
    Scenario(name, seed: seed) { stage in
        let pair = try stage.quic(
            over: outbound, inbound: inbound, client: [IdleApplication()], server: { [IdleApplication()] })
        stage.completes(within: limit)
        tell(pair)
    }
}

@Suite("A handshake")
struct HandshakeScenarios {
    @Test func isConfirmedInTwoRoundTripsAndAFewDatagrams() {
        play(
            handshake("clean", within: .milliseconds(42)) { pair in
                pair.stage.sends(atMost: 6_000, from: pair.clientPlace)
                pair.stage.sends(atMost: 6_000, from: pair.serverPlace)
            })
    }

    @Test func givesTheSameTraceForTheSameSeed() {
        let scenario = handshake(
            "the same again", seed: 5, over: .cellular.with { $0.loss = .random(0.2) }, within: .seconds(10))
        #expect(scenario.run().trace.hash == scenario.run().trace.hash)
    }

    @Test(arguments: Direction.allCases, 0..<8)
    func survivesTheLossOfAnyOneDatagram(direction: Direction, ordinal: Int) {
        let losing = LinkConditions.wifi.with { $0.lostOrdinals = [ordinal] }
        play(
            handshake(
                "\(direction) datagram \(ordinal) lost", over: direction == .outbound ? losing : .wifi,
                inbound: direction == .inbound ? losing : .wifi, within: .milliseconds(1_100)))
    }

    @Test func survivesTheLossOfTheFirstFlightTwice() {
        play(
            handshake(
                "first flight lost twice", over: .wifi.with { $0.lostOrdinals = [0, 1, 2] }, inbound: .wifi,
                within: .milliseconds(3_200)))
    }

    @Test(arguments: 1...20 as ClosedRange<UInt64>)
    func survivesALossOfThirtyPercent(seed: UInt64) {
        play(
            handshake(
                "30 % loss", seed: seed, over: .wifi.with { $0.loss = .random(0.3) }, within: .seconds(10)))
    }

    @Test(arguments: 1...10 as ClosedRange<UInt64>)
    func survivesReordering(seed: UInt64) {
        play(
            handshake(
                "reordered", seed: seed, over: .wifi.with { $0.reordering = Reordering(0.5, by: .milliseconds(15)) },
                within: .milliseconds(300)))
    }

    @Test(arguments: 1...5 as ClosedRange<UInt64>)
    func survivesDuplication(seed: UInt64) {
        play(
            handshake(
                "everything twice", seed: seed, over: .wifi.with { $0.duplication = 1 }, within: .milliseconds(60)))
    }

    @Test(arguments: 1...20 as ClosedRange<UInt64>)
    func survivesCorruption(seed: UInt64) {
        play(
            handshake(
                "every fourth datagram corrupted", seed: seed, over: .wifi.with { $0.corruption = 0.25 },
                within: .seconds(10)))
    }
}

@Suite("A handshake that is out of the ordinary")
struct UnusualHandshakeScenarios {
    /// A certificate chain of 38 KB: eleven times what a server may send to an address that has not answered.
    private static let largeChain = Result { try QUICCredentials(additionalNames: 140) }

    @Test func carriesALargeCertificate() {
        play(
            Scenario("38 KB of certificates") { stage in
                let credentials = try Self.largeChain.get()
                let pair = try stage.quic(over: .wifi, client: [IdleApplication()], server: { [IdleApplication()] }) {
                    $0.credentials = credentials
                }
                stage.completes(within: .milliseconds(110))
                stage.sends(atMost: 50_000, from: pair.serverPlace)
            })
    }

    @Test(arguments: 1...5 as ClosedRange<UInt64>)
    func carriesALargeCertificateOverABadLink(seed: UInt64) {
        play(
            Scenario("38 KB of certificates, 20 % loss", seed: seed) { stage in
                let credentials = try Self.largeChain.get()
                _ = try stage.quic(
                    over: .wifi.with { $0.loss = .random(0.2) }, client: [IdleApplication()],
                    server: { [IdleApplication()] }
                ) { $0.credentials = credentials }
                stage.completes(within: .seconds(8))
            })
    }

    /// RFC 9000 §8.1: three times what arrived, however often probe timeouts pass.
    @Test func sendsNoMoreThanThreeTimesWhatAnUnprovenAddressSent() {
        play(
            Scenario("only the first datagram of the client arrives") { stage in
                let credentials = try Self.largeChain.get()
                let pair = try stage.quic(
                    over: .wifi.with { $0.lostOrdinals = Set(1..<100) }, inbound: .wifi, client: [],
                    server: { [] }
                ) { $0.credentials = credentials }
                stage.when({ pair.server.events.contains(.closed(.handshakeTimeout)) }, { _ in })
                stage.completes(within: .seconds(11))
                stage.sends(atMost: 3 * 1_200, from: pair.serverPlace)
            })
    }

    /// RFC 9002 §6.2.2.1: the server may send no more, and all that the client could acknowledge is lost.
    @Test func isUnblockedByTheClientsProbes() {
        play(
            Scenario("the client's second to fourth datagrams are lost") { stage in
                let credentials = try Self.largeChain.get()
                _ = try stage.quic(
                    over: .wifi.with { $0.lostOrdinals = [1, 2, 3] }, inbound: .wifi, client: [IdleApplication()],
                    server: { [IdleApplication()] }
                ) { $0.credentials = credentials }
                stage.completes(within: .milliseconds(500))
            })
    }

    @Test func agreesOnAnotherKeyExchangeInOneMoreRoundTrip() {
        play(
            Scenario("HelloRetryRequest") { stage in
                let credentials = try QUICCredentials { role, options in
                    options.groups = role == .client ? [.x25519, .secp256r1] : [.secp256r1]
                }
                _ = try stage.quic(over: .wifi, client: [IdleApplication()], server: { [IdleApplication()] }) {
                    $0.credentials = credentials
                }
                stage.completes(within: .milliseconds(62))
            })
    }

    @Test func endsWhenTheClientDoesNotTrustTheServer() {
        play(
            Scenario("a foreign certificate") { stage in
                let trusted = try QUICCredentials()
                let pair = try stage.quic(over: .wifi, client: [], server: { [] }) {
                    $0.changeParameters = { $0.tls = trusted.clientContext }
                }
                stage.continues(for: .seconds(5))
                stage.expect("the client says why") {
                    pair.client.events.contains {
                        if case .closed(.failed(let error)) = $0 { error.code.rawValue >> 8 == 1 } else { false }
                    }
                }
                stage.expect("the server learns why") {
                    pair.server.events.contains {
                        if case .closed(.failedByPeer(let error)) = $0 { error.code.rawValue >> 8 == 1 } else { false }
                    }
                }
            })
    }

    @Test func isGivenUpWhenNobodyAnswers() {
        play(
            Scenario("a black hole") { stage in
                let pair = try stage.quic(over: .wifi, client: [], server: { [] })
                stage.at(.zero) { $0.set(.blackhole, of: pair.link) }
                stage.when({ pair.client.events.contains(.closed(.handshakeTimeout)) }, { _ in })
                stage.completes(within: .milliseconds(10_001))
                stage.continues(for: .seconds(60))
                stage.sends(atMost: 8 * 1_200, from: pair.clientPlace)
            })
    }
}
