import Primitives
import Testing

@testable import QUIC

@Suite("Transport parameters (RFC 9000 §7.4, §18)")
struct TransportParametersTests {
    static let preferred = PreferredAddress(
        ipv4: NetworkAddress(IPAddress(ipv4: 0xc000_0201), port: 4_433),
        ipv6: NetworkAddress(IPAddress(ipv6High: 0x2001_0db8_0000_0000, low: 1), port: 4_434),
        connectionID: connectionID("0a0b0c0d0e"), statelessResetToken: StatelessResetToken(high: 1, low: 2))

    static var all: TransportParameters {
        var parameters = TransportParameters()
        parameters.maxIdleTimeout = .seconds(30)
        parameters.maxUDPPayloadSize = 1_472
        parameters.initialMaxData = 1 << 24
        parameters.initialMaxStreamDataBidiLocal = 1 << 20
        parameters.initialMaxStreamDataBidiRemote = 1 << 19
        parameters.initialMaxStreamDataUni = 1 << 18
        parameters.initialMaxStreamsBidi = 1 << 60
        parameters.initialMaxStreamsUni = 3
        parameters.ackDelayExponent = 20
        parameters.maxAckDelay = .milliseconds(16_383)
        parameters.disablesActiveMigration = true
        parameters.activeConnectionIDLimit = 8
        parameters.maxDatagramFrameSize = 65_535
        parameters.greasesQUICBit = true
        parameters.minAckDelay = .microseconds(1_000)
        parameters.initialSourceConnectionID = .empty
        parameters.originalDestinationConnectionID = connectionID("0102030405060708")
        parameters.retrySourceConnectionID = connectionID("1111")
        parameters.statelessResetToken = StatelessResetToken(high: 3, low: 4)
        parameters.preferredAddress = preferred
        return parameters
    }

    static func decode(_ text: String, from sender: Role = .server) throws(TransportError) -> TransportParameters {
        let bytes = hexBytes(text)
        return try TransportParameters(decoding: bytes.span, from: sender)
    }

    @Test("all parameters of a server survive the round trip")
    func serverRoundTrip() throws {
        var generator = SeededGenerator(seed: 7)
        for _ in 0..<50 {
            let bytes = Self.all.encoded(for: .server, using: &generator)
            #expect(try TransportParameters(decoding: bytes.span, from: .server) == Self.all)
        }
    }

    @Test("an idle timeout beyond all reason counts as a year, and stays that when it is told again")
    func endlessIdleTimeout() throws {
        // max_idle_timeout: the largest varint.
        var parameters = try Self.decode("0108ffffffffffffffff", from: .client)
        #expect(parameters.maxIdleTimeout == .seconds(366 * 86_400))
        var generator = SeededGenerator(seed: 9)
        let again = parameters.encoded(for: .client, using: &generator)
        parameters = try TransportParameters(decoding: again.span, from: .client)
        #expect(parameters.maxIdleTimeout == .seconds(366 * 86_400))
    }

    @Test("a client leaves out what only a server may send")
    func clientRoundTrip() throws {
        var generator = SeededGenerator(seed: 8)
        let bytes = Self.all.encoded(for: .client, using: &generator)
        var expected = Self.all
        expected.originalDestinationConnectionID = nil
        expected.retrySourceConnectionID = nil
        expected.statelessResetToken = nil
        expected.preferredAddress = nil
        #expect(try TransportParameters(decoding: bytes.span, from: .client) == expected)
    }

    @Test("nothing on the wire means the defaults of the RFC")
    func defaults() throws {
        let parameters = try Self.decode("")
        #expect(parameters == TransportParameters())
        #expect(parameters.maxUDPPayloadSize == 65_527 && parameters.ackDelayExponent == 3)
        #expect(parameters.maxAckDelay == .milliseconds(25) && parameters.activeConnectionIDLimit == 2)
        #expect(parameters.maxIdleTimeout == .zero && parameters.initialMaxData == 0)
    }

    @Test("one reserved parameter is added, with a new number and value each time")
    func reservedParameter() throws {
        var generator = SeededGenerator(seed: 9)
        var seen: Set<[UInt8]> = []
        for _ in 0..<20 {
            let bytes = TransportParameters().encoded(for: .client, using: &generator)
            var reader = ByteReader(bytes.span)
            let number = try reader.readVarint()
            #expect(number % 31 == 27)
            seen.insert(bytes)
        }
        #expect(seen.count == 20)
    }

    @Test("a preferred address of one family leaves the other out")
    func oneFamily() throws {
        var generator = SeededGenerator(seed: 10)
        var parameters = TransportParameters()
        for (ipv4, ipv6) in [(Self.preferred.ipv4, nil), (nil, Self.preferred.ipv6)] {
            parameters.preferredAddress = PreferredAddress(
                ipv4: ipv4, ipv6: ipv6, connectionID: Self.preferred.connectionID,
                statelessResetToken: Self.preferred.statelessResetToken)
            let bytes = parameters.encoded(for: .server, using: &generator)
            #expect(try TransportParameters(decoding: bytes.span, from: .server) == parameters)
        }
    }

