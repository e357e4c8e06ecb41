import Cryptography
import Primitives
import TLS
import Testing

@testable import QUIC

@Suite("What the handshake authenticates (RFC 9000 §7.3, §7.4; RFC 9001 §4.8, §8.1)")
struct HandshakeAuthenticationTests {
    private let wrong = ConnectionID([UInt8](repeating: 0xee, count: 8)) ?? .empty

    private func closed(_ end: ConnectionEnd?, _ code: TransportErrorCode) -> Bool {
        switch end {
        case .failed(let error)?, .failedByPeer(let error)?: error.code == code
        default: false
        }
    }

    @Test("the setting for tests of wrong parameters works when nothing is wrong") func control() throws {
        let server = try ConnectionPair.connected { $0.serverTampering = { _ in } }
        #expect(try server.serverConnection.isHandshakeComplete)
        _ = try ConnectionPair.connected { $0.clientTampering = { _ in } }
    }

    @Test(
        "a server's wrong parameters end the client with TRANSPORT_PARAMETER_ERROR",
        arguments: [
            "initial source", "no initial source", "original destination", "no original destination", "retry source",
            "payload size", "ack delay exponent", "limit of IDs", "empty preferred ID",
        ])
    func serverParameters(_ fault: String) throws {
        let wrong = wrong
        let pair = try ConnectionPair { setup in
            setup.serverTampering = { own in
                switch fault {
                case "initial source": own.initialSourceConnectionID = wrong
                case "no initial source": own.initialSourceConnectionID = nil
                case "original destination": own.originalDestinationConnectionID = wrong
                case "no original destination": own.originalDestinationConnectionID = nil
                case "retry source": own.retrySourceConnectionID = wrong
                case "payload size": own.maxUDPPayloadSize = 1_199
                case "ack delay exponent": own.ackDelayExponent = 21
                case "limit of IDs": own.activeConnectionIDLimit = 1
                default:
                    own.preferredAddress = PreferredAddress(
                        ipv4: ConnectionPair.serverAddress, ipv6: nil, connectionID: .empty,
                        statelessResetToken: StatelessResetToken(high: 0, low: 0))
                }
            }
        }
        pair.run(for: .seconds(2))
        #expect(closed(pair.end(of: .client), .transportParameterError), "\(String(describing: pair.end(of: .client)))")
        #expect(closed(pair.end(of: .server), .transportParameterError), "the server is told")
    }

    @Test(
        "a client's wrong parameters end the server's connection with TRANSPORT_PARAMETER_ERROR",
        arguments: ["initial source", "no initial source", "payload size", "limit of IDs"])
    func clientParameters(_ fault: String) throws {
        let wrong = wrong
        let pair = try ConnectionPair { setup in
            setup.clientTampering = { own in
                switch fault {
                case "initial source": own.initialSourceConnectionID = wrong
                case "no initial source": own.initialSourceConnectionID = nil
                case "payload size": own.maxUDPPayloadSize = 100
                default: own.activeConnectionIDLimit = 0
                }
            }
        }
        pair.run(for: .seconds(2))
        #expect(closed(pair.end(of: .server), .transportParameterError))
        #expect(closed(pair.end(of: .client), .transportParameterError), "the client is told")
    }

    @Test("a preferred address with the connection ID of the handshake is TRANSPORT_PARAMETER_ERROR (§18.2)")
    func repeatedPreferredID() throws {
        let pair = try ConnectionPair { setup in
            setup.serverTampering = { own in
                own.preferredAddress = PreferredAddress(
                    ipv4: NetworkAddress(IPAddress(ipv4: 0x0808_0808), port: 443), ipv6: nil,
                    connectionID: own.initialSourceConnectionID ?? .empty,
                    statelessResetToken: StatelessResetToken(high: 0, low: 0))
            }
        }
        pair.run(for: .seconds(2))
        #expect(closed(pair.end(of: .client), .transportParameterError))
    }

    @Test("no common application protocol is CRYPTO_ERROR 0x178 (RFC 9001 §8.1)") func applicationProtocol() throws {
        let pair = try ConnectionPair { $0.clientProtocols = ["other"] }
        pair.run(for: .seconds(2))
        #expect(closed(pair.end(of: .server), .cryptoError(alert: 120)))
        #expect(closed(pair.end(of: .client), .cryptoError(alert: 120)))
        #expect(TransportErrorCode.cryptoError(alert: 120).rawValue == 0x178)
    }

    @Test("a certificate for another name ends the handshake with the alert of TLS (RFC 9001 §4.8)") func wrongName()
        throws
    {
        let pair = try ConnectionPair { $0.expectedName = "other.test" }
        pair.run(for: .seconds(2))
        guard case .failed(let error)? = pair.end(of: .client) else { return #expect(Bool(false), "no failure") }
        #expect(error.code.alert != nil)
        #expect(closed(pair.end(of: .server), error.code), "the server is told the same")
    }

    @Test("a certificate of an unknown authority ends the handshake") func unknownAuthority() throws {
        let other = try PairSetup.identity(for: PairSetup.serverName)
        let pair = try ConnectionPair { $0.anchors = [other.certificate] }
        pair.run(for: .seconds(2))
        guard case .failed(let error)? = pair.end(of: .client) else { return #expect(Bool(false), "no failure") }
        #expect(error.code.alert != nil)
    }

    @Test("an application's close before 1-RTT keys becomes APPLICATION_ERROR without its words (§10.2.3)")
    func earlyApplicationClose() throws {
        let pair = try ConnectionPair()
        pair.run(for: .milliseconds(7))
        try pair.clientConnection.close(errorCode: 77, reason: "secret", at: pair.now)
        pair.run(for: .seconds(1))
        guard case .failedByPeer(let error)? = pair.end(of: .server) else { return #expect(Bool(false), "not told") }
        #expect(error.code == .applicationError)
        #expect(error.reason.isEmpty)
        #expect(pair.end(of: .client) == .closedLocally(errorCode: 77))
    }

    @Test("a server's close in the handshake reaches a client whatever keys that has (§10.2.3)") func serverClose()
        throws
    {
        let pair = try ConnectionPair()
        pair.passes = { role, _ in role == .client }
        pair.run(for: .milliseconds(7))
        pair.passes = { _, _ in true }
        // The server has keys of every level, the client only those of Initial packets.
        try pair.serverConnection.close(errorCode: 5, reason: "full", at: pair.now)
        pair.run(for: .seconds(1))
        guard case .failedByPeer(let error)? = pair.end(of: .client) else { return #expect(Bool(false), "not told") }
        #expect(error.code == .applicationError)
    }

    @Test("CRYPTO data left over at a level that is done is a violation (RFC 9001 §4.1.3)") func leftOverCrypto() throws
    {
        let pair = try ConnectionPair()
        pair.run(for: .milliseconds(7))
        // Far beyond what the server has taken of the ClientHello.
        try pair.attack(from: .client, cryptoFrame(offset: 10_000, [1]), at: .initial, paddedTo: 1_200)
        pair.run(for: .seconds(1))
        #expect(try pair.serverConnection.failure == .protocolViolation || pair.end(of: .server) != nil)
    }
}
