import Cryptography
import TLS
import Testing

/// Values that cannot be used are found when a context or an engine is made.
struct ConfigurationTests {
    static func clientError(
        trust: ServerTrust = .systemStore, _ change: (inout TLSOptions) -> Void = { _ in }
    ) -> TLSError? {
        let options = Fixture.options(change)
        do {
            _ = try TLSContext(client: TLSClientConfiguration(options: options, trust: trust))
            return nil
        } catch {
            return error
        }
    }

    @Test func everyUnusableValueIsAConfigurationErrorThatNamesIt() {
        let errors = [
            Self.clientError { $0.applicationProtocols = [] },
            Self.clientError { $0.applicationProtocols = [""] },
            Self.clientError { $0.applicationProtocols = [String(repeating: "x", count: 256)] },
            Self.clientError { $0.groups = [KeyExchangeGroup(rawValue: "no such group")] },
            Self.clientError { $0.groups = [] },
            Self.clientError { $0.cipherSuites = [] },
            Self.clientError(trust: .anchors([])),
            Self.clientError(trust: .pinned(publicKeyHashes: [])),
            Self.clientError(trust: .pinned(publicKeyHashes: [[1, 2, 3]])),
        ]
        #expect(errors.allSatisfy { $0?.kind == .configuration })
        #expect(errors[3]?.reason.contains("no such group") == true)
        #expect(Self.clientError() == nil)
    }

    @Test func aServersTicketSettingsAreChecked() throws {
        let identity = try Fixture.ed25519.get()
        #expect(throws: TLSError.self) { try Fixture.server(identity) { $0.ticketSecret = SecretBytes([1, 2, 3]) } }
        _ = try Fixture.server(identity) { $0.sessionIDContext = [UInt8](repeating: 0, count: 100) }
    }

    @Test(
        "a client knows its server by a usable name, unless the key is pinned",
        arguments: [
            nil, "", ".", String(repeating: "a", count: 300), "server.test\0.evil.test", "two words",
        ])
    func names(name: String?) throws {
        let identity = try Fixture.ed25519.get()
        let context = try Fixture.client(trusting: identity)
        #expect(throws: TLSError.self) {
            try TLSEngine(context: context, serverName: name, transportParameters: [])
        }
    }
}
