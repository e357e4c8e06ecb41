import Primitives
import Testing

@testable import QUIC

@Suite("Challenges and their answers (RFC 9000 §8.2)") struct PathProbeTests {
    private let elsewhere = NetworkAddress(IPAddress(ipv4: 0x0a00_0063), port: 7_000)

    private func responses(_ frames: [Frame]) -> [UInt64] {
        frames.compactMap { if case .pathResponse(let data) = $0 { data } else { nil } }
    }

    @Test(
        "a challenge on the active path is answered there, at full size and with a non-probing frame (§8.2.2, §9.3.3)")
    func activePath() throws {
        let pair = try ConnectionPair.connected()
        let count = pair.sent.count
        try pair.attack(from: .server, payload(.pathChallenge(0xabcd)), paddedTo: 1_200)
        pair.drain()
        let answer = try #require(pair.sent(by: .client, since: count).first)
        let frames = try pair.frames(in: answer)
        #expect(responses(frames) == [0xabcd])
        #expect(frames.contains { !$0.isProbing })
        #expect(answer.datagram.bytes.count == 1_200)
        #expect(answer.datagram.to == ConnectionPair.serverAddress)
    }

    @Test("one on another path is answered there, with probing frames only") func otherPath() throws {
        let pair = try ConnectionPair.connected()
        let count = pair.sent.count
        try pair.attack(from: .client, payload(.pathChallenge(0xabcd)), paddedTo: 1_200, source: elsewhere)
        pair.drain()
        let answers = try pair.sent(by: .server, since: count).filter { !responses(try pair.frames(in: $0)).isEmpty }
        #expect(answers.map(\.datagram.to) == [elsewhere])
        #expect(answers.map(\.datagram.bytes.count) == [1_200])
        #expect(try answers.allSatisfy { try pair.frames(in: $0).allSatisfy(\.isProbing) })
    }

    @Test("an answer to an address that may not get more is smaller, and within the limit (§8.2.2)") func limited()
        throws
    {
        let pair = try ConnectionPair.connected()
        let count = pair.sent.count
        let packet = try pair.clientConnection.forge(payload(.pathChallenge(1)), sentAt: pair.now)
        pair.inject(packet, to: .server, from: elsewhere)
        pair.drain()
        let sent = pair.sent(by: .server, since: count).filter { $0.datagram.to == elsewhere }
        #expect(sent.reduce(0) { $0 + $1.datagram.bytes.count } <= 3 * packet.count)
        #expect(try sent.contains { responses(try pair.frames(in: $0)) == [1] })
    }

    @Test("a lost answer is not sent again; a lost challenge is, with other data (§8.2.1, §8.2.2)")
    func noRetransmission() throws {
        let pair = try ConnectionPair.connected()
        pair.passes = { _, _ in false }
        let count = pair.sent.count
        try pair.attack(from: .server, payload(.pathChallenge(0xabcd)), paddedTo: 1_200)
        let client = try pair.clientConnection
        client.beginValidation(of: client.activePath, at: pair.now)
        pair.run(for: .seconds(2))
        let frames = try pair.frames(by: .client, since: count)
        #expect(responses(frames) == [0xabcd])
        let challenges = frames.compactMap { if case .pathChallenge(let data) = $0 { data } else { nil } }
        #expect(challenges.count > 2)
        #expect(Set(challenges).count == challenges.count)
    }

    @Test("a flood of challenges is answered a few at a time, and costs no memory (CVE-2023-49295)") func flood() throws
    {
        let pair = try ConnectionPair.connected()
        let count = pair.sent.count
        for round in 0..<UInt64(50) {
            // As many as a packet holds.
            try pair.attack(from: .client, payload((0..<100).map { .pathChallenge(round * 100 + $0) }))
            #expect(try pair.serverConnection.activePath.challenges.count <= ReceivedChallenges.maximumWaiting)
        }
        pair.drain()
        let answers = responses(try pair.frames(by: .server, since: count))
        #expect(answers.count == ReceivedChallenges.maximumWaiting)
        #expect(Set(answers).count == answers.count, "each is answered once")
        #expect(answers.last == 4_999)
    }

    @Test("an answer counts whatever path it comes on, and for the path that was challenged (§8.2.3)") func anyPath()
        throws
    {
        let pair = try ConnectionPair.connected()
        let server = try pair.serverConnection
        let count = pair.sent.count
        pair.passes = { _, _ in false }
        try pair.attack(from: .client, payload(.pathChallenge(1)), paddedTo: 1_200, source: elsewhere)
        pair.drain()
        let challenges = try pair.frames(by: .server, since: count).compactMap { frame in
            if case .pathChallenge(let data) = frame { data } else { nil }
        }
        let challenge = try #require(challenges.first)
        try pair.attack(from: .client, payload(.pathResponse(challenge ^ 1)))
        #expect(server.paths.paths.last?.validator.isValidated == false)
        try pair.attack(from: .client, payload(.pathResponse(challenge)))
        let path = try #require(server.paths.paths.last)
        #expect(path.remote == elsewhere)
        #expect(path.validator.isValidated)
        #expect(path.amplification == .lifted)
    }

    @Test("standbys are asked while the socket of the active path takes nothing, and get nothing else")
    func standbyAlone() throws {
        let pair = try ConnectionPair.connected()
        let client = try pair.clientConnection
        let id = try #require(client.openStream(.bidirectional))
        client.write([UInt8](repeating: 1, count: 5_000).span, to: id)
        let standby = NetworkAddress(IPAddress(ipv4: 0x0a01_0001), port: 4_000)
        try client.addLocalAddress(standby, at: pair.now)
        var bytes = [UInt8](repeating: 0, count: 1_500)
        var buffer = bytes.mutableSpan
        let probe = client.nextStandbyProbe(into: &buffer, at: pair.now)
        #expect(probe?.local == standby)
        #expect(probe?.byteCount == TransportLimits.minimumDatagramSize)
        #expect(client.nextStandbyProbe(into: &buffer, at: pair.now) == nil)
        #expect(client.unsentBytes(on: id) == 5_000)
    }

    @Test("answers that nobody asked for are ignored") func unasked() throws {
        let pair = try ConnectionPair.connected()
        for data in 0..<UInt64(100) {
            try pair.attack(from: .client, payload(.pathResponse(data)))
            try pair.attack(from: .server, payload(.pathResponse(data)))
        }
        #expect(try pair.serverConnection.state == .established)
        #expect(try pair.clientConnection.state == .established)
    }

    @Test("a path whose challenge was answered in a small datagram is validated again at full size (§8.2.1)")
    func fullSizeLater() throws {
        let pair = try ConnectionPair.connected()
        let server = try pair.serverConnection
        let client = try pair.clientConnection
        let id = try #require(client.openStream(.bidirectional))
        let count = pair.sent.count
        pair.rebind(to: elsewhere)
        client.write([1].span, to: id)
        pair.run(for: .milliseconds(500)) {
            server.activePath.remote == elsewhere && server.activePath.validator.isValidated
        }
        #expect(server.activePath.validator.isValidated)
        let sizes = try pair.sent(by: .server, since: count).filter { sent in
            guard sent.datagram.to == elsewhere else { return false }
            return try pair.frames(in: sent).contains { if case .pathChallenge = $0 { true } else { false } }
        }.map(\.datagram.bytes.count)
        #expect(try #require(sizes.first) < 1_200)
        #expect(sizes.last == 1_200)
    }

    @Test("three bytes for one towards an address that never answers, whatever waits to be sent (§8.1)")
    func amplification() throws {
        let pair = try ConnectionPair.connected()
        let server = try pair.serverConnection
        let id = try #require(server.openStream(.unidirectional))
        server.write([UInt8](repeating: 1, count: 1 << 20).span, to: id)
        pair.passes = { role, datagram in role == .client || datagram.to != elsewhere }
        let packet = try pair.clientConnection.forge(payload(.maxData(1 << 30)), paddedTo: 100, sentAt: pair.now)
        let count = pair.sent.count
        pair.inject(packet, to: .server, from: elsewhere)
        pair.passes = { _, _ in false }
        pair.run(for: .seconds(20))
        let sent = pair.sent(by: .server, since: count).filter { $0.datagram.to == elsewhere }
        #expect(sent.reduce(0) { $0 + $1.datagram.bytes.count } <= 300)
    }
}
