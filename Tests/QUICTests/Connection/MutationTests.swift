import Primitives
import TLS
import Testing

@testable import QUIC

/// Bytes that no peer would send, at both ends, in every state: nothing traps, and the state stays sane.
@Suite("Mutated datagrams and frames") struct MutationTests {
    /// How far a connection is when the bytes arrive.
    enum Stage: CaseIterable {
        case beforeAnswer, handshaking, confirmed, migrating, closing, draining, closed
    }

    private func pair(at stage: Stage, seed: UInt64) throws -> ConnectionPair {
        let pair = try ConnectionPair {
            $0.seed = seed
            $0.configureTransport { $0.maximumDatagramFrameSize = 1_000 }
        }
        switch stage {
        case .beforeAnswer: pair.run(for: .milliseconds(6))
        case .handshaking: pair.run(for: .milliseconds(13))
        default: pair.run(for: .milliseconds(300))
        }
        switch stage {
        case .migrating:
            try pair.attack(from: .client, [1], source: NetworkAddress(IPAddress(ipv4: 0x0a00_0063), port: 7_000))
        case .closing, .closed: try pair.clientConnection.close(errorCode: 1, reason: "", at: pair.now)
        case .draining: try pair.attack(from: .client, [0x1d, 0x05, 0x00])
        case .beforeAnswer, .handshaking, .confirmed: break
        }
        if stage == .closed { pair.run(for: .seconds(60)) }
        return pair
    }

    private func mutate(_ bytes: [UInt8], with others: [[UInt8]], _ generator: inout SeededGenerator) -> [UInt8] {
        var bytes = bytes
        for _ in 0..<Int.random(in: 1...4, using: &generator) {
            let position = bytes.isEmpty ? 0 : Int.random(in: 0..<bytes.count, using: &generator)
            switch Int.random(in: 0...6, using: &generator) {
            case 0 where !bytes.isEmpty: bytes[position] ^= 1 << UInt8.random(in: 0...7, using: &generator)
            case 1 where !bytes.isEmpty: bytes[position] = UInt8.random(in: .min ... .max, using: &generator)
            case 2: bytes.removeSubrange(position...)
            case 3: bytes += randomBytes(Int.random(in: 1...40, using: &generator), &generator)
            case 4 where !bytes.isEmpty: bytes.remove(at: position)
            case 5:
                let other = others.randomElement(using: &generator) ?? []
                bytes = Array(bytes[..<position]) + other.suffix(max(0, other.count - position))
            default: bytes.insert(UInt8.random(in: .min ... .max, using: &generator), at: position)
            }
        }
        return Array(bytes.prefix(2_000))
    }

    private func expectSane(_ connection: Connection, at now: Instant, _ comment: Comment) {
        #expect(connection.paths.paths.count <= Connection.maximumPaths, comment)
        #expect(connection.paths.paths.contains { $0 === connection.activePath } || !connection.state.isOpen, comment)
        #expect(connection.peerConnectionIDs.entries.count <= 9, comment)
        #expect(connection.localConnectionIDs.active.count <= LocalConnectionIDs.preferredPoolSize, comment)
        #expect(connection.undecryptable.count < 300, comment)
        if let deadline = connection.nextDeadline(), deadline <= now { connection.deadlineReached(at: now) }
        #expect(
            connection.lastValidatedPath.map { last in connection.paths.paths.contains { $0 === last } } ?? true,
            comment)
    }

    @Test("mutated datagrams of a real exchange", arguments: Stage.allCases)
    func datagrams(_ stage: Stage) throws {
        for seed in 0..<UInt64(4) {
            var generator = SeededGenerator(seed: seed &* 31 &+ 7)
            let pair = try pair(at: stage, seed: seed)
            let genuine = pair.sent.map(\.datagram.bytes)
            for _ in 0..<150 {
                let bytes = mutate(genuine.randomElement(using: &generator) ?? [], with: genuine, &generator)
                let role = Bool.random(using: &generator) ? Role.client : .server
                let isElsewhere = Int.random(in: 0...4, using: &generator) == 0
                let source = isElsewhere ? NetworkAddress(IPAddress(ipv4: 0x0a00_0064), port: 1) : nil
                pair.inject(bytes, to: role, from: source)
                pair.drain()
                expectSane(try pair.clientConnection, at: pair.now, "client, seed \(seed)")
                guard pair.serverHandle != nil else { continue }
                expectSane(try pair.serverConnection, at: pair.now, "server, seed \(seed)")
            }
            #expect(pair.server.connectionCount == 1)
            guard stage == .confirmed else { continue }
            // Nothing that lacks the keys has done any harm.
            #expect(try pair.clientConnection.state == .established)
            #expect(try pair.serverConnection.state == .established)
        }
    }

    /// Mutated frames in packets that authenticate.
    private func attack(_ pair: ConnectionPair, _ level: EncryptionLevel, _ generator: inout SeededGenerator) throws {
        let attacker = Bool.random(using: &generator) ? Role.client : .server
        let count = Int.random(in: 1...6, using: &generator)
        var frames = (0..<count).map { _ in sampleFrames.randomElement(using: &generator)?.bytes ?? [] }
        if Bool.random(using: &generator) {
            frames[0] = mutate(frames[0], with: sampleFrames.map(\.bytes), &generator)
        }
        guard try pair.connection(of: attacker).space(of: level)?.keys.write != nil || level == .oneRTT else { return }
        let isElsewhere = level == .oneRTT && Int.random(in: 0...5, using: &generator) == 0
        let port = UInt16.random(in: 1...20, using: &generator)
        try pair.attack(
            from: attacker, Array(frames.joined().prefix(1_000)), at: level, paddedTo: level == .initial ? 1_200 : 0,
            source: isElsewhere ? NetworkAddress(IPAddress(ipv4: 0x0a00_0064), port: port) : nil)
    }

    @Test("mutated frames in authentic packets", arguments: 0..<60 as Range<UInt64>)
    func frames(_ seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let stage: Stage = [.confirmed, .migrating, .closing, .draining].randomElement(using: &generator) ?? .confirmed
        let pair = try pair(at: stage, seed: seed)
        for _ in 0..<40 {
            try attack(pair, .oneRTT, &generator)
            if Bool.random(using: &generator) { pair.run(for: .milliseconds(3)) }
            for role in [Role.client, .server] {
                expectSane(try pair.connection(of: role), at: pair.now, "\(role), seed \(seed)")
            }
        }
        pair.run(for: .seconds(100))
        #expect(try pair.clientConnection.isClosed)
        #expect(try pair.serverConnection.isClosed)
        #expect(pair.end(of: .client) != nil)
    }

    @Test(
        "mutated frames in Initial and Handshake packets, whose keys an observer may have",
        arguments: 0..<30 as Range<UInt64>)
    func handshakeFrames(_ seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let pair = try pair(at: seed % 2 == 0 ? .beforeAnswer : .handshaking, seed: seed)
        for _ in 0..<20 {
            let level: EncryptionLevel = Bool.random(using: &generator) ? .initial : .handshake
            try attack(pair, level, &generator)
            if Bool.random(using: &generator) { pair.run(for: .milliseconds(1)) }
            for role in [Role.client, .server] {
                expectSane(try pair.connection(of: role), at: pair.now, "\(role), seed \(seed)")
            }
        }
        pair.run(for: .seconds(100))
        #expect(try pair.clientConnection.isClosed)
        #expect(try pair.serverConnection.isClosed)
    }
}
