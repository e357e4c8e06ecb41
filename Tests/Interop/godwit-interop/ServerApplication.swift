import Driver
import Primitives
import QUIC

/// The server's side of the exchanges of one connection.
final class ServerApplication: ConnectionApplication {
    /// A request that is not what it should be.
    private static let wrongBytes: UInt64 = 1

    private struct Exchange {
        var receiver = Receiver(numbers: 2)
        /// The answer; nil until the numbers of the request are there.
        var source: PatternSource?
        /// The request was right to its end.
        var isComplete = false
    }

    private let connection: Connection
    private var report = Report()
    private var exchanges: [StreamID: Exchange] = [:]
    private var keyUpdate: Trigger

    init(_ connection: Connection, keyUpdate: Trigger) {
        self.connection = connection
        self.keyUpdate = keyUpdate
    }

    func receive(_ event: ConnectionEvent, at now: Instant) {
        switch event {
        case .streamOpened(let id) where id.direction == .bidirectional: exchanges[id] = Exchange()
        case .streamReadable(let id): read(id)
        case .streamReset(let id, _), .streamStopped(let id, _): exchanges[id] = nil
        case .closed(let end):
            report.note(end)
            report.rebindings = connection.statistics.peerMoves
            report.write(as: "connection", of: connection)
        default: break
        }
    }

    func settle(at now: Instant) {
        for id in exchanges.keys { answer(id) }
        if keyUpdate.fires(at: report.bytesIn) { connection.requestKeyUpdate() }
    }

    private func read(_ id: StreamID) {
        guard var exchange = exchanges[id], !exchange.isComplete else { return }
        report.bytesIn += exchange.receiver.take(id, of: connection)
        if exchange.source == nil, let numbers = exchange.receiver.numbers {
            connection.write(NumbersInFront.encode([numbers[1]]).span, to: id)
            exchange.source = PatternSource(total: numbers[1])
        }
        exchanges[id] = exchange
        guard connection.isFinishedReading(id) else { return }
        if let fault = exchange.receiver.fault(expected: exchange.receiver.numbers?[0] ?? 0) {
            report.fail(fault)
            connection.reset(id, errorCode: Self.wrongBytes)
            exchanges[id] = nil
        } else {
            report.streams += 1
            exchanges[id]?.isComplete = true
        }
    }

    private func answer(_ id: StreamID) {
        guard var exchange = exchanges[id], var source = exchange.source else { return }
        report.bytesOut += source.fill(id, of: connection)
        exchange.source = source
        exchanges[id] = exchange
        // The end of the answer says that all of the request was right.
        guard source.isExhausted, exchange.isComplete else { return }
        connection.finish(id)
        exchanges[id] = nil
    }
}
