import Configuration
import EventLoop
import FoundationEssentials
import Primitives

/// The processes of a benchmark and their folder. They end, and the folder goes, however this process ends.
final class BenchmarkProcesses {
    /// Where everything is written.
    let folder: String

    private let guardian: ChildProcess
    /// What keeps the guardian waiting: it acts when this is closed, which a crash does, too.
    private let lifeline: ChildFile

    /// Waits for the end of its input, which is a list of processes; then ends them and removes the folder.
    private static let guardianScript = """
        trap '' INT TERM HUP
        while read -r pid; do pids="$pids $pid"; done
        for pid in $pids; do kill -9 "$pid" 2>/dev/null; done
        rm -rf "$1" 2>/dev/null || { sleep 1; rm -rf "$1"; }
        """

    init() throws {
        folder = try ScratchFolder.make("bench")
        let input = try ChildFile.pipe()
        lifeline = input.writing
        guardian = try ChildProcess(
            "/bin/sh", ["-c", Self.guardianScript, "sh", folder],
            .init(input: input.reading, output: .nothing(), error: .nothing()))
    }

    /// Ends everything and waits until it is gone.
    func end() {
        lifeline.close()
        guardian.waitForEnd()
    }

    /// A file in the folder that only this user reads.
    func write(_ name: String, _ text: String) throws {
        try ConfigurationFile.write(text, to: "\(folder)/\(name)", mode: 0o600, existing: .replace)
    }

    /// Starts a program that runs until the end; what it says goes to `NAME.log`.
    func start(
        _ program: String, _ arguments: [String], at far: FarSide = .loopback, name: String
    ) throws -> Int32 {
        let (program, arguments) = try far.command(program, arguments)
        let log = try ChildFile(addingTo: "\(folder)/\(name).log")
        let pid = try launch(program, arguments, output: log, error: log).identifier
        lifeline.write("\(pid)\n")
        return pid
    }

    /// Runs a program to its end.
    ///
    /// - Returns: what it wrote to standard output.
    func run(_ program: String, _ arguments: [String]) throws -> String {
        let output = try ChildFile.pipe()
        let log = try ChildFile(addingTo: "\(folder)/commands.log")
        let process = try launch(program, arguments, output: output.writing, error: log)
        output.writing.close()
        let text = output.reading.readToEnd()
        guard process.waitForEnd() else {
            throw BenchmarkFailure("`\(program)` failed: \(lastLine("commands"))")
        }
        return text
    }

    private func launch(
        _ program: String, _ arguments: [String], output: ChildFile, error: ChildFile
    ) throws -> ChildProcess {
        try ChildProcess(
            program, arguments, variables: ["XDG_RUNTIME_DIR": folder],
            .init(input: .nothing(), output: output, error: error))
    }

    /// What a program that was started said last.
    func lastLine(_ name: String) -> String {
        let text = (try? ConfigurationFile.read("\(folder)/\(name).log")) ?? ""
        return text.split(separator: "\n").last.map(String.init) ?? "it said nothing"
    }

    /// Whether one of the programs has ended, which none of them should.
    static func hasEnded(_ pids: [Int32]) -> Bool { pids.contains { !ProcessFigures.isRunning($0) } }

    /// Where a program is, or nil where it is not installed.
    static func find(_ program: String) -> String? {
        let path = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map(String.init)
        // Where servers are that users do not start by hand.
        return (path + ["/usr/sbin", "/usr/local/sbin"]).map { "\($0)/\(program)" }
            .first { FileManager.default.isExecutableFile(atPath: $0) }
    }

    /// So many TCP ports of loopback that nobody uses now.
    static func freePorts(_ count: Int) throws -> [UInt16] {
        // Open all at once, so that they differ.
        let listeners = try (0..<count).map { _ throws(BenchmarkFailure) in try BlockingListener(at: .loopback) }
        return listeners.map(\.port)
    }
}
