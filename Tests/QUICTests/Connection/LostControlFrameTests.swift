import Primitives
import Testing

@testable import QUIC

@Suite("Control frames that are lost (RFC 9000 §13.3)") struct LostControlFrameTests {
    /// Loses the next datagrams of an end, and counts how many it was.
    private func lose(_ count: Int, of role: Role, _ pair: ConnectionPair) {
        var left = count
        pair.passes = { sender, _ in
            guard sender == role, left > 0 else { return true }
            left -= 1
            return false
        }
    }

    @Test("RETIRE_CONNECTION_ID goes out again, so that the ID leads nowhere any more", arguments: 1...3)
    func retirement(lost: Int) throws {
        let pair = try ConnectionPair.connected()
        let (client, server) = (try pair.clientConnection, try pair.serverConnection)
        let retired = try #require(client.peerConnectionIDs.id(for: client.activePath.id))
        lose(lost, of: .client, pair)
        #expect(client.rotateConnectionID(at: pair.now))
        pair.run(for: .seconds(5))
        #expect(!server.localConnectionIDs.active.contains { $0.id == retired })
        #expect(pair.server.identifiers.handle(for: retired) == nil)
    }

    @Test("NEW_CONNECTION_ID goes out again, so that the peer's pool is full", arguments: 1...3)
    func newConnectionID(lost: Int) throws {
        let pair = try ConnectionPair.connected()
        let (client, server) = (try pair.clientConnection, try pair.serverConnection)
        let spare = client.peerConnectionIDs.spareCount
        #expect(client.rotateConnectionID(at: pair.now))
        pair.drain()
        // The answer to the retirement is a new connection ID, in the first datagrams that the server sends.
        lose(lost, of: .server, pair)
        pair.run(for: .seconds(5))
        #expect(client.peerConnectionIDs.spareCount == spare)
        #expect(client.peerConnectionIDs.entries.map(\.id) == server.localConnectionIDs.active.map(\.id))
    }

    @Test("HANDSHAKE_DONE goes out again, or the client could never migrate", arguments: 1...3)
    func handshakeDone(lost: Int) throws {
        let pair = try ConnectionPair()
        var left = lost
        pair.passes = { [unowned pair] sender, _ in
            guard sender == .server, left > 0, (try? pair.serverConnection.progress) == .confirmed else { return true }
            left -= 1
            return false
        }
        pair.run(for: .seconds(5))
        #expect(left == 0)
        #expect(try pair.clientConnection.progress == .confirmed)
    }
}
