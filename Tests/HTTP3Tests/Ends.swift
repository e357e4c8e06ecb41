import Primitives
import QUIC
import Testing

@testable import HTTP3

/// An end that speaks HTTP/3, with everything it told.
final class HTTP3End {
    let http: HTTP3Connection
    let now = Instant.origin
    var events: [HTTP3Event] = []

    init(_ connection: Connection, configure: (inout HTTP3Connection.Configuration) -> Void = { _ in }) {
        var configuration = HTTP3Connection.Configuration(greaseSeed: 0x1234)
        configure(&configuration)
        http = HTTP3Connection(connection, configuration: configuration)
    }

    /// Takes what the transport has to tell.
    func drain() {
        while let event = http.connection.nextEvent() { http.receive(event, at: now) }
        while let event = http.nextEvent() { events.append(event) }
    }

    /// The connection error for which this end closed the connection.
    var failure: HTTP3ErrorCode? {
        for case .failed(let error) in events { return error.code }
        return nil
    }

    var requests: [(id: StreamID, head: RequestHead)] {
        events.compactMap { if case .request(let id, let head) = $0 { (id, head) } else { nil } }
    }

    var responses: [(id: StreamID, head: ResponseHead)] {
        events.compactMap { if case .response(let id, let head) = $0 { (id, head) } else { nil } }
    }

    /// Reads all content there is.
    func content(of id: StreamID) -> (bytes: [UInt8], state: ContentState) {
        var bytes: [UInt8] = []
        let state = http.readContent(of: id, at: now) { span in
            for index in span.indices { bytes.append(span[index]) }
            return span.count
        }
        return (bytes, state)
    }
}

/// An end whose bytes a test writes itself.
final class RawEnd {
    let connection: Connection
    var resets: [StreamID: HTTP3ErrorCode] = [:]
    var stops: [StreamID: HTTP3ErrorCode] = [:]
    var received: [StreamID: [UInt8]] = [:]
    var finished: Set<StreamID> = []

    init(_ connection: Connection) { self.connection = connection }

    /// Opens a stream and writes to it; `fin` ends it.
    @discardableResult
    func send(_ direction: StreamDirection, _ bytes: [UInt8], _ fin: Fin = .more) throws -> StreamID {
        guard let id = connection.openStream(direction) else { throw NoStream() }
        connection.write(bytes.span, to: id)
        if fin == .end { connection.finish(id) }
        return id
    }

    func drain() {
        while let event = connection.nextEvent() {
            switch event {
            case .streamReset(let id, let code): resets[id] = HTTP3ErrorCode(rawValue: code)
            case .streamStopped(let id, let code): stops[id] = HTTP3ErrorCode(rawValue: code)
            case .streamReadable(let id):
                received[id, default: []] += connection.read(from: id, atMost: 1 << 20)
                if connection.isFinishedReading(id) { finished.insert(id) }
            default: break
            }
        }
    }
}

/// The connection opens no stream any more.
struct NoStream: Error {}

/// A control stream with settings and what follows them.
func controlStream(_ rest: [UInt8] = []) -> [UInt8] { [0] + frame(4, []) + rest }

/// A HEADERS frame.
func headers(_ fields: [Field]) -> [UInt8] { frame(1, FieldSectionEncoder.encode(fields)) }

/// HEADERS of a request for a resource.
let getHeaders = headers(RequestHead(.resource(method: "GET", scheme: "https", authority: "gw", path: "/")).allFields)
/// HEADERS of a classic CONNECT.
let connectHeaders = headers(RequestHead(.connect(authority: "build.internal:22")).allFields)
