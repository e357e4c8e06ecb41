import Primitives
import Testing

@testable import QUIC

@Suite("Connection IDs given to the peer (RFC 9000 §5.1)") struct LocalConnectionIDsTests {
    private let token = StatelessResetToken(high: 1, low: 2)

    private func id(_ number: UInt64) -> ConnectionID {
        ConnectionID((0..<8).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }) ?? .empty
    }

    /// Numbers 0 (of the handshake), 1 and 2 told, 3 and 4 still to be told.
    private func filled() -> LocalConnectionIDs {
        var ids = LocalConnectionIDs()
        ids.addKnownToPeer(id(0), resetToken: token)
        for number in UInt64(1)...4 { ids.issue(id(number), resetToken: token) }
        _ = ids.nextToSend()
        _ = ids.nextToSend()
        return ids
    }

    @Test("sequence numbers grow by one, from 0") func sequence() {
        var ids = filled()
        #expect(ids.active.map(\.sequence) == [0, 1, 2, 3, 4])
        #expect(ids.nextToSend()?.sequence == 3)
        #expect(ids.nextToSend()?.sequence == 4)
        #expect(ids.nextToSend() == nil)
    }

    @Test(
        "the pool is short of the smaller of the peer's limit and our own",
        arguments: [(2, 1, true), (2, 2, false), (8, 5, true), (8, 6, false), (1 << 61, 6, false)]
            as [(UInt64, UInt64, Bool)])
    func shortage(_ row: (limit: UInt64, active: UInt64, isShort: Bool)) {
        var ids = LocalConnectionIDs()
        for number in 0..<row.active { ids.addKnownToPeer(id(number), resetToken: token) }
        #expect(ids.isShort(peerLimit: row.limit) == row.isShort)
    }

    @Test("retiring one that was never told is a violation (§19.16)", arguments: [3, 4, 5, UInt64(1) << 61])
    func retireUnknown(_ sequence: UInt64) {
        var ids = filled()
        let error = #expect(throws: TransportError.self) { try ids.retire(sequence, arrivedFor: id(0)) }
        #expect(error?.code == .protocolViolation)
    }

    @Test("retiring the one that the packet came for is a violation (§19.16)") func retireCurrent() {
        var ids = filled()
        let error = #expect(throws: TransportError.self) { try ids.retire(1, arrivedFor: id(1)) }
        #expect(error?.code == .protocolViolation)
    }

    @Test("retiring twice does nothing the second time") func retireTwice() throws {
        var ids = filled()
        #expect(try ids.retire(1, arrivedFor: id(0)) == id(1))
        #expect(try ids.retire(1, arrivedFor: id(0)) == nil)
        #expect(ids.active.map(\.sequence) == [0, 2, 3, 4])
    }

    @Test("a lost frame is sent again, unless its connection ID is retired or waits already") func loss() throws {
        var ids = filled()
        ids.lost(1)
        ids.lost(1)
        ids.lost(2)
        _ = try ids.retire(2, arrivedFor: id(0))
        #expect((0..<4).map { _ in ids.nextToSend()?.sequence } == [3, 4, 1, nil])
        ids.lost(2)
        #expect(!ids.hasToSend)
    }
}
