public import Configuration
public import Cryptography
public import Primitives
public import Tunnel

/// What a gateway needs besides its configuration, read from the files that the configuration names.
///
/// Loading it is what `godwit gateway --check` does, what every start does first, and what SIGHUP does again: a fault leaves the
/// material in use as it is.
public struct GatewayMaterial: Sendable {
    /// The certificate chain and its key.
    public let identity: Identity
    /// The users.
    public let users: UsersFile
    /// Which destinations are open.
    public let rules: AccessRules
    /// What is shared with other gateways; nil where nothing is.
    public let keys: GatewayKeys?

    /// Reads everything; the first fault is an error with its file and line.
    ///
    /// `ownAddresses` are the addresses of the machine, which users reach only where private ones are open.
    public init(
        _ configuration: GatewayConfiguration, ownAddresses: Set<IPAddress> = []
    ) throws(ConfigurationError) {
        identity = try configuration.identity()
        users = try UsersFile.load(configuration.users)
        keys = try configuration.ticketSecret.map { path throws(ConfigurationError) in try GatewayKeys.load(path) }
        rules = try Self.rules(configuration.destinations, ownAddresses: ownAddresses)
    }

    private static func rules(
        _ destinations: GatewayConfiguration.Destinations, ownAddresses: Set<IPAddress>
    ) throws(ConfigurationError) -> AccessRules {
        for rule in destinations.allow + destinations.deny {
            do throws(AccessRuleError) {
                _ = try AccessRule(parsing: rule.value)
            } catch {
                throw rule.error(error.description)
            }
        }
        do throws(AccessRuleError) {
            return try AccessRules(
                allow: destinations.allow.map(\.value), deny: destinations.deny.map(\.value),
                privateNetworks: destinations.privateNetworks ? .allowed : .onlyByBlock, ownAddresses: ownAddresses)
        } catch {
            throw ConfigurationError(source: "[destinations]", message: error.description)
        }
    }

    /// The keys that this gateway works with, for others of the same owner.
    public static func keys(of configuration: GatewayConfiguration) throws(ConfigurationError) -> GatewayKeys {
        if let path = configuration.ticketSecret { return try GatewayKeys.load(path) }
        let secrets = GatewaySecrets(privateKeyPEM: Array(try ConfigurationFile.read(configuration.key).utf8))
        return GatewayKeys(ticketSecret: secrets.ticketSecret)
    }

    /// What is worth a warning at a time in seconds since 1970, one line each.
    public func warnings(at now: Int64) -> [String] {
        let certificate = identity.certificate
        var warnings: [String] = []
        if certificate.notAfter < now {
            warnings.append(
                "the certificate expired at \(CivilTime(unixTime: certificate.notAfter))Z; clients will refuse it: renew it"
            )
        } else if certificate.notAfter - now < 14 * 86_400 {
            warnings.append(
                "the certificate expires at \(CivilTime(unixTime: certificate.notAfter))Z; renew it, then send SIGHUP")
        }
        if certificate.notBefore > now {
            warnings.append(
                "the certificate is valid from \(CivilTime(unixTime: certificate.notBefore))Z on only; check the clock")
        }
        if users.users.isEmpty { warnings.append("there are no users; add one with `godwit user add NAME`") }
        return warnings
    }
}
