import Primitives
import TLS
import Testing

@testable import QUIC

@Suite("ACK_FREQUENCY and IMMEDIATE_ACK on a connection (draft-ietf-quic-ack-frequency)")
struct AckFrequencyConnectionTests {
    private func frame(sequence: UInt64 = 0, threshold: UInt64 = 9, delay: UInt64 = 5_000) -> AckFrequencyFrame {
        AckFrequencyFrame(
            sequence: sequence, threshold: threshold, maxAckDelayMicroseconds: delay, reorderingThreshold: 3)
    }

    private func isRequest(_ frame: Frame) -> Bool {
        switch frame {
        case .ackFrequency, .immediateAck: true
        default: false
        }
    }

    /// Writes `bytes` at the server and lets time pass until the client has them.
    private func transfer(_ bytes: Int, over pair: ConnectionPair) throws {
        let server = try pair.serverConnection
        let id = try #require(server.openStream(.unidirectional))
        server.write([UInt8](repeating: 7, count: bytes).span, to: id)
        server.finish(id)
        let client = try pair.clientConnection
        pair.run(for: .seconds(2)) {
            while !client.read(from: id, atMost: 1 << 16).isEmpty {}
            return client.isFinishedReading(id)
        }
        #expect(client.isFinishedReading(id))
        pair.run(for: .milliseconds(200))
    }

    @Test(
        "a delay below the announced one, or that no max_ack_delay may have, is PROTOCOL_VIOLATION (§4)",
        arguments: [
            (0, true), (999, true), (1_000, false), (16_383_999, false), (16_384_000, true), (Varint.max, true),
        ] as [(UInt64, Bool)])
    func delays(_ delay: UInt64, isRefused: Bool) throws {
        for attacker in [Role.client, .server] {
            let pair = try ConnectionPair.connected()
            try pair.attack(from: attacker, payload(.ackFrequency(frame(delay: delay))))
            #expect(try pair.connection(of: attacker.peer).failure == (isRefused ? .protocolViolation : nil))
        }
    }

    @Test("an obsolete frame is ignored (§4), but not what it may not say")
    func obsolete() throws {
        let pair = try ConnectionPair.connected()
        let server = try pair.serverConnection
        try pair.attack(from: .client, payload(.ackFrequency(frame(sequence: 7))))
        #expect(server.application.received.policy.threshold == 10)
        try pair.attack(from: .client, payload(.ackFrequency(frame(sequence: 7, threshold: 3))))
        #expect(server.application.received.policy.threshold == 10)
        try pair.attack(from: .client, payload(.ackFrequency(frame(sequence: 1, delay: 0))))
        #expect(server.failure == .protocolViolation)
    }

    @Test("to an end that did not announce min_ack_delay the frames are unknown")
    func unannounced() throws {
        for attack in [ControlFrame.immediateAck, .ackFrequency(frame())] {
            let pair = try ConnectionPair.connected { $0.serverTransport.minimumAckDelay = nil }
            try pair.attack(from: .client, payload(attack))
            #expect(try pair.serverConnection.failure == .frameEncodingError)
        }
    }

    @Test("IMMEDIATE_ACK is acknowledged at once, whatever was asked for before")
    func immediate() throws {
        let pair = try ConnectionPair.connected()
        try pair.attack(from: .client, payload(.ackFrequency(frame(threshold: 100)), .immediateAck))
        let count = pair.sent.count
        pair.drain()
        #expect(pair.sent(by: .server, since: count).count == 1)
        let later = pair.sent.count
        try pair.attack(from: .client, payload(.ping))
        pair.drain()
        #expect(pair.sent(by: .server, since: later).isEmpty)
    }

    @Test("a peer that did not announce min_ack_delay gets none of it", arguments: [Role.client, .server])
    func silentTowardsOthers(_ other: Role) throws {
        let pair = try ConnectionPair.connected { setup in
            setup.configureTransport { $0.keepAliveInterval = .milliseconds(50) }
            switch other {
            case .client: setup.clientTransport.minimumAckDelay = nil
            case .server: setup.serverTransport.minimumAckDelay = nil
            }
        }
        try pair.connection(of: other.peer).setKeepAlive(.on)
        try transfer(400_000, over: pair)
        // What one end does not announce it does not use either.
        #expect(!(try pair.frames(by: .client) + pair.frames(by: .server)).contains(where: isRequest))
    }

    @Test("a PING that asks for life, and a probe after a timeout, ask for an answer at once")
    func probes() throws {
        let pair = try ConnectionPair.connected()
        let client = try pair.clientConnection
        var count = pair.sent.count
        client.ping(at: pair.now)
        pair.drain()
        #expect(try pair.frames(by: .client, since: count).contains(.immediateAck))
        pair.run(for: .milliseconds(200))
        pair.passes = { _, _ in false }
        let id = try #require(client.openStream(.unidirectional))
        client.write([1, 2, 3].span, to: id)
        pair.drain()
        count = pair.sent.count
        pair.run(for: .milliseconds(100))
        let probe = try #require(pair.sent(by: .client, since: count).first)
        #expect(try pair.frames(in: probe).contains(.immediateAck))
    }

    @Test("the probe timeout goes on reckoning with the max_ack_delay of the handshake (§7)")
    func probeTimeout() throws {
        let pair = try ConnectionPair.connected()
        try transfer(400_000, over: pair)
        let server = try pair.serverConnection
        #expect(try pair.frames(by: .server).contains { if case .ackFrequency = $0 { true } else { false } })
        #expect(server.peerMaximumAckDelay == .milliseconds(25))
    }

    @Test("min_ack_delay is never announced above max_ack_delay (§3)")
    func announced() throws {
        var configuration = TransportConfiguration()
        configuration.maximumAckDelay = .milliseconds(3)
        configuration.minimumAckDelay = .milliseconds(10)
        #expect(TransportParameters(configuration).minAckDelay == .milliseconds(3))
        configuration.minimumAckDelay = nil
        #expect(TransportParameters(configuration).minAckDelay == nil)
    }
}
