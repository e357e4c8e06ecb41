internal import ArgumentParser
internal import Configuration
internal import EventLoop
internal import FoundationEssentials
internal import Primitives

/// `godwit init`: everything a new gateway needs, and one invite on standard output.
struct InitCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "init",
        abstract: "Write a gateway's configuration, key and first user, and print an invite.",
        discussion: """
            Writes gateway.toml, gateway.key, gateway.crt and users.toml. The invite goes to standard output and is a \
            secret: whoever has it can use the gateway. It contains the pin of the gateway's key, unless --certificate \
            names a chain that an authority issued; then clients ask the authority.
            """)

    @Option(
        help: ArgumentHelp("How clients reach this gateway (default: this machine's name).", valueName: "host[:port]"))
    var name: GatewayName?

    @Option(
        help: ArgumentHelp(
            "A UDP address to serve on; repeatable (default: every address, port 443 where it may be bound, else 4433).",
            valueName: "address:port"),
        transform: { text in
            guard let address = NetworkAddress(text) else {
                throw ValidationError("write 0.0.0.0:443 or [::]:443")
            }
            return address
        })
    var listen: [NetworkAddress] = []

    @Option(help: ArgumentHelp("The first user's name (default: yours).", valueName: "name"))
    var user: String?

    @Option(help: ArgumentHelp("The folder to write to.", valueName: "dir"))
    var dir = "."

    @Option(help: ArgumentHelp("A certificate chain in PEM to use instead of a new one.", valueName: "file"))
    var certificate: String?

    @Option(help: ArgumentHelp("The key of --certificate in PEM.", valueName: "file"))
    var key: String?

    @Flag(help: "Replace the files of an earlier init.")
    var force = false

    func validate() throws {
        guard (certificate == nil) == (key == nil) else {
            throw ValidationError("--certificate and --key belong together: give both or none")
        }
    }

    func run() throws {
        let setup = try setup(environment: ProcessInfo.processInfo.environment)
        let invite = try write(setup)
        note("wrote \(setup.configuration) and its files; start with: godwit gateway --config \(setup.configuration)")
        if name == nil {
            note(
                "clients are invited to \(setup.name); if they reach this machine under another name, run init with --name"
            )
        }
        print(invite.text)
    }

    private func write(_ setup: GatewaySetup) throws -> Invite {
        do throws(ConfigurationError) {
            return try setup.write(now: Clock.unixTime())
        } catch {
            // Files that cannot be written, or are to be kept, are no fault of the command line.
            throw CommandFailure(error.description, .failed)
        }
    }

    func setup(environment: [String: String]) throws -> GatewaySetup {
        let listen = listen.isEmpty ? Self.defaultListeners() : listen
        guard let port = listen.first?.port else { throw ValidationError("give an address to --listen") }
        let name = try name ?? Self.machineName()
        let given = certificate.flatMap { chain in
            key.map { GatewaySetup.Certificate(chain: Self.absolute(chain), key: Self.absolute($0)) }
        }
        return GatewaySetup(
            folder: dir, name: name.withDefaultPort(port == 0 ? Invite.defaultPort : port), listen: listen,
            user: user ?? Self.userName(environment), certificate: given, existing: force ? .replace : .keep)
    }

    private static func absolute(_ path: String) -> String {
        path.hasPrefix("/") ? path : FileManager.default.currentDirectoryPath + "/" + path
    }

    private static func machineName() throws -> GatewayName {
        let text = try ConfigurationFile.read("/proc/sys/kernel/hostname").filter { !$0.isWhitespace }
        guard let name = GatewayName(argument: text) else {
            throw ValidationError("this machine's name \"\(text)\" is no host name: give --name")
        }
        return name
    }

    /// The name of whoever runs the command, also behind sudo, where it can be a user's name.
    static func userName(_ environment: [String: String]) -> String {
        let candidates = [environment["SUDO_USER"], environment["USER"], environment["LOGNAME"]]
        return candidates.compactMap { $0 }.first { $0 != "root" && UsersFile.isName($0) } ?? "user"
    }

    /// Every IPv4 and IPv6 address of the machine, as far as it has them.
    static func defaultListeners() -> [NetworkAddress] {
        let anyIPv4 = IPAddress(ipv4: 0)
        let anyIPv6 = IPAddress(ipv6High: 0, low: 0)
        let port: UInt16 = canBind(NetworkAddress(anyIPv4, port: 443)) ? 443 : 4433
        let hasIPv6 = canBind(NetworkAddress(anyIPv6, port: 0))
        return [NetworkAddress(anyIPv4, port: port)] + (hasIPv6 ? [NetworkAddress(anyIPv6, port: port)] : [])
    }

    private static func canBind(_ address: NetworkAddress) -> Bool {
        guard let socket = try? BoundDatagramSocket(address) else { return false }
        socket.close()
        return true
    }
}
