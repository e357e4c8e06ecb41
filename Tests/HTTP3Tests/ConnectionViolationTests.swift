import Primitives
import QUIC
import Testing

@testable import HTTP3

/// One thing that a misbehaving peer does.
enum Misdeed: Sendable {
    /// Sends on a new unidirectional stream.
    case unidirectional([UInt8], Fin = .more)
    /// Sends on a new bidirectional stream.
    case bidirectional([UInt8], Fin = .more)
    /// Resets a new unidirectional stream after sending on it.
    case resetUnidirectional([UInt8])
    /// Asks for the end of the other end's control stream.
    case stopControl
}

@Suite("Violations close the connection")
struct ConnectionViolationTests {
    private func commit(_ misdeeds: [Misdeed], as raw: RawEnd, _ pair: TransportPair) throws {
        for misdeed in misdeeds {
            switch misdeed {
            case .unidirectional(let bytes, let fin): try raw.send(.unidirectional, bytes, fin)
            case .bidirectional(let bytes, let fin): try raw.send(.bidirectional, bytes, fin)
            case .resetUnidirectional(let bytes):
                let id = try raw.send(.unidirectional, bytes)
                pair.exchange()
                raw.connection.reset(id, errorCode: 0)
            case .stopControl:
                let control = StreamID(initiator: raw.connection.role.peer, direction: .unidirectional, index: 0)
                raw.connection.stopSending(control, errorCode: 0)
            }
            pair.exchange()
        }
    }

    /// Lets a peer misbehave toward an end of the given role and tells how that end closed the connection. Content is read
    /// as it comes, as an application does.
    private func failure(of victim: Role, after misdeeds: [Misdeed]) throws -> HTTP3ErrorCode? {
        let pair = try TransportPair.connected()
        let end = HTTP3End(victim == .server ? pair.server : pair.client)
        let raw = RawEnd(victim == .server ? pair.client : pair.server)
        pair.exchange()
        end.drain()
        pair.exchange()
        raw.drain()
        try commit(misdeeds, as: raw, pair)
        end.drain()
        for (id, _) in end.requests { _ = end.content(of: id) }
        end.drain()
        return end.failure
    }

    static let misdeedsOfClients: [(String, [Misdeed], HTTP3ErrorCode)] = [
        ("GOAWAY before SETTINGS", [.unidirectional([0] + frame(7, [0]))], .missingSettings),
        ("SETTINGS twice", [.unidirectional(controlStream(frame(4, [])))], .frameUnexpected),
        ("DATA on the control stream", [.unidirectional(controlStream(frame(0, [1])))], .frameUnexpected),
        ("HEADERS on the control stream", [.unidirectional(controlStream(getHeaders))], .frameUnexpected),
        ("two control streams", [.unidirectional(controlStream()), .unidirectional([0])], .streamCreationError),
        ("two encoder streams", [.unidirectional([2]), .unidirectional([2])], .streamCreationError),
        ("two decoder streams", [.unidirectional([3]), .unidirectional([3])], .streamCreationError),
        ("control stream ends", [.unidirectional(controlStream(), .end)], .closedCriticalStream),
        ("control stream ends after its type", [.unidirectional([0], .end)], .closedCriticalStream),
        ("encoder stream ends", [.unidirectional([2], .end)], .closedCriticalStream),
        ("decoder stream ends", [.unidirectional([3], .end)], .closedCriticalStream),
        ("a push from a client", [.unidirectional([1])], .streamCreationError),
        ("STOP_SENDING for the control stream", [.stopControl], .closedCriticalStream),
        ("reserved setting", [.unidirectional([0] + frame(4, [2, 0]))], .settingsError),
        ("endless SETTINGS", [.unidirectional([0] + varint(4) + varint(1 << 30))], .excessiveLoad),
        ("MAX_PUSH_ID reduced", [.unidirectional(controlStream(frame(13, [5]) + frame(13, [4])))], .idError),
        ("CANCEL_PUSH", [.unidirectional(controlStream(frame(3, [0])))], .idError),
        ("GOAWAY that takes back", [.unidirectional(controlStream(frame(7, [1]) + frame(7, [2])))], .idError),
        ("entry for the dynamic table", [.unidirectional([2] + hex("c00f 61"))], .qpackEncoderStreamError),
        ("acknowledgment of nothing", [.unidirectional([3, 0x84])], .qpackDecoderStreamError),
        ("DATA before HEADERS", [.bidirectional(frame(0, [1]))], .frameUnexpected),
        ("SETTINGS on a request stream", [.bidirectional(frame(4, []))], .frameUnexpected),
        ("PING of HTTP/2", [.bidirectional(frame(6, []))], .frameUnexpected),
        ("GOAWAY on a request stream", [.bidirectional(getHeaders + frame(7, [0]))], .frameUnexpected),
        ("end inside HEADERS", [.bidirectional(Array(getHeaders.dropLast()), .end)], .frameError),
        ("end inside DATA", [.bidirectional(getHeaders + [0, 5, 1], .end)], .frameError),
        ("end inside a type", [.bidirectional(getHeaders + [0x40], .end)], .frameError),
        ("dynamic reference", [.bidirectional(frame(1, hex("0381 10")))], .qpackDecompressionFailed),
        (
            "dynamic reference in trailers", [.bidirectional(getHeaders + frame(1, hex("0000 80")))],
            .qpackDecompressionFailed
        ),
        ("DATA after trailers", [.bidirectional(getHeaders + headers([]) + frame(0, [1]))], .frameUnexpected),
        ("trailers twice", [.bidirectional(getHeaders + headers([]) + headers([]))], .frameUnexpected),
        ("HEADERS in a tunnel", [.bidirectional(connectHeaders + frame(0, [1]) + headers([]))], .frameUnexpected),
        ("endless HEADERS", [.bidirectional(varint(1) + varint(1 << 40))], .excessiveLoad),
    ]

