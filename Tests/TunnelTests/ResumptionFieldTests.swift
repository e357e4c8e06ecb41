import HTTP3
import Primitives
import QUIC
import Testing

@testable import Tunnel

@Suite("What the field tunnel-resumption says")
struct ResumptionFieldTests {
    static let id = ":AAECAwQFBgcICQoLDA0ODw==:"

    private var id: ResumptionID {
        get throws { try #require(ResumptionID((0..<16).map { UInt8($0) })) }
    }

    @Test(
        "a request's",
        arguments: [
            ("?1", "wanted"), ("?1;x=1", "wanted"), ("?0", "none"), ("1", "none"), ("?2", "none"), ("", "none"),
            (id + ";delivered=5;generation=2", "resume"), (id + ";generation=2;y;delivered=5", "resume"),
            (id, "malformed"), (id + ";delivered=5", "malformed"), (id + ";generation=5", "malformed"),
            (id + ";delivered=-5;generation=2", "malformed"), (id + ";delivered=5.0;generation=2", "malformed"),
            (id + ";delivered=\"5\";generation=2", "malformed"), (":AAEC:;delivered=5;generation=2", "malformed"),
            (id + ";delivered=5000000000000000;generation=2", "none"),
        ])
    func requests(value: String, meaning: String) throws {
        let wish = ResumptionField.wish(in: [Field(ResumptionField.name, value)])
        switch meaning {
        case "wanted": #expect(wish == .wanted)
        case "resume": #expect(wish == .resume(.init(id: try id, delivered: 5, generation: 2)))
        case "malformed": #expect(wish == .malformed)
        default: #expect(wish == .none)
        }
    }

    @Test(
        "an answer's",
        arguments: [
            (id + ";linger=60", "granted"), (id + ";delivered=5;generation=2;linger=60", "resumed"), ("?1", "none"),
            (id, "none"), (id + ";linger=-1", "none"), (id + ";delivered=5;linger=60", "none"),
            (":AAEC:;linger=60", "none"),
        ])
    func answers(value: String, meaning: String) throws {
        let offer = ResumptionField.offer(in: [Field(ResumptionField.name, value)])
        switch meaning {
        case "granted": #expect(offer == .granted(.init(id: try id, linger: .seconds(60))))
        case "resumed":
            #expect(
                offer == .resumed(.init(.init(id: try id, delivered: 5, generation: 2), linger: .seconds(60))))
        default: #expect(offer == .none)
        }
    }

    @Test("what is written is what is read, at the largest numbers too")
    func roundTrip() throws {
        let position = ResumptionRequest(
            id: try id, delivered: ResumptionField.largestInteger, generation: ResumptionField.largestInteger)
        #expect(ResumptionField.wish(in: [ResumptionField.field(position)]) == .resume(position))
        let answer = ResumptionAnswer(position, linger: .seconds(86_400))
        #expect(ResumptionField.offer(in: [ResumptionField.field(answer)]) == .resumed(answer))
        let grant = ResumptionGrant(id: try id, linger: .seconds(86_400))
        #expect(ResumptionField.offer(in: [ResumptionField.field(grant)]) == .granted(grant))
        #expect(ResumptionField.field(grant).value == Self.id + ";linger=86400")
        #expect(ResumptionField.field(grant).sensitivity == .neverIndexed)
        let forever = ResumptionGrant(id: try id, linger: .max)
        #expect(ResumptionField.field(forever).value == Self.id + ";linger=9223372036")
    }

