import Driver
import EventLoop
import Foundation
import Primitives
import QUIC

/// The client's side of the exchanges.
final class ClientApplication: ConnectionApplication, TimerHandler {
    /// How long a ticket may take after the exchanges are over.
    private static let ticketLimit = Interval.seconds(2)
    /// How long CONNECTION_CLOSE has to leave.
    private static let closeLimit = Interval.milliseconds(50)

    private enum Stage {
        case exchanging
        /// All exchanges are complete; the ticket is still to come.
        case awaitingTicket
        case ended
    }

    private struct Exchange {
        var receiver = Receiver(numbers: 1)
        var source: PatternSource
        var isAnswered = false
    }

    private let arguments: ClientCommand
    private let driven: DrivenConnection
    private let driver: EndpointDriver
    private var connection: Connection { driven.connection }
    private(set) var report = Report()
    private var stage = Stage.exchanging
    private var exchanges: [StreamID: Exchange] = [:]
    private var isConfirmed = false
    private var hasTicket = false
    private var timer: TimerHandle?
    private var keyUpdate: Trigger
    private var connectionIDChange: Trigger
    private var rebinding: Trigger

    init(_ arguments: ClientCommand, _ driven: DrivenConnection, _ driver: EndpointDriver) {
        self.arguments = arguments
        self.driven = driven
        self.driver = driver
        keyUpdate = Trigger(after: arguments.common.keyUpdateAfter)
        connectionIDChange = Trigger(after: arguments.changeConnectionIdAfter)
        rebinding = Trigger(after: arguments.rebindAfter)
        timer = driver.loop.addTimer(self)
    }

    func receive(_ event: ConnectionEvent, at now: Instant) {
        switch event {
        case .handshakeCompleted, .streamsAvailable: openStreams()
        case .handshakeConfirmed: isConfirmed = true
        case .streamReadable(let id): read(id)
        case .streamReset(let id, let code): fail("stream \(id.rawValue) reset with 0x\(String(code, radix: 16))")
        case .streamStopped(let id, let code): fail("stream \(id.rawValue) stopped with 0x\(String(code, radix: 16))")
        case .sessionTicket(let bytes): keepTicket(bytes)
        case .closed(let end): closed(end)
        default: break
        }
    }

    func settle(at now: Instant) {
        guard stage == .exchanging else { return advance(at: now) }
        for id in exchanges.keys {
            guard var exchange = exchanges[id], !exchange.source.isExhausted else { continue }
            report.bytesOut += exchange.source.fill(id, of: connection)
            if exchange.source.isExhausted { connection.finish(id) }
            exchanges[id] = exchange
        }
        actInTheMiddle(at: now)
        advance(at: now)
    }

    func timerFired(_ timer: TimerHandle, at now: Instant) {
        guard stage == .awaitingTicket else { return driver.loop.stop() }
        fail("the server sent no ticket")
        advance(at: now)
        driven.needsService()
    }

    // MARK: - Exchanges

    private func openStreams() {
        while exchanges.count < arguments.streams, let id = connection.openStream(.bidirectional) {
            let numbers = NumbersInFront.encode([arguments.bytesUp, arguments.bytesDown])
            connection.write(numbers.span, to: id)
            if arguments.bytesUp == 0 { connection.finish(id) }
            exchanges[id] = Exchange(source: PatternSource(total: arguments.bytesUp))
        }
    }

    private func read(_ id: StreamID) {
        guard var exchange = exchanges[id], !exchange.isAnswered else { return }
        report.bytesIn += exchange.receiver.take(id, of: connection)
        if connection.isFinishedReading(id) {
            exchange.isAnswered = true
            if let fault = exchange.receiver.fault(expected: arguments.bytesDown) {
                fail(fault)
            } else {
                report.streams += 1
            }
        }
        exchanges[id] = exchange
    }

    private func actInTheMiddle(at now: Instant) {
        if keyUpdate.fires(at: report.bytesIn) { connection.requestKeyUpdate() }
        if connectionIDChange.fires(at: report.bytesIn), !connection.rotateConnectionID(at: now) {
            fail("the peer gave no spare connection ID")
        }
        guard rebinding.fires(at: report.bytesIn) else { return }
        do {
            try rebind(at: now)
        } catch {
            fail("no new socket: \(error)")
        }
    }

    /// Goes on from a new socket.
    private func rebind(at now: Instant) throws {
        let old = connection.activeLocalAddress
        let bound = try BoundDatagramSocket(NetworkAddress(.unspecified(old.ip.family), port: 0))
        driver.addSocket(bound)
        try connection.addLocalAddress(bound.localAddress, at: now)
        try connection.activate(bound.localAddress, at: now)
        try connection.removeLocalAddress(old, at: now)
        driver.removeSocket(old)
        report.rebindings += 1
    }

    // MARK: - The end

    private func keepTicket(_ bytes: [UInt8]) {
        hasTicket = true
        guard let path = arguments.ticket else { return }
        do {
            try Data(bytes).write(to: URL(fileURLWithPath: path))
        } catch {
            fail("cannot write the ticket: \(error)")
        }
    }

    private func fail(_ text: String) { report.fail(text) }

    /// Goes on to the next stage when there is nothing left to do in this one.
    private func advance(at now: Instant) {
        guard stage != .ended else { return }
        if report.error == nil {
            guard isConfirmed, report.streams == arguments.streams else { return }
            guard arguments.ticket == nil || hasTicket else {
                if stage == .exchanging, let timer { driver.loop.arm(timer, at: now + Self.ticketLimit) }
                stage = .awaitingTicket
                return
            }
        }
        connection.close(errorCode: report.error == nil ? 0 : 1, reason: report.error ?? "", at: now)
        end()
    }

    private func closed(_ end: ConnectionEnd) {
        guard stage != .ended else { return }
        report.note(end)
        fail("closed before the end")
        self.end()
    }

    private func end() {
        stage = .ended
        report.write(as: "result", of: connection)
        if let timer { driver.loop.arm(timer, at: driver.loop.now + Self.closeLimit) }
    }
}
