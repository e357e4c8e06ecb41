import QUIC
import Testing

@testable import HTTP3

@Suite("The state of a request stream")
struct RequestStreamTests {
    typealias Receiving = RequestStream.Receiving

    static let table: [(Receiving, onHeaders: Receiving.Outcome, onData: Receiving.Outcome)] = [
        (.head, .head, .unexpected), (.content, .trailers, .content), (.tunnel, .unexpected, .content),
        (.trailers, .unexpected, .unexpected), (.ended, .unexpected, .unexpected),
    ]

    @Test("RFC 9114 §4.1, §4.4: what HEADERS and DATA are in each state", arguments: table)
    func frames(state: Receiving, onHeaders: Receiving.Outcome, onData: Receiving.Outcome) {
        #expect(state.onHeaders == onHeaders)
        #expect(state.onData == onData)
    }

    @Test("a stream is over when both directions are")
    func over() {
        let stream = RequestStream(readBy: .server)
        #expect(!stream.isOver)
        stream.receiving = .ended
        #expect(!stream.isOver)
        stream.sending = .finishing
        #expect(!stream.isOver)
        stream.sending = .ended
        #expect(stream.isOver)
    }

    @Test("each kind of request is told apart")
    func kinds() {
        #expect(RequestHead(.connect(authority: "a:1")).kind == .connect)
        #expect(
            RequestHead(.extendedConnect(protocol: "x", scheme: "https", authority: "a", path: "/")).kind == .connect)
        #expect(RequestHead(.resource(method: "GET", scheme: "https", authority: "a", path: "/")).kind == .resource)
    }
}
