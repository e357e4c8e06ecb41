import Primitives
import Testing

@testable import QUIC

@Suite("Batches of datagrams") struct TransmissionTests {
    /// What a connection with much to send puts into a buffer.
    private func fill(_ count: Int, _ connection: Connection, at now: Instant) -> Transmission? {
        var buffer = [UInt8](repeating: 0, count: count)
        var span = buffer.mutableSpan
        return connection.nextDatagrams(into: &span, at: now)
    }

    @Test("a batch has whole datagrams only, and stays below what the kernel cuts in one piece")
    func wholeDatagrams() throws {
        let pair = try ConnectionPair.connected()
        let connection = try pair.clientConnection
        let id = try #require(connection.openStream(.bidirectional))
        connection.write([UInt8](repeating: 1, count: 60_000).span, to: id)
        let batch = try #require(fill(65_536, connection, at: pair.now))
        #expect(batch.datagramCount > 1)
        #expect(batch.byteCount % batch.segmentSize == 0)
        #expect(batch.byteCount <= Connection.maximumTransmission)
    }

    @Test("the rest of a buffer goes unused rather than to a datagram that is not full")
    func restOfBuffer() throws {
        let pair = try ConnectionPair.connected()
        let connection = try pair.clientConnection
        let id = try #require(connection.openStream(.bidirectional))
        connection.write([UInt8](repeating: 1, count: 60_000).span, to: id)
        let size = connection.activePath.datagramSize
        let batch = try #require(fill(2 * size + size / 2, connection, at: pair.now))
        #expect(batch.segmentSize == size)
        #expect(batch.byteCount == 2 * size)
        let next = try #require(fill(size, connection, at: pair.now))
        #expect(next.byteCount == size)
    }
}
