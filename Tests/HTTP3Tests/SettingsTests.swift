import Primitives
import Testing

@testable import HTTP3

@Suite("SETTINGS")
struct SettingsTests {
    private func decode(_ pairs: [(UInt64, UInt64)]) throws(HTTP3Error) -> Settings {
        let bytes = pairs.flatMap { varint($0.0) + varint($0.1) }
        return try Settings(decoding: bytes.span)
    }

    @Test("known settings are read, unknown ones ignored")
    func known() throws {
        let settings = try decode([(1, 4096), (6, 100), (7, 16), (8, 1), (0x33, 1), (0x21, 5), (1 << 50, 9)])
        #expect(settings.qpackMaximumTableCapacity == 4096)
        #expect(settings.maximumFieldSectionSize == 100)
        #expect(settings.qpackBlockedStreams == 16)
        #expect(settings.extendedConnect == .announced)
        #expect(settings.datagrams == .announced)
    }

    @Test("what does not come has its initial value")
    func initial() throws {
        let settings = try decode([])
        #expect(settings == Settings())
        #expect(settings.maximumFieldSectionSize == nil)
        #expect(settings.extendedConnect == .notAnnounced)
    }

    static let invalid: [(String, [(UInt64, UInt64)])] = [
        ("twice", [(6, 1), (6, 1)]), ("unknown twice", [(0x21, 1), (1, 0), (0x21, 2)]),
        ("HTTP/2 header table size is known as QPACK's, reserved are others: 0", [(0, 0)]), ("ENABLE_PUSH", [(2, 0)]),
        ("MAX_CONCURRENT_STREAMS", [(3, 1)]), ("INITIAL_WINDOW_SIZE", [(4, 1)]), ("MAX_FRAME_SIZE", [(5, 1)]),
        ("extended CONNECT is 0 or 1", [(8, 2)]), ("datagrams are 0 or 1", [(0x33, 2)]),
        ("tunnels are resumed only, or not: 0 or 1", [(0x2b93_7d4e, 2)]),
    ]

    @Test("RFC 9114 §7.2.4: what must not come is H3_SETTINGS_ERROR", arguments: invalid)
    func errors(name: String, pairs: [(UInt64, UInt64)]) {
        let error = #expect(throws: HTTP3Error.self) { try decode(pairs) }
        #expect(error?.code == .settingsError)
    }

    @Test(
        "a frame that ends inside a parameter is H3_FRAME_ERROR",
        arguments: [[0x06], [0x06, 0x40], [0x40]] as [[UInt8]])
    func truncated(bytes: [UInt8]) {
        let error = #expect(throws: HTTP3Error.self) { try Settings(decoding: bytes.span) }
        #expect(error?.code == .frameError)
    }

    @Test("what is sent is read back, with one reserved setting more, whatever the seed")
    func roundTrip() throws {
        for seed in [0, 1, 0xff, 0x1234_5678_9abc_def0, UInt64.max] {
            var settings = Settings()
            settings.maximumFieldSectionSize = 16384
            settings.extendedConnect = .announced
            settings.datagrams = .announced
            settings.tunnelResumptionOnly = .announced
            let bytes = settings.encoded(greaseSeed: seed)
            #expect(try Settings(decoding: bytes.span) == settings)
            #expect(Grease.contains(Grease.number(seed)))
        }
    }

    @Test("random input never traps")
    func randomInput() {
        var generator = SeededGenerator(seed: 8)
        for _ in 0..<5000 {
            let bytes = randomBytes(Int.random(in: 0..<30, using: &generator), using: &generator)
            _ = try? Settings(decoding: bytes.span)
        }
    }
}
