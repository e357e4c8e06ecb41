import Primitives
import Testing

@testable import QUIC

@Suite("Ledger of sent packets")
struct RecoveryLedgerTests {
    private func packet(_ number: UInt64, kind: SentPacket.Kind = .ackEliciting) -> SentPacket {
        SentPacket(
            packetNumber: number, timeSent: at(Double(number)), size: 1_200, kind: kind, ecn: .notCapable,
            path: NetworkPathID(rawValue: 0), largestAcknowledged: nil, frames: SentFrames())
    }

    @Test func findsUnsettledPacketsAcrossGapsAndWords() {
        var ledger = SentPacketLedger()
        for number in UInt64(0)..<300 {
            if number % 100 == 50 { ledger.skip() } else { ledger.append(packet(number), mark: .init()) }
        }
        for number in UInt64(0)..<300 where number % 100 != 50 && number != 7 && number != 290 {
            _ = ledger.acknowledge(number)
        }
        #expect(ledger.nextOutstanding(from: 0, through: .max) == 7)
        #expect(ledger.nextOutstanding(from: 8, through: .max) == 290)
        #expect(ledger.nextOutstanding(from: 8, through: 289) == nil)
        #expect(ledger.nextOutstanding(from: 291, through: .max) == nil)
        #expect(ledger.declareLost(7, at: at(1_000)).packetNumber == 7)
        #expect(ledger.nextOutstanding(from: 0, through: .max) == 290)
        #expect(ledger.nextUnsettled(from: 0, through: .max) == 7)
        #expect(ledger.state(of: 7) == .lost(at: at(1_000)))
        #expect(ledger.state(of: 50) == .empty)
        #expect(ledger.state(of: 300) == .empty)
        #expect(ledger.state(of: .max) == .empty)
    }

    @Test func findsUnsettledPacketsWhereASmallRingBeginsAnew() {
        var ledger = SentPacketLedger()
        let unsettled: Set<UInt64> = [13, 17, 20]
        for number in UInt64(0)...20 {
            ledger.append(packet(number), mark: .init())
            if !unsettled.contains(number) { _ = ledger.acknowledge(number) }
            ledger.advance(lostBefore: at(0))
        }
        #expect(ledger.first == 13 && ledger.span == SentPacketLedger.minimumSlots)
        #expect(ledger.nextOutstanding(from: 0, through: .max) == 13)
        #expect(ledger.nextOutstanding(from: 14, through: .max) == 17)
        #expect(ledger.nextOutstanding(from: 18, through: .max) == 20)
        #expect(ledger.nextOutstanding(from: 18, through: 19) == nil)
    }

    @Test func numbersBetweenEntriesAreSkipped() {
        var ledger = SentPacketLedger()
        ledger.append(packet(5), mark: .init())
        #expect(ledger.next == 6)
        #expect((0..<5).allSatisfy { ledger.state(of: $0) == .empty })
        #expect(ledger.nextUnsettled(from: 0, through: .max) == 5)
    }

    @Test func lostPacketsStayUntilTheHorizon() {
        var ledger = SentPacketLedger()
        for number in UInt64(0)..<4 { ledger.append(packet(number), mark: .init()) }
        _ = ledger.declareLost(0, at: at(100))
        _ = ledger.acknowledge(1)
        ledger.advance(lostBefore: at(100))
        #expect(ledger.first == 0)
        ledger.advance(lostBefore: at(101))
        #expect(ledger.first == 2)
        #expect(ledger.state(of: 0) == .empty)
        #expect(ledger.nextUnsettled(from: 0, through: .max) == 2)
    }

    @Test func aSenderOfAcknowledgementsOnlyDoesNotGrowTheRing() {
        var ledger = SentPacketLedger()
        for number in UInt64(0)..<100_000 { ledger.append(packet(number, kind: .ackOnly), mark: .init()) }
        #expect(ledger.span <= SentPacketLedger.minimumSlots)
        #expect(ledger.state(of: 99_999) == .outstanding)
    }

    @Test func packetsInFlightAreNeverDroppedForRoom() {
        var ledger = SentPacketLedger()
        for number in UInt64(0)..<2_000 {
            ledger.append(packet(number, kind: number % 2 == 0 ? .ackEliciting : .ackOnly), mark: .init())
        }
        #expect(ledger.first == 0)
        #expect((0..<2_000).allSatisfy { ledger.state(of: UInt64($0)) == .outstanding })
    }

    @Test func roomEndsAtTheLimit() {
        var ledger = SentPacketLedger()
        ledger.append(packet(0), mark: .init())
        while ledger.hasRoom { ledger.skip() }
        #expect(ledger.span == SentPacketLedger.maximumPackets)
    }

    /// Random operations against a dictionary.
    @Test(arguments: [UInt64(1), 2, 3, 4, 5, 6])
    func behavesLikeADictionary(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var ledger = SentPacketLedger()
        var model: [UInt64: SentPacketLedger.State] = [:]
        var clock = 0.0
        for _ in 0..<3_000 {
            clock += 1
            switch Int.random(in: 0..<10, using: &generator) {
            case 0:
                ledger.skip()
            case 1...5:
                ledger.append(packet(ledger.next), mark: .init())
                model[ledger.next - 1] = .outstanding
            case 6, 7:
                let window = max(ledger.first, ledger.next - min(ledger.next, 40))
                let start = window + UInt64.random(in: 0..<40, using: &generator)
                var number = start
                while let found = ledger.nextUnsettled(from: number, through: start + 8) {
                    #expect(ledger.acknowledge(found).packetNumber == found)
                    model[found] = nil
                    number = found + 1
                }
                #expect(!model.keys.contains { $0 >= start && $0 <= start + 8 })
            case 8:
                if let found = ledger.nextOutstanding(from: 0, through: .max) {
                    #expect(found == model.filter { $0.value == .outstanding }.keys.min())
                    _ = ledger.declareLost(found, at: at(clock))
                    model[found] = .lost(at: at(clock))
                }
            default:
                let horizon = at(clock - 60)
                ledger.advance(lostBefore: horizon)
                model = model.filter { $0.key >= ledger.first }
                for (_, state) in model where ledger.first == 0 { #expect(state != .acknowledged) }
            }
        }
        let unsettled = model.keys.sorted()
        var found: [UInt64] = []
        var number: UInt64 = 0
        while let next = ledger.nextUnsettled(from: number, through: .max) {
            found.append(next)
            number = next + 1
        }
        #expect(found == unsettled, "seed \(seed)")
        for (number, state) in model { #expect(ledger.state(of: number) == state, "seed \(seed), packet \(number)") }
    }
}
