import Configuration
import EventLoop
import Foundation
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
    private let binary: URL
    private var running: [Process] = []
    private var commands: [(words: [String], process: Process)] = []

    init() throws {
        folder = try ScratchFolder.make("demo")
        guard let binary = Bundle.main.executableURL else {
            throw DemoFailure("cannot find the program's own file; start it by its full path")
        }
        self.binary = binary
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
            .replacingOccurrences(of: "allow = [\"*:*\"]", with: "allow = [\"\(origin)\"]")
        let told = relay6.map { "addresses = [\"\($0)\"]\n" } ?? ""
        try write(
            "gateway/gateway.toml", text.replacingOccurrences(of: "\nusers", with: "\nworkers = 1\n\(told)users"))
        try write(
            "local.toml",
            """
            gateways = ["\(invite.text)"]
            control = "\(folder)/godwit.sock"

            [[forward]]
            listen = "\(forward)"
            to = "\(origin)"
            """)
        try launch(["gateway", "--config", "\(folder)/gateway/gateway.toml"], log: "gateway.log")
        try launch(["connect", "--config", "\(folder)/local.toml"], log: "connect.log")
    }

    private func write(_ name: String, _ text: String) throws {
        let path = "\(folder)/\(name)"
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
    }

    private func launch(_ arguments: [String], log: String) throws {
        let process = try prepare(arguments, log: log)
        try process.run()
        running.append(process)
    }

    private func prepare(_ arguments: [String], log: String) throws -> Process {
        let path = "\(folder)/\(log)"
        if !FileManager.default.fileExists(atPath: path) { try write(log, "") }
        guard let output = FileHandle(forWritingAtPath: path) else { throw DemoFailure("cannot write \(path)") }
        output.seekToEndOfFile()
        let process = Process()
        process.executableURL = binary
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(["XDG_RUNTIME_DIR": folder]) { $1 }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = output
        return process
    }

    /// Gives the local endpoint a command, such as `paths use 127.0.0.2`, and does not wait for its end.
    func command(_ words: [String]) throws {
        let process = try prepare(words, log: "commands.log")
        try process.run()
        commands.append((words, process))
    }

    /// The commands that failed so far, and the programs that ended too early, in words.
    func failures() -> [String] {
        let failed = commands.filter { !$0.process.isRunning && $0.process.terminationStatus != 0 }.map(\.words)
        var sentences = failed.map { "`godwit \($0.joined(separator: " "))` failed: \(lastLine("commands.log"))" }
        if let process = running.first(where: { !$0.isRunning }) {
            let name = process.arguments?.first ?? "a program"
            sentences.append("`godwit \(name)` ended: \(lastLine("\(name).log"))")
        }
        return sentences
    }

    private func lastLine(_ name: String) -> String {
        let text = (try? String(contentsOfFile: "\(folder)/\(name)", encoding: .utf8)) ?? ""
        return text.split(separator: "\n").last.map(String.init) ?? "it said nothing"
    }

    /// Ends the programs and removes their files.
    func end() {
        for process in running where process.isRunning {
            // Not asked: tunnels that they would wait for have no meaning any more, and their files go with them.
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
        }
        try? FileManager.default.removeItem(atPath: folder)
    }
}

/// Why the demonstration cannot go on, in a sentence.
public struct DemoFailure: Error, Hashable, CustomStringConvertible {
    public var description: String
    init(_ description: String) { self.description = description }
}
