import Cryptography
import Primitives
import TLS
import Testing

/// Thousands of seeded inputs that no honest peer sends: none may trap, and none may make the ends disagree.
struct TamperingTests {
    let own: Identity
    let client: TLSContext
    let server: TLSContext

    init() throws {
        let identity = try Fixture.ed25519.get()
        let own = try Fixture.ed25519.get()
        self.own = own
        client = try Fixture.client(trusting: identity, showing: own)
        server = try Fixture.server(identity) { $0.clientVerification = .required(anchors: [own.certificate]) }
    }

    @Test("a tampered handshake fails, stalls, or was not harmed", arguments: 0..<4)
    func tampering(series: UInt64) throws {
        var failures = 0
        for seed in (series * 150)..<(series * 150 + 150) {
            var generator = SeededGenerator(seed: seed)
            let handshake = try Handshake(client: client, server: server)
            let rate = UInt64(1 + seed % 5)
            handshake.tamper = { _, _, bytes in
                guard generator.next() % rate == 0 else { return bytes }
                return Self.change(bytes, &generator)
            }
            do throws(TLSError) {
                try handshake.run([.whole, .bytes(37), .bytes(300)][Int(seed % 3)])
            } catch {
                failures += 1
                #expect(error.kind != .internalFailure && error.kind != .configuration, "seed \(seed): \(error)")
                #expect(error.alert != 0)
            }
            // A transcript that was tampered with never ends in two finished ends that disagree.
            if handshake.client.summary != nil, handshake.server.summary != nil {
                #expect(handshake.secretsAgree, "seed \(seed)")
            }
        }
        #expect(failures > 90)
    }

    static func change(_ bytes: [UInt8], _ generator: inout SeededGenerator) -> [UInt8] {
        var bytes = bytes
        switch generator.next() % 4 {
        case 0: bytes.removeLast(Int.random(in: 0...bytes.count, using: &generator))
        case 1: bytes.insert(UInt8.random(in: 0...255, using: &generator), at: bytes.count / 2)
        default:
            for _ in 0...Int.random(in: 0..<3, using: &generator) {
                let index = Int.random(in: 0..<bytes.count, using: &generator)
                bytes[index] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
            }
        }
        return bytes
    }

    /// The steps of a handshake at which garbage arrives.
    enum Step: CaseIterable {
        case serverBeforeHello
        case clientBeforeHello
        case serverAfterHello
        case clientAfterHello
        case clientAfterCompletion
        case serverAfterCompletion
    }

    @Test("garbage at any step is refused or waited upon", arguments: Step.allCases)
    func garbage(step: Step) throws {
        // Where a whole handshake comes before, fewer inputs keep the test short.
        let isAfterHandshake = step == .clientAfterCompletion || step == .serverAfterCompletion
        for seed in 0..<(isAfterHandshake ? 100 : 300) as Range<UInt64> {
            var generator = SeededGenerator(seed: seed)
            let handshake = try Handshake(client: client, server: server)
            let (end, level, types) = try Self.advance(handshake, to: step)
            var bytes = (0..<Int.random(in: 1...2000, using: &generator)).map { _ in
                UInt8.random(in: 0...255, using: &generator)
            }
            // Half of the inputs have a credible header, so that OpenSSL gets to see them.
            if seed % 2 == 0, let type = types.randomElement(using: &generator), bytes.count > 4 {
                bytes = MessageEditing.message(type, Array(bytes.dropFirst(4)))
            }
            do throws(TLSError) {
                try end.engine.receive(bytes.span, at: level)
            } catch {
                #expect(error.kind != .internalFailure && error.kind != .configuration, "seed \(seed): \(error)")
            }
            end.drain()
        }
    }

    /// Runs a handshake up to a step; says which end is next, at which level, and with which message types.
    static func advance(
        _ handshake: Handshake, to step: Step
    ) throws -> (HandshakeEnd, EncryptionLevel, [UInt8]) {
        let (client, server) = (handshake.client, handshake.server)
        switch step {
        case .serverBeforeHello: return (server, .initial, [1])
        case .clientAfterCompletion, .serverAfterCompletion:
            try handshake.run()
            return step == .clientAfterCompletion ? (client, .oneRTT, [4]) : (server, .oneRTT, [4, 24])
        case .clientBeforeHello, .serverAfterHello, .clientAfterHello:
            try client.engine.start()
            client.drain()
            guard step != .clientBeforeHello else { return (client, .initial, [2]) }
            for (level, bytes) in client.toSend { try server.engine.receive(bytes.span, at: level) }
            server.drain()
            guard step == .clientAfterHello else { return (server, .handshake, [11, 15, 20]) }
            for (level, bytes) in server.toSend where level == .initial {
                try client.engine.receive(bytes.span, at: level)
            }
            client.drain()
            return (client, .handshake, [8, 11, 13, 15, 20])
        }
    }
}
