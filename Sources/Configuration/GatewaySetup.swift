internal import Cryptography
public import Primitives

/// Everything that a new gateway needs, as `godwit init` writes it: configuration, certificate and key, and a first user.
public struct GatewaySetup: Hashable, Sendable {
    /// A certificate that exists already.
    public struct Certificate: Hashable, Sendable {
        /// The chain in PEM.
        public var chain: String
        /// Its key in PEM.
        public var key: String

        /// Names the two files.
        public init(chain: String, key: String) {
            self.chain = chain
            self.key = key
        }
    }

    /// The folder that the files are written to.
    public var folder: String
    /// How clients reach the gateway.
    public var name: HostPort
    /// UDP addresses to serve on.
    public var listen: [NetworkAddress]
    /// The first user.
    public var user: String
    /// The certificate to use; `nil` to make one.
    public var certificate: Certificate?
    /// What happens to files of an earlier setup.
    public var existing: ConfigurationFile.Existing

    /// Creates a setup from its parts.
    public init(
        folder: String, name: HostPort, listen: [NetworkAddress], user: String, certificate: Certificate?,
        existing: ConfigurationFile.Existing
    ) {
        self.folder = folder.isEmpty ? "." : folder
        self.name = name
        self.listen = listen
        self.user = user
        self.certificate = certificate
        self.existing = existing
    }

    /// How long a certificate is valid that is made here: its key is pinned, so its end only forces a new setup.
    static let certificateLifetime: Int64 = 10 * 366 * 86_400
    /// How far back it is valid already, for clients whose clock is slow.
    static let clockSkewAllowed: Int64 = 86_400

    /// The path of the configuration.
    public var configuration: String { path("gateway.toml") }

    private func path(_ name: String) -> String { folder.hasSuffix("/") ? folder + name : "\(folder)/\(name)" }

    /// Writes the files and returns an invite for the user; writes nothing when one of the files exists and is to be kept.
    ///
    /// `now` is in seconds since 1970.
    public func write(now: Int64) throws(ConfigurationError) -> Invite {
        let token = Token.generate()
        var users = UsersFile()
        do throws(UsersError) {
            try users.add(user, token: token, created: now)
        } catch {
            throw ConfigurationError(source: "--user", message: "\(error)")
        }
        for path in [certificate?.chain, certificate?.key] where path?.contains("$") == true {
            throw ConfigurationError(
                source: path ?? "",
                message: "has a $ in its path, which starts a variable in gateway.toml; use another path")
        }
        let identity = try identity(now: now)
        try refuseExisting()
        try ConfigurationFile.makeFolder(folder)
        if certificate == nil {
            try write("gateway.key", String(decoding: identity.key.pem, as: UTF8.self), mode: 0o600)
            try write("gateway.crt", String(decoding: identity.chainPEM, as: UTF8.self), mode: 0o644)
        }
        try write("users.toml", users.text, mode: 0o600)
        try write("gateway.toml", configurationText, mode: 0o644)
        return Invite(token: token, gateway: name, pins: identity.pins)
    }

    private func identity(now: Int64) throws(ConfigurationError) -> Identity {
        if let certificate { return try Identity.load(certificate: certificate.chain, key: certificate.key) }
        let template = CertificateTemplate(
            names: [name.host.description], notBefore: now - GatewaySetup.clockSkewAllowed,
            notAfter: now + GatewaySetup.certificateLifetime)
        do throws(CryptographyError) {
            return try Identity.generate(template, key: .ecdsaP256)
        } catch {
            throw ConfigurationError(source: path("gateway.crt"), message: "\(error.reason); check --name")
        }
    }

    private func refuseExisting() throws(ConfigurationError) {
        guard case .keep = existing else { return }
        let names = (certificate == nil ? ["gateway.key", "gateway.crt"] : []) + ["users.toml", "gateway.toml"]
        for name in names where ConfigurationFile.exists(path(name)) {
            throw ConfigurationError(
                source: path(name),
                message: "exists, so nothing was written; give --force to replace it, or another --dir")
        }
    }

    private func write(_ name: String, _ text: String, mode: UInt32) throws(ConfigurationError) {
        try ConfigurationFile.write(text, to: path(name), mode: mode, existing: existing)
    }

    /// The text of `gateway.toml`.
    var configurationText: String {
        let addresses = listen.map { "\"\($0)\"" }.joined(separator: ", ")
        return """
            # The gateway's configuration, written by `godwit init`. Every key is explained in Config/gateway.toml of the sources.
            # `godwit gateway --config FILE --check` tells whether it is right; SIGHUP makes a running gateway read it again.
            name        = "\(name)"
            listen      = [\(addresses)]
            certificate = \(quoted(certificate?.chain ?? "gateway.crt"))
            key         = \(quoted(certificate?.key ?? "gateway.key"))
            users       = "users.toml"

            # What users may reach. Loopback, private and link-local addresses are closed unless private_networks is true
            # or a rule names their network, as in "10.8.0.0/16:22,80".
            [destinations]
            allow = ["*:*"]
            deny  = []
            private_networks = false

            """
    }

    /// A path as a basic string of TOML.
    private func quoted(_ text: String) -> String {
        let escaped = text.unicodeScalars.map { scalar -> String in
            switch scalar {
            case "\"": "\\\""
            case "\\": "\\\\"
            default: scalar.properties.generalCategory == .control ? "?" : String(scalar)
            }
        }
        return "\"\(escaped.joined())\""
    }
}
