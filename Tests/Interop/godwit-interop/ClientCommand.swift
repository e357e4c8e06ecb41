import ArgumentParser
import Cryptography
import Driver
import EventLoop
import Primitives
import QUIC
import TLS

/// `godwit-interop client`
struct ClientCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "client", abstract: "Run exchanges with a server; exit with 0 if all of them were right.")

    @Option(help: "The server.", transform: address)
    var connect: NetworkAddress

    @Option(help: "PEM file of the certificates to trust.")
    var anchor: String

    @Option(help: "The name in the server's certificate.")
    var serverName = "localhost"

    @Option(help: "How many exchanges, each on its stream.")
    var streams = 1

    @Option(help: "Payload of each request.")
    var bytesUp: UInt64 = 0

    @Option(help: "Payload of each answer.")
    var bytesDown: UInt64 = 0

    @Option(help: "Resume from this file if it exists; keep a new ticket in it.")
    var ticket: String?

    @Option(help: "Use another connection ID of the server after so many bytes of payload received.")
    var changeConnectionIdAfter: UInt64?

    @Option(help: "Replace the socket after so many bytes of payload received.")
    var rebindAfter: UInt64?

    @OptionGroup
    var common: CommonArguments

    func run() throws {
        let loop = try EventLoop()
        let driver = try EndpointDriver(CommonArguments.endpoint(), on: loop, addressing: .socket)
        let bound = try BoundDatagramSocket(NetworkAddress(.unspecified(connect.ip.family), port: 0))
        driver.addSocket(bound)
        let anchors = try Certificate.chain(pem: try CommonArguments.read(anchor))
        let context = try TLSContext(client: TLSClientConfiguration(options: common.tls, trust: .anchors(anchors)))
        let parameters = ClientParameters(
            remote: connect, local: bound.localAddress, serverName: serverName, tls: context, ticket: storedTicket)
        var running: ClientApplication?
        let driven = try driver.connect(parameters) { driven in
            let application = ClientApplication(self, driven, driver)
            running = application
            return application
        }
        driven.needsService()
        // Nothing else would begin the first turn.
        loop.turnSoon()
        loop.run()
        driver.shutDown()
        guard running?.report.error == nil else { throw ExitCode.failure }
    }

    private var storedTicket: SessionTicket? {
        // There is none before the first connection.
        ticket.flatMap { try? CommonArguments.read($0) }.map(SessionTicket.init(bytes:))
    }
}
