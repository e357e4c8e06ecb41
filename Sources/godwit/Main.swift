internal import ArgumentParser
internal import Configuration
internal import Glibc

/// The entry point: every failure becomes one line on standard error and an exit status that scripts can rely on.
@main
enum Main {
    static func main() {
        do {
            var command = try Godwit.parseAsRoot()
            try command.run()
        } catch {
            let ending = Ending(error)
            if !ending.output.isEmpty { print(ending.output) }
            if !ending.message.isEmpty { note(ending.message) }
            exit(ending.status.rawValue)
        }
    }
}

/// How a command that threw ends.
struct Ending: Equatable {
    /// What goes to standard output: help, the version, a completion script.
    var output = ""
    /// What goes to standard error.
    var message = ""
    /// The exit status.
    var status = ProcessStatus.done

    init(_ error: any Error) {
        if let failure = error as? CommandFailure {
            (message, status) = (failure.message.isEmpty ? "" : "godwit: \(failure.message)", failure.status)
        } else if let fault = error as? ConfigurationError {
            (message, status) = ("godwit: \(fault)", .wrongUsage)
        } else if Godwit.exitCode(for: error) == .success {
            output = Godwit.fullMessage(for: error)
        } else {
            // ArgumentParser's own message has the usage in more lines; one line is the contract.
            (message, status) = (
                "godwit: \(Self.oneLine(Godwit.message(for: error))); see `godwit --help`", .wrongUsage
            )
        }
    }

    /// The first line of a message, with the choices that ArgumentParser lists below it.
    private static func oneLine(_ text: String) -> String {
        let lines = text.split(separator: "\n")
        guard let first = lines.first else { return "cannot understand the arguments" }
        let bullet = "  - "
        let choices = lines.dropFirst().prefix { $0.hasPrefix(bullet) }.map { $0.dropFirst(bullet.count) }
        return choices.isEmpty ? String(first) : "\(first) \(choices.joined(separator: ", "))"
    }
}

/// A command that could not be done, in one line, with its exit status.
struct CommandFailure: Error {
    let message: String
    let status: ProcessStatus

    init(_ message: String, _ status: ProcessStatus) {
        self.message = message
        self.status = status
    }
}
