import Cryptography
import Primitives
import TLS
import Testing

@testable import QUIC

@Suite("Stateless resets (RFC 9000 §10.3)") struct StatelessResetEndpointTests {
    private func lostState() throws -> ConnectionPair {
        let pair = try ConnectionPair.connected()
        pair.server.remove(try #require(pair.serverHandle))
        return pair
    }

    @Test("a client whose server has lost its state learns of it with its next packet") func reset() throws {
        let pair = try lostState()
        let client = try pair.clientConnection
        let id = try #require(client.openStream(.bidirectional))
        client.write([UInt8](repeating: 1, count: 100).span, to: id)
        pair.run(for: .milliseconds(11))
        #expect(pair.end(of: .client) == .statelessReset)
        #expect(!client.state.isOpen)
        let reset = try #require(pair.sent(by: .server).last).datagram.bytes
        #expect(reset.count >= 21)
        #expect(reset.count <= StatelessReset.maximumLength)
        #expect(reset[0] & 0xc0 == 0x40)
        let count = pair.sent.count
        pair.run(for: .seconds(60))
        #expect(pair.sent.count == count, "nothing is sent after it")
        #expect(client.isClosed)
    }

    @Test("the reset is found whatever its first byte and connection ID", arguments: 0..<16 as Range<UInt64>)
    func randomBytes(_ seed: UInt64) throws {
        let pair = try lostState()
        var generator = SeededGenerator(seed: seed)
        let token = PairSetup.resetKey.token(
            for: try #require(pair.clientConnection.peerConnectionIDs.entries.first).id)
        let length = Int.random(in: 5...80, using: &generator)
        let bytes = QUICTests.randomBytes(length, &generator) + token.bytes
        #expect(pair.inject(bytes, to: .client) == .connection(pair.clientHandle))
        pair.drain()
        #expect(pair.end(of: .client) == .statelessReset)
    }

    @Test("one behind a connection ID that is known is found too") func knownID() throws {
        let pair = try lostState()
        let client = try pair.clientConnection
        let token = PairSetup.resetKey.token(for: try #require(client.peerConnectionIDs.entries.first).id)
        let own = try #require(client.localConnectionIDs.active.first).id
        pair.inject([0x41] + own.bytes + [UInt8](repeating: 5, count: 20) + token.bytes, to: .client)
        pair.drain()
        #expect(pair.end(of: .client) == .statelessReset)
    }

    @Test(
        "a token counts on the server's address, for an ID in use, and whole (§10.3.1)",
        arguments: ["elsewhere", "unused", "wrong", "short"])
    func ignored(_ fault: String) throws {
        let pair = try lostState()
        let client = try pair.clientConnection
        let entries = client.peerConnectionIDs.entries
        var bytes = [UInt8](repeating: 0x55, count: 24) + PairSetup.resetKey.token(for: entries[0].id).bytes
        var source = ConnectionPair.serverAddress
        switch fault {
        case "elsewhere": source = NetworkAddress(IPAddress(ipv4: 0x0909_0909), port: 443)
        case "unused":
            let spare = try #require(entries.first { $0.isSpare })
            bytes = [UInt8](repeating: 0x55, count: 24) + PairSetup.resetKey.token(for: spare.id).bytes
        case "wrong": bytes[bytes.count - 1] ^= 1
        default: bytes.removeFirst(20)
        }
        pair.inject(bytes, to: .client, from: source)
        pair.drain()
        #expect(client.state == .established)
        #expect(pair.end(of: .client) == nil)
    }

    @Test("a client's connection ID that was retired resets nothing any more") func retired() throws {
        let pair = try ConnectionPair.connected()
        let client = try pair.clientConnection
        let old = try #require(client.peerConnectionIDs.entries.first).id
        #expect(client.rotateConnectionID(at: pair.now) == true)
        pair.run(for: .milliseconds(100))
        pair.inject([UInt8](repeating: 0x55, count: 24) + PairSetup.resetKey.token(for: old).bytes, to: .client)
        #expect(client.state == .established)
    }

    @Test("an answer is smaller than what it answers, and there is none to the smallest (§10.3.3)") func sizes() throws
    {
        let pair = try ConnectionPair()
        for size in 9...100 {
            let before = pair.sent.count
            let bytes = [0x40] + [UInt8](repeating: UInt8(size), count: size - 1)
            let outcome = pair.inject(bytes, to: .server)
            pair.drain()
            let answers = pair.sent(by: .server, since: before)
            #expect(outcome == (size > 21 ? .reply : .dropped))
            #expect(answers.allSatisfy { $0.datagram.bytes.count < size })
        }
    }

    @Test("two endpoints that know nothing stop resetting each other (§21.11)") func loop() throws {
        let pair = try ConnectionPair()
        var packet = [0x40] + [UInt8](repeating: 1, count: 60)
        var role = Role.server
        var answers = 0
        while answers < 1_000 {
            let before = pair.sent.count
            guard pair.inject(packet, to: role) == .reply else { break }
            pair.drain()
            guard let answer = pair.sent(by: role, since: before).last?.datagram.bytes else { break }
            #expect(answer.count < packet.count)
            packet = answer
            role = role.peer
            answers += 1
        }
        #expect(answers < 45)
    }

    @Test("a worker resets no connection that may be another's (§21.11)") func otherWorkers() throws {
        let pair = try ConnectionPair { $0.place = WorkerPlace(index: 1, of: 4) }
        for byte in UInt8(0)...40 {
            let bytes = [0x40, byte] + [UInt8](repeating: 1, count: 60)
            #expect(pair.inject(bytes, to: .server) == (byte % 4 == 1 ? .reply : .dropped))
        }
    }

    @Test("resets are limited in a second (§10.3.3)") func rate() throws {
        let pair = try ConnectionPair()
        func flood() -> Int {
            (0..<1_000).count { index in
                defer { if index % 20 == 0 { pair.drain() } }
                let bytes = [0x40] + (0..<60).map { UInt8(truncatingIfNeeded: index &* 31 &+ $0) }
                return pair.inject(bytes, to: .server) == .reply
            }
        }
        #expect(flood() == ResetBudget.perSecond)
        pair.now += .milliseconds(999)
        #expect(flood() == 0)
        pair.now += .milliseconds(1)
        #expect(flood() == ResetBudget.perSecond)
    }

    @Test("the token hangs on the key and the connection ID alone, so that any worker can reset") func token() {
        let key = PairSetup.resetKey
        #expect(key.token(for: numberedID(1)) == key.token(for: numberedID(1)))
        #expect(key.token(for: numberedID(1)) != key.token(for: numberedID(2)))
        let other = StatelessResetKey(SecretBytes([UInt8](repeating: 9, count: 32)))
        #expect(key.token(for: numberedID(1)) != other.token(for: numberedID(1)))
    }
}
