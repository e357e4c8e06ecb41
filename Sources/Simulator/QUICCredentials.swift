import Cryptography
public import TLS

/// Certificates and TLS contexts for simulated endpoints.
///
/// Keys are Ed25519, whose signatures always have the same length, and certificates are judged at a fixed time: nothing
/// about a handshake depends on the day or on luck but bytes that look random anyway.
public struct QUICCredentials: Sendable {
    /// The wall clock of every simulation at its start, in seconds since 1970.
    public static let unixTime: UInt64 = 1_800_000_000
    /// The name that the server's certificate is for.
    public static let serverName = "server.test"
    /// The application protocol of both ends.
    public static let applicationProtocol = "scenario"

    /// What the server shows.
    public let serverContext: TLSContext
    /// What the client trusts.
    public let clientContext: TLSContext

    /// Makes a server's identity and both contexts.
    ///
    /// - Parameters:
    ///   - names: how many names beside its own the server's certificate is for; each adds about 250 bytes to it.
    ///   - change: changes the TLS options of an end: groups, cipher suites, protocols.
    public init(
        additionalNames names: Int = 0, _ change: (_ role: TLSRole, _ options: inout TLSOptions) -> Void = { _, _ in }
    ) throws {
        var options = TLSOptions(applicationProtocols: [Self.applicationProtocol])
        options.verificationTime = Int64(Self.unixTime)
        let label = String(repeating: "x", count: 60)
        let others = (0..<names).map { "n\($0 + 100_000).\(label).\(label).\(label).\(label).test".suffix(250) }
        let template = CertificateTemplate(
            names: [Self.serverName] + others.map { String($0) }, notBefore: 1_700_000_000, notAfter: 1_900_000_000)
        let identity = try Identity.generate(template, key: .ed25519)
        var serverOptions = options
        change(.server, &serverOptions)
        var server = TLSServerConfiguration(options: serverOptions, identity: identity)
        server.ticketSecret = SecretBytes([UInt8](repeating: 7, count: 32))
        serverContext = try TLSContext(server: server)
        var clientOptions = options
        change(.client, &clientOptions)
        clientContext = try TLSContext(
            client: TLSClientConfiguration(options: clientOptions, trust: .anchors([identity.certificate])))
    }

    private static let shared = Result { try QUICCredentials() }

    /// Credentials that every scenario without wishes of its own shares.
    public static func standard() throws -> QUICCredentials { try shared.get() }
}
