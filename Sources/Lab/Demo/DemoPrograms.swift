import Configuration
import EventLoop
import FoundationEssentials
import Glibc
import Primitives

/// The programs of the demonstration: this very binary as gateway, as local endpoint, and for commands to it.
final class DemoPrograms {
    /// Where everything is written; removed at the end.
    let folder: String
    /// Where the gateway listens.
    let gateway: NetworkAddress
    /// Where it listens too, if loopback speaks IPv6.
    let gateway6: NetworkAddress?
    /// Where the local endpoint listens for the download.
    let forward: NetworkAddress
    private let binary: String
    private var running: [(name: String, process: ChildProcess)] = []
    private var commands: [(words: [String], process: ChildProcess)] = []

    init() throws {
        folder = try ScratchFolder.make("demo")
        binary = try ChildProcess.ownProgram()
        let sockets = try (0..<2).map { _ in try BoundDatagramSocket(NetworkAddress(.loopback(.ipv4), port: 0)) }
        (gateway, forward) = (sockets[0].localAddress, sockets[1].localAddress)
        let socket6 = try? BoundDatagramSocket(NetworkAddress(.loopback(.ipv6), port: 0))
        gateway6 = socket6?.localAddress
        for socket in sockets { socket.close() }
        socket6?.close()
    }

    /// Starts gateway and local endpoint; the endpoint takes the relay for the gateway.
    ///
    /// - Parameter relay6: what the gateway is to tell as its address of IPv6.
    func start(relay: NetworkAddress, relay6: NetworkAddress?, origin: NetworkAddress) throws {
        let setup = GatewaySetup(
            folder: "\(folder)/gateway", name: HostPort(.address(relay.ip), port: relay.port),
            listen: [gateway] + (gateway6.map { [$0] } ?? []), user: "demo", certificate: nil, existing: .keep)
        let invite = try setup.write(now: Clock.unixTime())
        // Loopback is where this origin lives; a gateway as `init` writes it keeps its users off it.
        let text = try ConfigurationFile.read(setup.configuration)
            .replacing("allow = [\"*:*\"]", with: "allow = [\"\(origin)\"]")
        let told = relay6.map { "addresses = [\"\($0)\"]\n" } ?? ""
        try write(
            "gateway/gateway.toml", text.replacing("\nusers", with: "\nworkers = 1\n\(told)users"))
        try write(
            "local.toml",
            """
            gateways = ["\(invite.text)"]
            control = "\(folder)/godwit.sock"

            [[forward]]
            listen = "\(forward)"
            to = "\(origin)"
            """)
        for words in [
            ["gateway", "--config", "\(folder)/gateway/gateway.toml"], ["connect", "--config", "\(folder)/local.toml"],
        ] {
            running.append((words[0], try launch(words, log: "\(words[0]).log")))
        }
    }

    private func write(_ name: String, _ text: String) throws {
        try ConfigurationFile.write(text, to: "\(folder)/\(name)", mode: 0o600, existing: .replace)
    }

    private func launch(_ arguments: [String], log: String) throws -> ChildProcess {
        let output = try ChildFile(addingTo: "\(folder)/\(log)")
        return try ChildProcess(
            binary, arguments, variables: ["XDG_RUNTIME_DIR": folder],
            .init(input: .nothing(), output: output, error: output))
    }

    /// Gives the local endpoint a command, such as `paths use 127.0.0.2`, and does not wait for its end.
    func command(_ words: [String]) throws {
        commands.append((words, try launch(words, log: "commands.log")))
    }

    /// The commands that failed so far, and the programs that ended too early, in words.
    func failures() -> [String] {
        let failed = commands.filter { !$0.process.isRunning && !$0.process.hasSucceeded }.map(\.words)
        var sentences = failed.map { "`godwit \($0.joined(separator: " "))` failed: \(lastLine("commands.log"))" }
        if let (name, _) = running.first(where: { !$0.process.isRunning }) {
            sentences.append("`godwit \(name)` ended: \(lastLine("\(name).log"))")
        }
        return sentences
    }

    private func lastLine(_ name: String) -> String {
        let text = (try? ConfigurationFile.read("\(folder)/\(name)")) ?? ""
        return text.split(separator: "\n").last.map(String.init) ?? "it said nothing"
    }

    /// Ends the programs and removes their files.
    func end() {
        for (_, process) in running where process.isRunning {
            // Not asked: tunnels that they would wait for have no meaning any more, and their files go with them.
            kill(process.identifier, SIGKILL)
            process.waitForEnd()
        }
        try? FileManager.default.removeItem(atPath: folder)
    }
}

/// Why the demonstration cannot go on, in a sentence.
public struct DemoFailure: Error, Hashable, CustomStringConvertible {
    public var description: String
    init(_ description: String) { self.description = description }
}
