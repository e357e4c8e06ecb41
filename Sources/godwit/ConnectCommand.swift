internal import ArgumentParser
internal import Configuration
internal import LocalEndpoint

/// `godwit connect`: serves local ports until it is told to stop.
struct ConnectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "connect", abstract: "Run the local endpoint in the foreground.",
        discussion:
            "SIGTERM stops it once its tunnels have ended or five seconds have passed; SIGHUP reads the file again, SIGUSR1 replaces the local UDP socket, SIGUSR2 has the program as it is on the disk now take over; no tunnel ends."
    )

    @OptionGroup var arguments: ConnectArguments

    func run() throws {
        let arguments = arguments
        let process = LocalEndpointProcess(try arguments.options(.process())) { try arguments.options(.process()) }
        try end(process.run())
    }
}

/// Ends the process with a status that its own log has explained already.
func end(_ status: ProcessStatus) throws {
    if status != .done { throw CommandFailure("", status) }
}
