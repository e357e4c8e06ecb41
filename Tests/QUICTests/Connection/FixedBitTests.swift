import Primitives
import Testing

@testable import QUIC

@Suite("The fixed bit (RFC 9287)") struct FixedBitTests {
    private struct Counts: Equatable {
        var longSet = 0
        var longClear = 0
        var shortSet = 0
        var shortClear = 0
    }

    /// Counts the values that the bit had in the first packets of an end's datagrams.
    private func counts(_ pair: ConnectionPair, by role: Role) -> Counts {
        var counts = Counts()
        for sent in pair.sent(by: role) {
            let first = sent.datagram.bytes[0]
            switch (first & FirstByte.longHeader != 0, first & FirstByte.fixedBit != 0) {
            case (true, true): counts.longSet += 1
            case (true, false): counts.longClear += 1
            case (false, true): counts.shortSet += 1
            case (false, false): counts.shortClear += 1
            }
        }
        return counts
    }

    private func transfer(_ configure: (inout PairSetup) -> Void = { _ in }) throws -> ConnectionPair {
        let pair = try ConnectionPair.connected(configure)
        let client = try pair.clientConnection
        let id = try #require(client.openStream(.bidirectional))
        for _ in 0..<20 {
            client.write([1].span, to: id)
            pair.run(for: .milliseconds(30))
        }
        return pair
    }

    @Test("it varies in 1-RTT packets toward a peer that takes any value, and is set in all others (§3.1)")
    func varies() throws {
        let pair = try transfer()
        for role in [Role.client, .server] {
            let counts = counts(pair, by: role)
            #expect(counts.shortClear > 5 && counts.shortSet > 5)
            #expect(counts.longClear == 0 && counts.longSet > 0)
        }
    }

    @Test("it is always set toward a peer that has not announced that it takes any value (§3)")
    func notAnnounced() throws {
        let pair = try transfer { $0.serverTransport.acceptsGreasedFixedBit = false }
        #expect(counts(pair, by: .client).shortClear == 0)
        #expect(counts(pair, by: .server).shortClear > 0, "what the client takes is another matter")
    }

    @Test("an end that takes one value only drops packets with the other (RFC 9000 §17.3.1)")
    func required() throws {
        let pair = try ConnectionPair.connected { $0.serverTransport.acceptsGreasedFixedBit = false }
        let client = try pair.clientConnection
        client.peerParameters?.greasesQUICBit = true
        let count = pair.sent.count
        pair.passes = { _, _ in false }
        let id = try #require(client.openStream(.bidirectional))
        for _ in 0..<4 {
            client.write([1].span, to: id)
            pair.drain()
        }
        let datagrams = pair.sent(by: .client, since: count).map(\.datagram.bytes)
        let isClear = datagrams.map { $0[0] & FirstByte.fixedBit == 0 }
        #expect(isClear.contains(true) && isClear.contains(false))
        let outcomes = datagrams.map { pair.inject($0, to: .server) }
        #expect(outcomes.map { $0 == .dropped } == isClear)
    }
}
