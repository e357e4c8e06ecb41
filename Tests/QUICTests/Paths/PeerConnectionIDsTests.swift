import Primitives
import Testing

@testable import QUIC

/// A connection ID that tells its sequence number.
func numberedID(_ number: UInt64) -> ConnectionID {
    ConnectionID((0..<8).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }) ?? .empty
}

/// A NEW_CONNECTION_ID frame whose ID and token go with its number.
func numberedFrame(_ sequence: UInt64, retirePriorTo: UInt64 = 0) -> NewConnectionIDFrame {
    NewConnectionIDFrame(
        sequence: sequence, retirePriorTo: retirePriorTo, id: numberedID(sequence),
        resetToken: StatelessResetToken(high: sequence, low: ~sequence))
}

@Suite("Connection IDs of the peer (RFC 9000 §5.1)") struct PeerConnectionIDsTests {
    private let first = NetworkPathID(rawValue: 0)
    private let second = NetworkPathID(rawValue: 1)
    private let third = NetworkPathID(rawValue: 2)

    private func filled(_ count: UInt64 = 4, limit: Int = 8) throws -> PeerConnectionIDs {
        var ids = PeerConnectionIDs(first: numberedID(0), path: first, limit: limit)
        for sequence in 1..<count { try ids.insert(numberedFrame(sequence), preferring: first) }
        return ids
    }

    private func retirements(_ ids: inout PeerConnectionIDs) -> [UInt64] {
        var sequences: [UInt64] = []
        while let next = ids.nextRetirementToSend() { sequences.append(next) }
        return sequences
    }

    @Test("each path has one of its own, and keeps it (§9.5)") func assignment() throws {
        var ids = try filled()
        #expect(ids.id(for: second) == nil)
        #expect(ids.assign(to: second) == true)
        #expect(ids.assign(to: second) == true)
        #expect(ids.assign(to: third) == true)
        #expect([first, second, third].map { ids.id(for: $0) } == [numberedID(0), numberedID(1), numberedID(2)])
        #expect(ids.spareCount == 1)
    }

    @Test("without a spare one a new path gets none") func exhaustion() throws {
        var ids = try filled(1)
        #expect(ids.assign(to: second) == false)
        #expect(ids.id(for: second) == nil)
    }

    @Test("one that was released is retired, and never used again, not even after a late copy of its frame")
    func noReuse() throws {
        var ids = try filled(2)
        #expect(ids.assign(to: second) == true)
        try ids.release(second)
        #expect(retirements(&ids) == [1])
        try ids.insert(numberedFrame(1), preferring: first)
        #expect(ids.spareCount == 0)
        #expect(ids.assign(to: second) == false)
        #expect(retirements(&ids) == [])
    }

    @Test("a rebound path shares the ID of the path before; the last to go retires it") func sharing() throws {
        var ids = try filled()
        ids.share(first, with: second)
        #expect(ids.id(for: second) == numberedID(0))
        try ids.release(first)
        #expect(retirements(&ids) == [])
        try ids.release(second)
        #expect(retirements(&ids) == [0])
    }

    @Test("retire_prior_to moves the paths to newer ones, the one in use first (§5.1.2)") func retirePriorTo() throws {
        var ids = try filled(2)
        #expect(ids.assign(to: second) == true)
        try ids.insert(numberedFrame(2, retirePriorTo: 2), preferring: second)
        #expect(ids.id(for: second) == numberedID(2))
        #expect(ids.id(for: first) == nil)
        #expect(retirements(&ids) == [0, 1])
        try ids.insert(numberedFrame(3, retirePriorTo: 2), preferring: second)
        #expect(ids.assign(to: first) == true)
        #expect(ids.id(for: first) == numberedID(3))
    }

    @Test("one that arrives after it was to be retired is retired at once, and once (§19.15)") func lateArrival() throws
    {
        var ids = try filled(1)
        try ids.insert(numberedFrame(5, retirePriorTo: 4), preferring: first)
        #expect(retirements(&ids) == [0])
        try ids.insert(numberedFrame(2, retirePriorTo: 1), preferring: first)
        try ids.insert(numberedFrame(2, retirePriorTo: 1), preferring: first)
        #expect(retirements(&ids) == [2])
        #expect(ids.retirePriorTo == 4)
        #expect(ids.entries.map(\.sequence) == [5])
    }

    @Test("the same frame may come again; one that contradicts it is a violation (§19.15)") func contradiction() throws
    {
        var ids = try filled()
        let before = ids.entries
        try ids.insert(numberedFrame(2), preferring: first)
        #expect(ids.entries == before)
        var otherID = numberedFrame(2)
        otherID.id = numberedID(77)
        var otherToken = numberedFrame(2)
        otherToken.resetToken = StatelessResetToken(high: 0, low: 0)
        var otherSequence = numberedFrame(9)
        otherSequence.id = numberedID(2)
        for frame in [otherID, otherToken, otherSequence] {
            var copy = ids
            let error = #expect(throws: TransportError.self) { try copy.insert(frame, preferring: first) }
            #expect(error?.code == .protocolViolation)
        }
    }

    @Test("more than active_connection_id_limit is an error (§5.1.1)") func limit() throws {
        var ids = try filled(4, limit: 4)
        let error = #expect(throws: TransportError.self) { try ids.insert(numberedFrame(4), preferring: first) }
        #expect(error?.code == .connectionIDLimitError)
        // The frame that retires as many as it adds is none.
        var again = try filled(4, limit: 4)
        try again.insert(numberedFrame(4, retirePriorTo: 1), preferring: first)
        #expect(again.entries.count == 4)
    }

    @Test("unacknowledged retirements are bounded (CVE-2024-22189)") func flood() throws {
        var ids = try filled(1)
        var accepted: UInt64 = 0
        let error = #expect(throws: TransportError.self) {
            for sequence in 1...UInt64(10_000) {
                try ids.insert(numberedFrame(sequence, retirePriorTo: sequence), preferring: first)
                accepted = sequence
            }
        }
        #expect(error?.code == .connectionIDLimitError)
        #expect(accepted == UInt64(PeerConnectionIDs.maximumUnacknowledgedRetirements))
    }

    @Test("acknowledged retirements make room for more") func acknowledgedRetirements() throws {
        var ids = try filled(1)
        for sequence in 1...UInt64(1_000) {
            try ids.insert(numberedFrame(sequence, retirePriorTo: sequence), preferring: first)
            #expect(retirements(&ids) == [sequence - 1])
            ids.retirementAcknowledged(sequence - 1)
        }
        #expect(ids.id(for: first) == numberedID(1_000))
    }

    @Test("a lost RETIRE_CONNECTION_ID is sent again until it is acknowledged") func lostRetirement() throws {
        var ids = try filled()
        try ids.release(first)
        #expect(retirements(&ids) == [0])
        ids.retirementLost(0)
        ids.retirementLost(0)
        #expect(retirements(&ids) == [0])
        ids.retirementAcknowledged(0)
        ids.retirementLost(0)
        #expect(!ids.hasToSend)
    }

    @Test("sequence numbers that leave out others are bounded") func gaps() throws {
        var ids = try filled(1, limit: 1_000)
        let error = #expect(throws: TransportError.self) {
            for sequence in 1...UInt64(500) { try ids.insert(numberedFrame(2 * sequence), preferring: first) }
        }
        #expect(error?.code == .protocolViolation)
        #expect(ids.entries.count <= PeerConnectionIDs.maximumSequenceGaps + 1)
    }

    @Test("rotation retires the old one, and needs a spare") func rotation() throws {
        var ids = try filled(2)
        #expect(try ids.rotate(first) == true)
        #expect(ids.id(for: first) == numberedID(1))
        #expect(retirements(&ids) == [0])
        #expect(try ids.rotate(first) == false)
        #expect(ids.id(for: first) == numberedID(1))
    }

    @Test("a peer without connection IDs gives none: every path shares the empty one") func empty() throws {
        var ids = PeerConnectionIDs(first: .empty, path: first, limit: 8)
        #expect(ids.assign(to: second) == true)
        #expect(ids.id(for: third) == .empty)
        try ids.release(second)
        #expect(!ids.hasToSend)
        let error = #expect(throws: TransportError.self) { try ids.insert(numberedFrame(1), preferring: first) }
        #expect(error?.code == .protocolViolation)
    }

    @Test("reset tokens count for connection IDs in use on the path only (§10.3.1)") func resetTokens() throws {
        var ids = try filled()
        let token = StatelessResetToken(high: 9, low: 9)
        ids.setResetTokenOfFirst(token)
        #expect(ids.hasResetToken(token, onOneOf: [first]))
        #expect(!ids.hasResetToken(token, onOneOf: [second]))
        #expect(!ids.hasResetToken(token, onOneOf: []))
        // Number 1 waits to be used, and is then used on the second path.
        let next = numberedFrame(1).resetToken
        #expect(!ids.hasResetToken(next, onOneOf: [first, second]))
        #expect(ids.assign(to: second) == true)
        #expect(ids.hasResetToken(next, onOneOf: [first, second]))
        try ids.release(second)
        #expect(!ids.hasResetToken(next, onOneOf: [first, second]))
    }

    @Test("the preferred address gets the ID that came with it, or another when that is gone (§9.6)")
    func preferred() throws {
        var ids = try filled()
        #expect(ids.assign(sequence: 1, to: second) == true)
        #expect(ids.id(for: second) == numberedID(1))
        #expect(ids.assign(sequence: 1, to: third) == true)
        #expect(ids.id(for: third) == numberedID(2))
        #expect(ids.id(for: second) == numberedID(1))
    }

    @Test("random histories keep every promise", arguments: 0..<40 as Range<UInt64>)
    func model(_ seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        var ids = PeerConnectionIDs(first: numberedID(0), path: first, limit: 8)
        var next: UInt64 = 1
        var retired: Set<UInt64> = []
        for _ in 0..<400 {
            let path = NetworkPathID(rawValue: UInt32.random(in: 0...3, using: &generator))
            switch Int.random(in: 0...5, using: &generator) {
            case 0 where ids.entries.count < 8:
                let isRetiring = Int.random(in: 0...9, using: &generator) == 0
                let prior = isRetiring ? UInt64.random(in: 0...next, using: &generator) : 0
                try ids.insert(numberedFrame(next, retirePriorTo: prior), preferring: path)
                next += 1
            case 1 where next > 1:
                let known = UInt64.random(in: 1..<next, using: &generator)
                try ids.insert(numberedFrame(known), preferring: path)
            case 2: _ = ids.assign(to: path)
            case 3: try ids.release(path)
            case 4: _ = try ids.rotate(path)
            default:
                for sequence in retirements(&ids) {
                    #expect(retired.insert(sequence).inserted, "retired twice")
                    ids.retirementAcknowledged(sequence)
                }
            }
            #expect(ids.entries.allSatisfy { !retired.contains($0.sequence) })
            #expect(ids.entries.allSatisfy { $0.sequence >= ids.retirePriorTo })
            #expect(ids.entries.count <= 8)
            #expect(Set(ids.entries.map(\.sequence)).count == ids.entries.count)
            let users = ids.entries.flatMap(\.paths)
            #expect(Set(users).count == users.count, "a path has two connection IDs")
        }
    }
}
