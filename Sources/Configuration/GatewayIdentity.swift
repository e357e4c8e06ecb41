public import Cryptography
public import Primitives

extension GatewayConfiguration {
    /// Reads the certificate chain and its key; what is wrong names the file.
    public func identity() throws(ConfigurationError) -> Identity {
        try Identity.load(certificate: certificate, key: key)
    }

    /// An invite to this gateway under a name, or under the one that the file says.
    public func invite(
        _ token: Token, identity: Identity, name: HostPort? = nil
    ) throws(ConfigurationError) -> Invite {
        guard let gateway = name ?? self.name else {
            throw ConfigurationError(
                source: source,
                message: "name is missing; write name = \"HOST:PORT\", as clients reach the gateway, or give --name")
        }
        return Invite(token: token, gateway: gateway, pins: identity.pins)
    }
}

extension Identity {
    static func load(certificate: String, key: String) throws(ConfigurationError) -> Identity {
        let certificatePEM = Array(try ConfigurationFile.read(certificate).utf8)
        let keyPEM = Array(try ConfigurationFile.read(key).utf8)
        let chain: [Certificate]
        do throws(CryptographyError) {
            chain = try Certificate.chain(pem: certificatePEM)
        } catch {
            throw ConfigurationError(
                source: certificate, message: "\(error.reason); give a PEM file of the certificate")
        }
        do throws(CryptographyError) {
            return try Identity(chain: chain, key: try PrivateKey(pem: keyPEM))
        } catch {
            throw ConfigurationError(
                source: key, message: "\(error.reason); give the PEM file of the key that \(certificate) is for")
        }
    }

    /// What an invite demands of the gateway's key.
    ///
    /// A lone certificate vouches for itself, so clients are told its key. A chain was issued by an authority, which clients can ask
    /// instead, and whose next certificate may be for another key.
    var pins: [PublicKeyPin] {
        guard chain.count == 1 else { return [] }
        return [PublicKeyPin(digest: certificate.publicKeyHash)].compactMap { $0 }
    }
}
