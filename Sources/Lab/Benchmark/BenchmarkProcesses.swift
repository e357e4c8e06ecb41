import Configuration
import EventLoop
import Foundation
import Primitives

/// The processes of a benchmark and their folder. They end, and the folder goes, however this process ends.
final class BenchmarkProcesses {
    /// Where everything is written.
    let folder: String

    private let guardian = Process()
    /// What keeps the guardian waiting: it acts when this is closed, which a crash does, too.
    private let lifeline = Pipe()
    /// Ends with the guardian.
    private let farewell = Pipe()

    /// Waits for the end of its input, which is a list of processes; then ends them and removes the folder.
    private static let guardianScript = """
        trap '' INT TERM HUP
        while read -r pid; do pids="$pids $pid"; done
        for pid in $pids; do kill -9 "$pid" 2>/dev/null; done
        rm -rf "$1" 2>/dev/null || { sleep 1; rm -rf "$1"; }
        """

    init() throws {
        folder = try ScratchFolder.make("bench")
        guardian.executableURL = URL(fileURLWithPath: "/bin/sh")
        guardian.arguments = ["-c", Self.guardianScript, "sh", folder]
        guardian.standardInput = lifeline
        guardian.standardOutput = farewell
        try guardian.run()
    }

    /// Ends everything and waits until it is gone.
    func end() {
        try? lifeline.fileHandleForWriting.close()
        _ = farewell.fileHandleForReading.readDataToEndOfFile()
    }

    /// A file in the folder that only this user reads.
    func write(_ name: String, _ text: String) throws {
        let path = "\(folder)/\(name)"
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
    }

    /// Starts a program that runs until the end; what it says goes to `NAME.log`.
    func start(_ program: String, _ arguments: [String], name: String) throws -> Int32 {
        let process = try prepare(program, arguments, name: name)
        try process.run()
        lifeline.fileHandleForWriting.write(Data("\(process.processIdentifier)\n".utf8))
        return process.processIdentifier
    }

    /// Runs a program to its end.
    ///
    /// - Returns: what it wrote to standard output.
    func run(_ program: String, _ arguments: [String]) throws -> String {
        // Its end and status are read from the pipe: Foundation may miss the end of a process while others start.
        let process = try prepare(
            "/bin/sh", ["-c", "\"$@\" || echo \(Self.failureMark)", "sh", program] + arguments, name: "commands")
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        guard !text.contains(Self.failureMark) else {
            throw BenchmarkFailure("`\(program)` failed: \(lastLine("commands"))")
        }
        return text
    }

    /// What is written behind the output of a program that failed.
    private static let failureMark = "the-command-failed"

    private func prepare(_ program: String, _ arguments: [String], name: String) throws -> Process {
        try write("\(name).log", "")
        guard let log = FileHandle(forWritingAtPath: "\(folder)/\(name).log") else {
            throw BenchmarkFailure("cannot write to \(folder)")
        }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(["XDG_RUNTIME_DIR": folder]) { $1 }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = log
        process.standardError = log
        return process
    }

    /// What a program that was started said last.
    func lastLine(_ name: String) -> String {
        let text = (try? String(contentsOfFile: "\(folder)/\(name).log", encoding: .utf8)) ?? ""
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
        let listeners = try (0..<count).map { _ throws(BenchmarkFailure) in try BlockingListener() }
        return listeners.map(\.port)
    }
}
