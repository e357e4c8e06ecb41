internal import ArgumentParser
internal import Cryptography

/// `godwit version`: what this program is made of on this machine.
struct VersionCommand: ParsableCommand {
    static let version = "0.1.0"

    static let configuration = CommandConfiguration(
        commandName: "version", abstract: "Show the version, and what encrypts packets on this machine.",
        discussion:
            "The environment variable \(AEADSelection.variable) chooses for gateway and connect: \(AEADSelection.automatic), or a name that this prints."
    )

    /// What is printed.
    static func lines(_ selection: AEADSelection) -> [String] {
        ["godwit \(version)"] + selection.lines.map { "aead \($0)" }
            + (selection.warning.map { ["warning: \($0)"] } ?? [])
    }

    func run() throws {
        for line in Self.lines(.current) { print(line) }
    }
}
