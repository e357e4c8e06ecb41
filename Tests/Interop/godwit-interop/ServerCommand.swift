import ArgumentParser
import Cryptography
import Driver
import EventLoop
import Foundation
import Primitives
import QUIC
import TLS

/// `godwit-interop server`
struct ServerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "server", abstract: "Answer exchanges until SIGTERM; print a report at the end of each connection."
    )

    @Option(help: "Where to listen; port 0 lets the kernel choose.", transform: address)
    var listen: NetworkAddress

    @Option(help: "PEM file of the certificate chain.")
    var certificate: String

    @Option(help: "PEM file of its key.")
    var key: String

    @Flag(help: "Ask every client for an address token.")
    var retry = false

    @OptionGroup
    var common: CommonArguments

    func run() throws {
        let loop = try EventLoop()
        let identity = try Identity(
            chainPEM: try CommonArguments.read(certificate), keyPEM: try CommonArguments.read(key))
        let context = try TLSContext(server: TLSServerConfiguration(options: common.tls, identity: identity))
        var server = ServerConfiguration(tls: context, tokenKey: AddressValidationTokenKey(CommonArguments.secret()))
        if retry { server.retry = .always }
        let acceptor = Acceptor(loop, keyUpdateAfter: common.keyUpdateAfter)
        let driver = try EndpointDriver(
            CommonArguments.endpoint(server: server), on: loop, addressing: .datagram, acceptor: acceptor)
        let bound = try BoundDatagramSocket(listen)
        driver.addSocket(bound)
        let signals = try SignalEvents([.terminate, .interrupt], on: loop, handler: acceptor)
        FileHandle.standardOutput.write(Data("listening \(bound.localAddress)\n".utf8))
        loop.run()
        signals.cancel()
        driver.shutDown()
    }
}

/// Gives every connection its application, and ends the program.
private final class Acceptor: ConnectionAcceptor, SignalHandler {
    private let loop: EventLoop
    private let keyUpdateAfter: UInt64?

    init(_ loop: EventLoop, keyUpdateAfter: UInt64?) {
        self.loop = loop
        self.keyUpdateAfter = keyUpdateAfter
    }

    func accept(_ connection: DrivenConnection) -> any ConnectionApplication {
        ServerApplication(connection.connection, keyUpdate: Trigger(after: keyUpdateAfter))
    }

    func signalReceived(_ signal: ProcessSignal) { loop.stop() }
}
