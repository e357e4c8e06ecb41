public import Cryptography

/// What several gateways of one owner share, as a file of its own keeps it: the secret that their session tickets are made with.
///
/// It is a secret: whoever has it can pass for a gateway towards clients that resume a session.
public struct GatewayKeys: Sendable {
    /// What session tickets are encrypted with.
    public var ticketSecret: SecretBytes

    /// Bytes in the secret.
    public static let secretLength = 32
    /// The version of the format.
    static let version = 1

    /// Creates keys from their parts.
    public init(ticketSecret: SecretBytes) { self.ticketSecret = ticketSecret }

    /// Reads the text of a file of keys.
    public init(text: String, source: String) throws(ConfigurationError) {
        let root = try TableReader(
            TOMLNode.parse(text, source: source), name: "", source: source, keys: ["version", "tickets"])
        guard try root.integer("version", in: 1...Int.max) == Self.version else {
            throw root.error(
                "version",
                "is not \(Self.version); export the keys again with this program's `godwit gateway keys export`")
        }
        guard let text = try root.string("tickets") else {
            throw root.error("tickets", "is missing; export the keys again with `godwit gateway keys export FILE`")
        }
        guard let bytes = Base64URL.decode(text.value), bytes.count == Self.secretLength else {
            throw text.error("tickets is not whole: it has 43 letters, digits, - and _; copy the file again")
        }
        ticketSecret = SecretBytes(bytes)
    }

    /// The text of the file. Secret.
    public var text: String {
        let secret = ticketSecret.span
        let encoded = Base64URL.encode(secret.indices.map { secret[$0] })
        return """
            # Keys that gateways of one owner share, written by `godwit gateway keys export`. A secret: keep it to yourself.
            version = \(Self.version)
            tickets = "\(encoded)"

            """
    }

    /// Reads a file of keys from disk.
    public static func load(_ path: String) throws(ConfigurationError) -> GatewayKeys {
        try GatewayKeys(text: ConfigurationFile.read(path), source: path)
    }

    /// Writes the file, readable by the owner only, in one step.
    public func save(_ path: String, existing: ConfigurationFile.Existing) throws(ConfigurationError) {
        try ConfigurationFile.write(text, to: path, mode: 0o600, existing: existing)
    }
}
