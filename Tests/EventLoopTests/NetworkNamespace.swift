import Glibc
import Isolation

/// A network of its own for one test, with interfaces that the test makes and unmakes. Needs root.
enum NetworkNamespace {
    /// Whether this process may make one.
    static var isPermitted: Bool { geteuid() == 0 }
    /// What a test that is skipped says.
    static let need = "network namespaces need root: run the tests as root to have links come and go"

    /// A command of the system that failed.
    struct Failure: Error {
        var command: String
        var status: Int32
    }

    /// Runs `body` on a thread in a new namespace. Expectations belong behind it, on the test's own thread.
    static func run<Result>(_ body: @escaping () throws -> Result) throws -> Result {
        try Isolation.network.run(body)
    }

    /// Runs `ip` with several lines of commands, one process for all.
    static func ip(_ lines: String...) throws {
        let text = lines.joined(separator: "\n") + "\n"
        // The calls copy the texts; the pipe is closed once.
        let status = try Isolation.descriptors.run {
            unsafe popen("ip -batch -", "w").map { pipe in
                _ = unsafe fputs(text, pipe)
                return unsafe pclose(pipe)
            }
        }
        guard status == 0 else { throw Failure(command: String(text.prefix(200)), status: status ?? -1) }
    }

    /// Packets that an interface of this namespace has sent.
    static func packetsSent(by interface: String) throws -> Int {
        let command = "awk '$1 == \"\(interface):\" { print $11 }' /proc/thread-self/net/dev"
        // The pipe is closed once, and the line fits into the buffer.
        let line = try Isolation.descriptors.run {
            unsafe popen(command, "r").map { pipe in
                var line = [CChar](repeating: 0, count: 64)
                _ = unsafe fgets(&line, Int32(line.count), pipe)
                unsafe pclose(pipe)
                return line.prefix { $0 > 32 }.map { UInt8($0) }
            }
        }
        guard let line, let count = Int(String(decoding: line, as: UTF8.self)) else {
            throw Failure(command: command, status: -1)
        }
        return count
    }

    /// A pair of links `near` and `far`, both up; `near` has the address 192.0.2.1/24.
    static func makeLinks() throws {
        try ip(
            "link set lo up", "link add near type veth peer name far", "link set near up", "link set far up",
            "addr add 192.0.2.1/24 dev near")
    }
}
