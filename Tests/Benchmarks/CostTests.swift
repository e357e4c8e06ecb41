import CCosts
import Cryptography
import Foundation
import Primitives
import Testing

@testable import QUIC

/// Whether somebody asked for them.
private let costsAreWanted = ProcessInfo.processInfo.environment["GODWIT_COSTS"] != nil

/// What a packet of 1,350 bytes costs, in nanoseconds of processor time; each the least of several runs. Not run unless
/// asked for, since nothing passes or fails:
///
///     GODWIT_COSTS=1 swift test -c release -Xswiftc -enable-testing --filter CostTests
@Suite("Costs of a packet", .serialized, .enabled(if: costsAreWanted))
struct CostTests {
    private static let rounds = 10
    private static let count = 20_000
    private static let size = BulkTransfer.datagramSize
    private static let header = 13

    /// Prints the least time of a round, for one of `count`.
    private func measure(_ what: String, count: Int = CostTests.count, _ body: () throws -> Void) rethrows {
        var least = Int64.max
        for _ in 0..<Self.rounds {
            let before = gw_thread_nanoseconds()
            try body()
            least = min(least, gw_thread_nanoseconds() - before)
        }
        print("\(what): \(least / Int64(count)) ns")
    }

    @Test("sealing and opening, with each backend that is there")
    func protection() {
        let key = SecretBytes([UInt8](repeating: 1, count: 16))
        let iv = SecretBytes([UInt8](repeating: 2, count: 12))
        for backend in AEADSelection.current.available {
            let sealer = PacketSealer(suite: .aes128GCM, key: key, iv: iv, backend: backend)
            let opener = PacketOpener(suite: .aes128GCM, key: key, iv: iv, backend: backend)
            var packet = [UInt8](repeating: 3, count: Self.size)
            measure("seal, \(backend)") {
                var span = packet.mutableSpan
                for number in 0..<Self.count {
                    sealer.seal(&span, headerLength: Self.header, packetNumber: UInt64(number))
                }
            }
            // One packet after the other, so that each is authentic; sealing is measured above.
            let before = gw_thread_nanoseconds()
            var span = packet.mutableSpan
            var authentic = 0
            for number in 0..<Self.count {
                sealer.seal(&span, headerLength: Self.header, packetNumber: UInt64(number))
                if opener.open(&span, headerLength: Self.header, packetNumber: UInt64(number)) { authentic += 1 }
            }
            print("seal and open, \(backend): \((gw_thread_nanoseconds() - before) / Int64(Self.count)) ns")
            #expect(authentic == Self.count)
        }
    }

    @Test("decoding the frames of a packet")
    func frames() throws {
        // An ACK frame of one range, then STREAM with an offset up to the end: RFC 9000 §19.3, §19.8.
        var payload: [UInt8] = [0x02, 0x40, 0x64, 0x00, 0x00, 0x10, 0x0c, 0x00, 0x80, 0x01, 0x00, 0x00]
        payload += [UInt8](repeating: 7, count: Self.size - payload.count)
        try measure("decode an ACK and a STREAM frame") {
            for _ in 0..<Self.count {
                var decoder = FrameDecoder(payload.span, in: .oneRTT, from: .client)
                var frames = 0
                while try decoder.next() != nil { frames += 1 }
                guard frames == 2 else { throw Unexpected() }
            }
        }
    }

    struct Unexpected: Error {}

    @Test("entering packets and settling them by acknowledgements of 64 each")
    func acknowledgements() throws {
        var paths = NetworkPathTable()
        paths.append(
            NetworkPath(
                id: NetworkPathID(rawValue: 0), local: NetworkAddress(IPAddress(ipv4: 0x0a00_0001), port: 1_000),
                remote: NetworkAddress(IPAddress(ipv4: 0x0a00_0101), port: 443), algorithm: .cubic,
                ceiling: Self.size))
        let path = paths.paths[0]
        var detector = LossDetector(space: .application)
        var outcome = AckOutcome()
        var now = Instant(nanoseconds: 1_000_000_000)
        let payload: [UInt8] = []
        try measure("ledger and acknowledgement") {
            for _ in 0..<Self.count / 64 {
                let first = detector.nextPacketNumber
                for number in first..<first + 64 {
                    var frames = SentFrames()
                    frames.append(.stream(StreamID(rawValue: 0), offset: number * 1300, length: 1300, fin: .more))
                    let packet = SentPacket(
                        packetNumber: number, timeSent: now, size: Self.size, kind: .ackEliciting, ecn: .notCapable,
                        path: NetworkPathID(rawValue: 0), largestAcknowledged: nil, frames: frames)
                    detector.packetSent(packet, paths: paths)
                }
                now = now + .milliseconds(1)
                let frame = AckFrame(
                    largestAcknowledged: first + 63, encodedDelay: 0, firstRange: 63, additionalRangeCount: 0,
                    additionalRanges: 0..<0, ecn: nil)
                try detector.ackReceived(
                    frame, in: payload.span, ackDelay: .zero, maxAckDelay: .milliseconds(25), on: path, at: now,
                    paths: paths, into: &outcome)
            }
        }
    }

    @Test("a packet from the sender's ring to the receiver's, and asking for the deadline")
    func transfer() throws {
        let transfer = try BulkTransfer()
        transfer.run(packets: Self.count)
        measure("both ends of a transfer, ciphers included") { transfer.run(packets: Self.count) }
        var deadlines = 0
        measure("timers: the deadline of a connection") {
            for _ in 0..<Self.count where transfer.server.nextDeadline() != nil { deadlines += 1 }
        }
        #expect(deadlines == Self.count * Self.rounds)
    }
}