    @Test(
        "bad parameters are TRANSPORT_PARAMETER_ERROR",
        arguments: [
            ("occurs twice", "0401050401 05"), ("unknown parameter occurs twice", "1b00 1b00"),
            ("max_udp_payload_size 1199", "030244af"), ("ack_delay_exponent 21", "0a0115"),
            ("max_ack_delay 2^14", "0b0480004000"), ("active_connection_id_limit 1", "0e0101"),
            ("initial_max_streams_bidi 2^60+1", "0808d000000000000001"),
            ("initial_max_streams_uni 2^60+1", "0908d000000000000001"),
            ("value ends early", "040140"), ("empty value of a number", "0400"), ("trailing bytes", "04020501"),
            ("disable_active_migration with a value", "0c0101"), ("grease_quic_bit with a value", "6ab20100"),
            ("stateless_reset_token of 15 bytes", "020f000000000000000000000000000000"),
            ("stateless_reset_token of 17 bytes", "02110000000000000000000000000000000000"),
            ("connection ID of 21 bytes", "0f15000000000000000000000000000000000000000000"),
            ("preferred_address without a connection ID", "0d29" + String(repeating: "00", count: 41)),
            (
                "preferred_address with 21 bytes of connection ID",
                "0d3e" + String(repeating: "00", count: 24) + "15"
                    + String(repeating: "00", count: 37)
            ),
            ("preferred_address that ends early", "0d050102030405"),
            ("length beyond the end", "040501"), ("number without a length", "04"), ("half a number", "40"),
            ("min_ack_delay above max_ack_delay", "0b0101 c0000000ff04de1b0247d0"),
        ])
    func refused(what: String, text: String) {
        #expect(throws: TransportError.self, "\(what)") { try Self.decode(text) }
        let code: TransportErrorCode?
        do throws(TransportError) {
            _ = try Self.decode(text)
            code = nil
        } catch {
            code = error.code
        }
        #expect(code == .transportParameterError, "\(what)")
    }

    @Test(
        "values at the edge of their range are accepted",
        arguments: ["030244b0", "0a0114", "0b027fff", "0e0102", "0808d000000000000000", "0c00", "0f00", "1b03aabbcc"])
    func accepted(text: String) throws {
        _ = try Self.decode(text)
    }

    @Test(
        "what only a server may send is refused from a client",
        arguments: [
            "000101", "0210" + String(repeating: "00", count: 16), "100101",
            "0d2a" + String(repeating: "01", count: 24) + "0101" + String(repeating: "01", count: 16),
        ])
    func fromClient(text: String) throws {
        _ = try Self.decode(text, from: .server)
        #expect(throws: TransportError.self) { try Self.decode(text, from: .client) }
    }

    @Test("every truncation of a full set is refused or decodes without a trap")
    func truncations() {
        var generator = SeededGenerator(seed: 11)
        let bytes = Self.all.encoded(for: .server, using: &generator)
        var refused = 0
        for count in bytes.indices {
            let parameters = try? TransportParameters(decoding: bytes.span.extracting(0..<count), from: .server)
            if parameters == nil { refused += 1 }
        }
        // Only the ends of whole parameters decode; min_ack_delay needs max_ack_delay before it.
        #expect(refused > bytes.count - 22)
    }

    @Test("random bytes never trap")
    func random() {
        var generator = SeededGenerator(seed: 12)
        let valid = Self.all.encoded(for: .server, using: &generator)
        for round in 0..<4_000 {
            var bytes = round.isMultiple(of: 2) ? valid : randomBytes(Int(generator.next() % 60), &generator)
            for _ in 0..<Int(generator.next() % 4) where !bytes.isEmpty {
                bytes[Int.random(in: bytes.indices, using: &generator)] = UInt8(truncatingIfNeeded: generator.next())
            }
            let role: Role = round.isMultiple(of: 3) ? .client : .server
            _ = try? TransportParameters(decoding: bytes.span, from: role)
        }
    }
}

@Suite("Authenticated connection IDs (RFC 9000 §7.3)")
struct HandshakeConnectionIDTests {
    static let source = connectionID("aa")
    static let original = connectionID("bb")
    static let retry = connectionID("cc")

    static func parameters(
        source: ConnectionID? = source, original: ConnectionID? = original, retry: ConnectionID? = nil
    ) -> TransportParameters {
        var parameters = TransportParameters()
        parameters.initialSourceConnectionID = source
        parameters.originalDestinationConnectionID = original
        parameters.retrySourceConnectionID = retry
        return parameters
    }

    static func isAccepted(_ parameters: TransportParameters, retry: ConnectionID?, from sender: Role) -> Bool {
        let seen = HandshakeConnectionIDs(
            peerInitialSource: source, originalDestination: original, retrySource: retry)
        do throws(TransportError) {
            try parameters.checkConnectionIDs(against: seen, from: sender)
            return true
        } catch {
            #expect(error.code == .transportParameterError)
            return false
        }
    }

    @Test("a server's three connection IDs must be those of the packets")
    func server() {
        #expect(Self.isAccepted(Self.parameters(), retry: nil, from: .server))
        #expect(Self.isAccepted(Self.parameters(retry: Self.retry), retry: Self.retry, from: .server))
        #expect(!Self.isAccepted(Self.parameters(source: nil), retry: nil, from: .server))
        #expect(!Self.isAccepted(Self.parameters(source: Self.original), retry: nil, from: .server))
        #expect(!Self.isAccepted(Self.parameters(original: nil), retry: nil, from: .server))
        #expect(!Self.isAccepted(Self.parameters(original: Self.source), retry: nil, from: .server))
    }

    @Test("a server names the Retry's connection ID if and only if there was a Retry")
    func retry() {
        #expect(!Self.isAccepted(Self.parameters(retry: Self.retry), retry: nil, from: .server))
        #expect(!Self.isAccepted(Self.parameters(), retry: Self.retry, from: .server))
        #expect(!Self.isAccepted(Self.parameters(retry: Self.source), retry: Self.retry, from: .server))
    }

    @Test("of a client only its own connection ID is checked")
    func client() {
        #expect(Self.isAccepted(Self.parameters(original: nil), retry: nil, from: .client))
        #expect(!Self.isAccepted(Self.parameters(source: nil, original: nil), retry: nil, from: .client))
    }
}
