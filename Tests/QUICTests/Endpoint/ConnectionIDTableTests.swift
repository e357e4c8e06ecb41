import Cryptography
import Primitives
import Testing

@testable import QUIC

@Suite("Connection IDs of an endpoint") struct ConnectionIDTableTests {
    private let handle = ConnectionHandle(rawValue: 1)

    private func table(_ index: UInt8 = 0, of count: UInt8 = 1) -> ConnectionIDTable {
        ConnectionIDTable(place: WorkerPlace(index: index, of: count), resetKey: PairSetup.resetKey)
    }

    @Test(
        "the first byte tells the worker", arguments: [(0, 1), (0, 2), (1, 2), (6, 7), (254, 255)] as [(UInt8, UInt8)])
    func steering(_ row: (index: UInt8, count: UInt8)) {
        var generator = KeyedGenerator(simulationSeed: 4)
        let table = table(row.index, of: row.count)
        for _ in 0..<300 {
            let (id, _) = table.issue(for: handle, using: &generator)
            #expect(id.bytes.first.map { $0 % row.count } == row.index)
            #expect(id.count == ConnectionIDTable.length)
        }
    }

    @Test("an ID leads to its connection until that retires it, and no other can") func lifetime() {
        var generator = KeyedGenerator(simulationSeed: 4)
        let table = table()
        let (id, token) = table.issue(for: handle, using: &generator)
        #expect(table.handle(for: id) == handle)
        #expect(token == table.resetToken(for: id))
        table.retire(id, of: ConnectionHandle(rawValue: 2))
        #expect(table.handle(for: id) == handle)
        table.retire(id, of: handle)
        #expect(table.handle(for: id) == nil)
    }

    @Test("a client's choice does not take over what leads elsewhere") func clientChoice() {
        let table = table()
        table.add(numberedID(1), for: handle)
        table.add(numberedID(1), for: ConnectionHandle(rawValue: 2))
        #expect(table.handle(for: numberedID(1)) == handle)
    }
}
