internal import ArgumentParser
internal import Configuration
internal import EventLoop
internal import Glibc
internal import Lab

/// `godwit demo`: the whole thing on this machine.
struct DemoCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo", abstract: "Show on this machine how a download survives changes of network.",
        discussion: """
            Starts a gateway, a local endpoint and an origin with two emulated links between them, changes the network \
            in every way and tells what happens on the wire. Needs no privilege and no network. The exit status is 0 \
            only if no byte was lost and every stall was as short as it should be.
            """)

    func run() throws {
        let demo = try Demo(on: try EventLoop()) {
            print($0)
            // Written at once, also into a pipe.
            fflush(nil)
        }
        switch try demo.run() {
        case .held: break
        case .broken: throw CommandFailure("not everything held; the table says what did not", .failed)
        case .interrupted: throw CommandFailure("the demonstration was ended", .failed)
        }
    }
}
