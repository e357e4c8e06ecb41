import Configuration
import EventLoop
import FoundationEssentials
import Primitives

/// Starts the ways to an origin, each with files, keys and ports of its own: nothing of the user's is read or changed.
struct BenchmarkStart {
    let processes: BenchmarkProcesses
    let far: FarSide
    /// The origin's port there.
    let origin: UInt16

    /// How long a way may take until a byte gets through it.
    static let patience = Interval.seconds(20)
    /// Between two attempts.
    static let retry = Interval.milliseconds(50)

    /// A way that programs can use, or a failure that says what it lacks.
    func start(_ kind: BenchmarkSystem.Kind) throws -> BenchmarkSystem {
        let system =
            switch kind {
            case .direct: BenchmarkSystem(kind: kind, entry: .init(far.bits, port: origin))
            case .godwit: try godwit()
            case .ssh: try ssh(kind, options: [])
            case .sshAESGCM: try ssh(kind, options: ["-c", "aes128-gcm@openssh.com"])
            case .stunnel: try stunnel()
            }
        let end = Clock.monotonic() + Self.patience
        while (try? BenchmarkLoad.idle(1, through: system.entry)) == nil {
            guard !BenchmarkProcesses.hasEnded(system.local + system.remote), Clock.monotonic() < end else {
                let said = ["local", "remote"].map { processes.lastLine("\(kind.rawValue)-\($0)") }
                throw BenchmarkFailure("\(kind.rawValue) does not carry a byte: \(said.joined(separator: "; "))")
            }
            Clock.wait(Self.retry)
        }
        return system
    }

    /// Where a program is that this way needs.
    private func need(_ program: String) throws(BenchmarkFailure) -> String {
        guard let path = BenchmarkProcesses.find(program) else { throw BenchmarkFailure("\(program) is not installed") }
        return path
    }

    private func godwit() throws -> BenchmarkSystem {
        let binary = try ChildProcess.ownProgram()
        let ports = try BenchmarkProcesses.freePorts(2)
        let gateway = NetworkAddress(far.address, port: ports[1])
        let folder = "\(processes.folder)/gateway"
        let setup = GatewaySetup(
            folder: folder, name: HostPort(.address(gateway.ip), port: gateway.port), listen: [gateway],
            user: "bench", certificate: nil, existing: .keep)
        let invite = try setup.write(now: Clock.unixTime())
        // The origin may be on loopback; a gateway as `init` writes it keeps its users off that.
        let text = try ConfigurationFile.read(setup.configuration)
            .replacing("allow = [\"*:*\"]", with: "allow = [\"\(far.address):\(origin)\"]")
            .replacing("\nusers", with: "\ncontrol = \"\(folder)/gateway.sock\"\nusers")
        try processes.write("gateway/gateway.toml", text)
        try processes.write(
            "local.toml",
            """
            gateways = ["\(invite.text)"]
            control = "\(processes.folder)/godwit.sock"

            [[forward]]
            listen = "127.0.0.1:\(ports[0])"
            to = "\(far.address):\(origin)"
            """)
        let remote = try processes.start(
            binary, ["gateway", "--config", "\(folder)/gateway.toml"], at: far, name: "godwit-remote")
        // A local endpoint that finds nothing listening when it is started ends at once.
        let end = Clock.monotonic() + Self.patience
        while !processes.lastLine("godwit-remote").contains("is ready"), !BenchmarkProcesses.hasEnded([remote]),
            Clock.monotonic() < end
        {
            Clock.wait(Self.retry)
        }
        let local = try processes.start(
            binary, ["connect", "--config", "\(processes.folder)/local.toml"], name: "godwit-local")
        return BenchmarkSystem(kind: .godwit, entry: .init(port: ports[0]), local: [local], remote: [remote])
    }

    private func ssh(_ kind: BenchmarkSystem.Kind, options: [String]) throws -> BenchmarkSystem {
        let (client, server, keygen) = (try need("ssh"), try need("sshd"), try need("ssh-keygen"))
        let user = ProcessInfo.processInfo.userName
        let (name, folder) = (kind.rawValue, "\(processes.folder)/\(kind.rawValue)")
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        for key in ["host", "user"] {
            _ = try processes.run(keygen, ["-q", "-t", "ed25519", "-N", "", "-f", "\(folder)/\(key)"])
        }
        let ports = try BenchmarkProcesses.freePorts(2)
        try processes.write(
            "\(name)/sshd_config",
            """
            ListenAddress \(far.address):\(ports[0])
            HostKey \(folder)/host
            AuthorizedKeysFile \(folder)/user.pub
            PidFile none
            StrictModes no
            UsePAM no
            PasswordAuthentication no
            PermitRootLogin yes

            """)
        let host = try ConfigurationFile.read("\(folder)/host.pub")
        try processes.write("\(name)/known_hosts", "[\(far.address)]:\(ports[0]) \(host)")
        // What sshd separates its privileges into where it runs as root; a system that boots with sshd has it.
        if user == "root" {
            try? FileManager.default.createDirectory(
                atPath: "/run/sshd", withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
        }
        let remote = try processes.start(
            server, ["-D", "-e", "-f", "\(folder)/sshd_config"], at: far, name: "\(name)-remote")
        let settings = [
            "BatchMode=yes", "IdentitiesOnly=yes", "StrictHostKeyChecking=yes", "ExitOnForwardFailure=yes",
            "UserKnownHostsFile=\(folder)/known_hosts", "GlobalKnownHostsFile=/dev/null", "ConnectionAttempts=50",
        ]
        let local = try processes.start(
            client,
            ["-F", "none", "-N", "-p", "\(ports[0])", "-l", user, "-i", "\(folder)/user"]
                + settings.flatMap { ["-o", $0] } + options
                + ["-L", "127.0.0.1:\(ports[1]):\(far.address):\(origin)", "\(far.address)"],
            name: "\(name)-local")
        return BenchmarkSystem(kind: kind, entry: .init(port: ports[1]), local: [local], remote: [remote])
    }

    private func stunnel() throws -> BenchmarkSystem {
        let program = try need("stunnel")
        let ports = try BenchmarkProcesses.freePorts(2)
        let folder = "\(processes.folder)/stunnel"
        // For its certificate and key.
        _ = try GatewaySetup(
            folder: folder, name: HostPort(.address(far.address), port: ports[1]), listen: [], user: "bench",
            certificate: nil, existing: .keep
        ).write(now: Clock.unixTime())
        let common = """
            foreground = yes
            pid =
            debug = 4
            socket = l:TCP_NODELAY=1
            socket = r:TCP_NODELAY=1

            [bench]

            """
        try processes.write(
            "stunnel/remote.conf",
            common + """
                accept = \(far.address):\(ports[1])
                connect = \(far.address):\(origin)
                cert = \(folder)/gateway.crt
                key = \(folder)/gateway.key

                """)
        try processes.write(
            "stunnel/local.conf",
            common + """
                client = yes
                accept = 127.0.0.1:\(ports[0])
                connect = \(far.address):\(ports[1])

                """)
        let remote = try processes.start(program, ["\(folder)/remote.conf"], at: far, name: "stunnel-remote")
        let local = try processes.start(program, ["\(folder)/local.conf"], name: "stunnel-local")
        return BenchmarkSystem(kind: .stunnel, entry: .init(port: ports[0]), local: [local], remote: [remote])
    }
}
