import ArgumentParser
import Cryptography
import Driver
import EventLoop
import Foundation
import Primitives
import QUIC
import TLS

/// `godwit-interop hold`: for measuring what an idle connection costs each end.
struct HoldCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hold", abstract: "Open connections, say `held N` once all are up, and keep them.")

    /// Well below the idle timeout of either end.
    private static let keepAliveInterval = Interval.seconds(10)

    @Option(help: "The server.", transform: address)
    var connect: NetworkAddress

    @Option(help: "PEM file of the certificates to trust.")
    var anchor: String

    @Option(help: "The name in the server's certificate.")
    var serverName = "localhost"

    @Option(help: "How many connections.")
    var connections = 1

    @OptionGroup
    var common: CommonArguments

    func run() throws {
        let loop = try EventLoop()
        var configuration = CommonArguments.endpoint()
        configuration.transport.keepAliveInterval = Self.keepAliveInterval
        let driver = try EndpointDriver(configuration, on: loop, addressing: .socket)
        let bound = try BoundDatagramSocket(NetworkAddress(.unspecified(connect.ip.family), port: 0))
        driver.addSocket(bound)
        let anchors = try Certificate.chain(pem: try CommonArguments.read(anchor))
        let context = try TLSContext(client: TLSClientConfiguration(options: common.tls, trust: .anchors(anchors)))
        let parameters = ClientParameters(
            remote: connect, local: bound.localAddress, serverName: serverName, tls: context)
        let holder = Holder(wanted: connections, loop) { holder in
            let driven = try driver.connect(parameters) { _ in holder }
            driven.connection.setKeepAlive(.on)
            driven.needsService()
        }
        try holder.openNext()
        loop.turnSoon()
        loop.run()
        driver.shutDown()
        guard holder.isContent else { throw ExitCode.failure }
    }
}

/// Opens connections one after the other, so that no server takes them for an attack.
private final class Holder: ConnectionApplication {
    private let wanted: Int
    private let loop: EventLoop
    private let open: (Holder) throws -> Void
    private var held = 0
    private(set) var isContent = true

    init(wanted: Int, _ loop: EventLoop, open: @escaping (Holder) throws -> Void) {
        self.wanted = wanted
        self.loop = loop
        self.open = open
    }

    func openNext() throws { try open(self) }

    func receive(_ event: ConnectionEvent, at now: Instant) {
        switch event {
        case .handshakeConfirmed:
            held += 1
            if held == wanted { return say("held \(held)") }
            do { try openNext() } catch { give("no connection: \(error)") }
        case .closed(let end): give("a connection ended: \(end)")
        default: break
        }
    }

    func settle(at now: Instant) {}

    /// It has to leave now, since the other end of a pipe waits for it.
    private func say(_ text: String) { FileHandle.standardOutput.write(Data("\(text)\n".utf8)) }

    private func give(_ sentence: String) {
        say(sentence)
        isContent = false
        loop.stop()
    }
}
