import Cryptography
import TLS

/// One end of a handshake under test: an engine and everything it has put out.
final class HandshakeEnd {
    let engine: TLSEngine
    var toSend: [(level: EncryptionLevel, bytes: [UInt8])] = []
    var secrets: [String: SecretBytes] = [:]
    var suites: Set<CipherSuite> = []
    var parameters: [[UInt8]] = []
    var summary: HandshakeSummary?
    var tickets: [SessionTicket] = []
    var keyLog: [String] = []
    /// The kinds of output in their order.
    var trace: [String] = []

    init(_ engine: TLSEngine) { self.engine = engine }

    func drain() {
        while let output = engine.nextOutput() {
            switch output {
            case .handshakeBytes(let level, let bytes):
                toSend.append((level, bytes))
                trace.append("\(level) \(bytes[0])")
            case .secret(let level, let direction, let suite, let secret):
                secrets["\(level) \(direction)"] = secret
                suites.insert(suite)
                trace.append("\(level) \(direction)")
            case .peerTransportParameters(let bytes):
                parameters.append(bytes)
                trace.append("parameters")
            case .handshakeComplete(let summary):
                self.summary = summary
                trace.append("complete")
            case .ticket(let ticket):
                tickets.append(ticket)
                trace.append("ticket")
            case .keyLogLine(let line): keyLog.append(line)
            }
        }
    }
}

/// A client and a server whose CRYPTO streams are joined.
final class Handshake {
    /// How streams are cut on their way.
    enum Pieces {
        case whole
        case bytes(Int)
    }

    let client: HandshakeEnd
    let server: HandshakeEnd
    /// Changes bytes on their way; the flag tells whether they go to the server.
    var tamper: (TLSRole, EncryptionLevel, [UInt8]) -> [UInt8] = { _, _, bytes in bytes }

    init(
        client: TLSContext, server: TLSContext, name: String? = "server.test", ticket: SessionTicket? = nil,
        clientParameters: [UInt8] = Array("client parameters".utf8),
        serverParameters: [UInt8] = Array("server parameters".utf8)
    ) throws(TLSError) {
        self.client = HandshakeEnd(
            try TLSEngine(
                context: client, serverName: name, transportParameters: clientParameters, ticket: ticket))
        self.server = HandshakeEnd(
            try TLSEngine(context: server, serverName: nil, transportParameters: serverParameters))
    }

    /// Runs until nothing moves. An error of either end is thrown once; what that end had put out is drained before.
    func run(_ pieces: Pieces = .whole) throws(TLSError) {
        defer {
            client.drain()
            server.drain()
        }
        try client.engine.start()
        client.drain()
        while !client.toSend.isEmpty || !server.toSend.isEmpty {
            try deliver(from: client, to: server, role: .server, pieces)
            try deliver(from: server, to: client, role: .client, pieces)
        }
    }

    private func deliver(
        from sender: HandshakeEnd, to receiver: HandshakeEnd, role: TLSRole, _ pieces: Pieces
    ) throws(TLSError) {
        let flight = sender.toSend
        sender.toSend = []
        for (level, bytes) in flight {
            let bytes = tamper(role, level, bytes)
            let size =
                switch pieces {
                case .whole: max(1, bytes.count)
                case .bytes(let count): count
                }
            var start = 0
            while start < bytes.count {
                let piece = bytes[start..<min(start + size, bytes.count)]
                start += size
                try receiver.engine.receive(piece.span, at: level)
                receiver.drain()
            }
        }
    }

    /// Whether both ends have the same secrets in every level and direction.
    var secretsAgree: Bool {
        ["handshake", "oneRTT"].allSatisfy { level in
            [("read", "write"), ("write", "read")].allSatisfy { here, there in
                guard let a = client.secrets["\(level) \(here)"], let b = server.secrets["\(level) \(there)"] else {
                    return false
                }
                return a == b
            }
        }
    }
}

/// Certificates and contexts that tests share; all of them are immutable.
enum Fixture {
    /// The Unix time at which everything here is valid.
    static let now: Int64 = 1_800_000_000
    static let notBefore: Int64 = 1_700_000_000
    static let notAfter: Int64 = 1_900_000_000

    static func template(
        _ names: [String], purpose: CertificateTemplate.Purpose = .endpoint
    ) -> CertificateTemplate {
        CertificateTemplate(names: names, notBefore: notBefore, notAfter: notAfter, purpose: purpose)
    }

    static func selfSigned(_ kind: PrivateKey.Kind) -> Result<Identity, CryptographyError> {
        Result { () throws(CryptographyError) in
            try Identity.generate(template(["server.test", "192.0.2.1", "2001:db8::1"]), key: kind)
        }
    }

    static let ed25519 = selfSigned(.ed25519)
    static let ecdsa = selfSigned(.ecdsaP256)
    static let rsa = selfSigned(.rsa2048)

    static func options(_ change: (inout TLSOptions) -> Void = { _ in }) -> TLSOptions {
        var options = TLSOptions(applicationProtocols: ["h3"])
        options.verificationTime = now
        change(&options)
        return options
    }

    static func server(
        _ identity: Identity, options: TLSOptions = options(),
        _ change: (inout TLSServerConfiguration) -> Void = { _ in }
    ) throws -> TLSContext {
        var configuration = TLSServerConfiguration(options: options, identity: identity)
        change(&configuration)
        return try TLSContext(server: configuration)
    }

    /// A client that trusts the certificate of `identity` and nothing else.
    static func client(
        trusting identity: Identity, options: TLSOptions = options(), showing own: Identity? = nil
    ) throws -> TLSContext {
        try TLSContext(
            client: TLSClientConfiguration(
                options: options, trust: .anchors([identity.certificate]), identity: own))
    }
}
