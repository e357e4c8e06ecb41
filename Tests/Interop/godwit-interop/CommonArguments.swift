import ArgumentParser
import Cryptography
import Foundation
import Primitives
import QUIC
import TLS

/// Reads ADDRESS:PORT.
func address(_ argument: String) throws -> NetworkAddress {
    guard let address = NetworkAddress(argument) else { throw ValidationError("\(argument) is not ADDRESS:PORT") }
    return address
}

/// Reads one of the names of cipher suites that reports have.
func cipherSuite(_ argument: String) throws -> CipherSuite {
    guard let suite = CipherSuite.allCases.first(where: { $0.argument == argument }) else {
        throw ValidationError("\(argument) is none of the cipher suites")
    }
    return suite
}

/// What clients and servers both take.
struct CommonArguments: ParsableArguments {
    @Option(help: "The application protocol.")
    var alpn = "godwit-interop"

    @Option(help: "The only cipher suite: aes-128-gcm, aes-256-gcm or chacha20-poly1305.", transform: cipherSuite)
    var cipher: CipherSuite?

    @Option(help: "The only key exchange, by OpenSSL's name.")
    var group: String?

    @Option(help: "Update the keys after so many bytes of payload received.")
    var keyUpdateAfter: UInt64?

    var tls: TLSOptions {
        var options = TLSOptions(applicationProtocols: [alpn])
        if let cipher { options.cipherSuites = [cipher] }
        if let group { options.groups = [KeyExchangeGroup(rawValue: group)] }
        return options
    }

    /// An endpoint with keys of its own.
    static func endpoint(server: ServerConfiguration? = nil) -> EndpointConfiguration {
        EndpointConfiguration(server: server, resetKey: StatelessResetKey(secret()))
    }

    static func secret() -> SecretBytes { SecretBytes(systemRandomBytes(count: 32)) }

    static func read(_ path: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(fileURLWithPath: path))) }
}

/// Something to be done once, after so many bytes of payload received.
struct Trigger {
    private var threshold: UInt64?

    init(after threshold: UInt64?) { self.threshold = threshold }

    /// Whether it is to be done now.
    mutating func fires(at count: UInt64) -> Bool {
        guard let threshold, count >= threshold else { return false }
        self.threshold = nil
        return true
    }
}
