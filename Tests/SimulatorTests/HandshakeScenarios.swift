import Primitives
import QUIC
import Simulator
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