    @Test("a linger beyond ten years counts as ten years")
    func longLinger() throws {
        let field = Field(ResumptionField.name, Self.id + ";linger=999999999999999")
        #expect(
            ResumptionField.offer(in: [field]) == .granted(.init(id: try id, linger: .seconds(315_360_000))))
    }

    @Test("an id shows nothing of itself")
    func secrecy() throws {
        let id = try id
        #expect("\(id)" == "…" && String(reflecting: id) == "…")
        #expect(ResumptionID([1, 2, 3]) == nil)
        #expect(id.bytes == (0..<16).map { UInt8($0) })
    }

    @Test("two fields, as any other that is no single item, are ignored")
    func repeated() {
        let field = Field(ResumptionField.name, "?1")
        #expect(ResumptionField.wish(in: [field, field]) == .none)
    }

    @Test("private numbers are none that are reserved for exercise")
    func numbers() {
        #expect((TunnelDelivered.capsuleType - 0x17) % 0x29 != 0)
        #expect(!Grease.contains(HTTP3ErrorCode.tunnelDetached.rawValue))
        #expect(!Grease.contains(HTTP3ErrorCode.tunnelResumptionRestart.rawValue))
    }
}

@Suite("What the loss of its stream does to a tunnel")
struct TunnelLossTests {
    private static func durabilities() throws -> [(String, TunnelDurability)] {
        let id = try #require(ResumptionID([UInt8](repeating: 1, count: 16)))
        let record = HeldTunnel.Record(
            id: id, role: .client, destination: buildServer, linger: .zero, generation: 0, outgoing: .open,
            peerDelivered: 0, delivered: 0, hasDeliveredEnd: false)
        let attachment = TunnelAttachment(
            id, generation: 0, linger: .zero, confirmation: .given, peerDelivered: 0, reported: 0)
        return [
            ("connection", .connection), ("asked", .asked), ("resumable", .resumable(attachment)),
            ("resuming", .resuming(try #require(HeldTunnel(restoring: record, ByteRing(limit: 1))))),
            ("claimed", .claimed(.init(id: id, delivered: 0, generation: 1))),
        ]
    }

    @Test("every durability and every loss")
    func table() throws {
        let held: Set<String> = [
            "resumable connectionLost", "resumable takenByPeer", "resuming connectionLost",
            "resuming requestUnprocessed",
        ]
        for (name, durability) in try Self.durabilities() {
            for loss in TunnelLoss.allCases {
                #expect(durability.outcome(of: loss) == (held.contains("\(name) \(loss)") ? .hold : .end))
            }
        }
    }

    static let ends: [(ConnectionEnd, TunnelLoss)] = [
        (.closedLocally(errorCode: 0x100), .connectionClosed),
        (.closedByPeer(errorCode: 0x100, reason: ""), .connectionClosed),
        (.closedLocally(errorCode: 0x101), .connectionLost),
        (.closedByPeer(errorCode: 0, reason: ""), .connectionLost),
        (.closedByPeer(errorCode: HTTP3ErrorCode.tunnelResumptionRestart.rawValue, reason: ""), .connectionLost),
        (.idleTimeout, .connectionLost), (.handshakeTimeout, .connectionLost), (.statelessReset, .connectionLost),
        (.noViablePath, .connectionLost), (.versionNegotiation(offered: []), .connectionLost),
    ]

    @Test("only an end on purpose, with nothing having gone wrong, ends tunnels", arguments: ends)
    func connectionEnds(end: ConnectionEnd, loss: TunnelLoss) {
        #expect(TunnelLoss(end) == loss)
    }

    @Test("codes of a reset stream")
    func codes() {
        #expect(TunnelLoss(.tunnelDetached) == .takenByPeer)
        #expect(TunnelLoss(.requestRejected) == .requestUnprocessed)
        for code in [HTTP3ErrorCode.connectError, .noError, .messageError, .requestCancelled, .tunnelResumptionRestart]
        {
            #expect(TunnelLoss(code) == .streamReset)
        }
    }

    @Test("reports become rarer the longer a burst is, within bounds")
    func thresholds() {
        let table: [(UInt64, UInt64)] = [
            (0, 16 << 10), (128 << 10, 16 << 10), (1 << 20, 128 << 10), (2 << 20, 256 << 10), (.max, 256 << 10),
        ]
        for (burst, threshold) in table { #expect(TunnelRelay.reportThreshold(burst: burst) == threshold) }
    }
}