    @Test("of a client", arguments: misdeedsOfClients)
    func againstServer(name: String, misdeeds: [Misdeed], code: HTTP3ErrorCode) throws {
        #expect(try failure(of: .server, after: misdeeds) == code)
    }

    static let misdeedsOfServers: [(String, [Misdeed], HTTP3ErrorCode)] = [
        ("a bidirectional stream", [.bidirectional([1])], .streamCreationError),
        ("a push that was not allowed", [.unidirectional([1, 0])], .idError),
        ("MAX_PUSH_ID", [.unidirectional(controlStream(frame(13, [1])))], .frameUnexpected),
        ("CANCEL_PUSH", [.unidirectional(controlStream(frame(3, [1])))], .idError),
        ("GOAWAY with the ID of no request", [.unidirectional(controlStream(frame(7, [1])))], .idError),
        ("GOAWAY that takes back", [.unidirectional(controlStream(frame(7, [4]) + frame(7, [8])))], .idError),
        ("SETTINGS twice", [.unidirectional(controlStream(frame(4, [])))], .frameUnexpected),
        ("reset control stream", [.resetUnidirectional(controlStream())], .closedCriticalStream),
    ]

    @Test("of a server", arguments: misdeedsOfServers)
    func againstClient(name: String, misdeeds: [Misdeed], code: HTTP3ErrorCode) throws {
        let pair = try TransportPair.connected()
        let end = HTTP3End(pair.client)
        let raw = RawEnd(pair.server)
        pair.exchange()
        // Before the stream is reset its type must have been seen.
        for misdeed in misdeeds {
            if case .resetUnidirectional(let bytes) = misdeed {
                let id = try raw.send(.unidirectional, bytes)
                pair.exchange()
                end.drain()
                raw.connection.reset(id, errorCode: 0)
                pair.exchange()
            } else {
                try commit([misdeed], as: raw, pair)
            }
        }
        end.drain()
        #expect(end.failure == code)
        #expect(end.http.isClosed)
    }

    @Test("RFC 9114 §7.2.5: a server that promises, H3_ID_ERROR")
    func promise() throws {
        let pair = try TransportPair.connected()
        let end = HTTP3End(pair.client)
        let raw = RawEnd(pair.server)
        pair.exchange()
        end.drain()
        guard case .opened(let id) = end.http.openRequest(RequestHead(.connect(authority: "a:1"))) else {
            Issue.record("no stream")
            return
        }
        pair.exchange()
        raw.drain()
        let promise = frame(5, [0])
        raw.connection.write(promise.span, to: id)
        pair.exchange()
        end.drain()
        #expect(end.failure == .idError)
    }

    static let allowed: [(String, [Misdeed])] = [
        ("unknown stream", [.unidirectional(varint(Grease.number(9)) + [1, 2, 3])]),
        ("unknown stream that ends", [.unidirectional(varint(0x54), .end)]),
        ("stream without a type", [.unidirectional([], .end)]),
        ("stream that ends inside its type", [.unidirectional([0x40], .end)]),
        ("stream that is reset", [.resetUnidirectional([0x40])]),
        (
            "unknown frames everywhere",
            [.unidirectional(controlStream(frame(0x21, [1]))), .bidirectional(frame(0x21, [1]) + getHeaders)]
        ),
        ("QPACK streams without content", [.unidirectional([2]), .unidirectional([3])]),
        ("capacity 0, cancellation", [.unidirectional([2, 0x20]), .unidirectional([3, 0x44])]),
        (
            "GOAWAY, MAX_PUSH_ID",
            [.unidirectional(controlStream(frame(7, [9]) + frame(7, [9]) + frame(13, [1]) + frame(13, [1])))]
        ),
        ("trailers", [.bidirectional(getHeaders + frame(0, [1]) + headers([Field("a", "b")]), .end)]),
    ]

    @Test("what RFC 9114 allows is no violation", arguments: allowed)
    func tolerated(name: String, misdeeds: [Misdeed]) throws {
        #expect(try failure(of: .server, after: misdeeds) == nil)
    }

    @Test("RFC 9114 §6.2: the sender of an unknown stream is told to stop")
    func unknownStream() throws {
        let pair = try TransportPair.connected()
        let end = HTTP3End(pair.server)
        let raw = RawEnd(pair.client)
        let id = try raw.send(.unidirectional, varint(Grease.number(1 << 20)))
        pair.exchange()
        end.drain()
        pair.exchange()
        raw.drain()
        #expect(raw.stops[id] == .streamCreationError)
        #expect(end.failure == nil)
    }

    @Test("RFC 9297 §2.1: a datagram that names no possible stream is H3_DATAGRAM_ERROR, others are dropped")
    func datagrams() throws {
        for (bytes, code) in [
            ([], .datagramError), ([0x40], .datagramError), (varint(1 << 60), .datagramError), ([0, 1], nil),
        ]
            as [([UInt8], HTTP3ErrorCode?)]
        {
            let end = HTTP3End(try TransportPair.connected().server)
            end.http.receive(.datagramReceived(bytes), at: end.now)
            end.drain()
            #expect(end.failure == code)
        }
    }
}
