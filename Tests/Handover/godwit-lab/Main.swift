import ArgumentParser
import Driver
import EventLoop
import Foundation

/// Emulated links between network namespaces: see Tests/Handover/run.
@main
struct GodwitLab: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "godwit-lab",
        abstract: "Carry IP packets between network namespaces over emulated links. Needs root.",
        discussion: """
            Prints `ready` once the interfaces are there, and ends on SIGTERM. Each connection to the control socket \
            brings one command: set, down, up, blackhole, heal, rebind, restore, status.
            """)

    @Option(help: "Path of the control socket.")
    var control: String

    @Option(help: "Which faults are drawn.")
    var seed: UInt64 = 1

    @Option(
        help: "NAME NAMESPACE:INTERFACE NAMESPACE:INTERFACE OUTSIDE,… [KEY VALUE…]; repeatable.",
        transform: LinkArguments.init)
    var link: [LinkArguments]

    func run() throws {
        let loop = try EventLoop()
        let forwarder = Forwarder(loop)
        for arguments in link { try forwarder.add(arguments, seed: seed) }
        let server = try ControlServer(path: control, on: loop, responder: forwarder)
        let signals = try SignalEvents([.terminate, .interrupt], on: loop, handler: forwarder)
        FileHandle.standardOutput.write(Data("ready\n".utf8))
        loop.run()
        signals.cancel()
        server.close()
    }
}
