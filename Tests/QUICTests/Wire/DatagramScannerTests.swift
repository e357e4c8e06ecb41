import Primitives
import Testing

@testable import QUIC

@Suite("Packets in a datagram (RFC 9000 §12.2, §17)")
struct DatagramScannerTests {
    static let local = connectionID("0102030405060708")
    static let remote = connectionID("a1a2a3a4")

    static func long(
        _ type: PacketType, version: Version = .v1, to destination: ConnectionID = local, token: [UInt8] = [],
        payload: Int = 30, fixedBit: FixedBit = .set, lengthWidth: LengthFieldWidth = .two
    ) -> [UInt8] {
        written { writer in
            var layout = writer.writeLongHeader(
                LongHeaderFields(
                    version: version, type: type, destinationConnectionID: destination, sourceConnectionID: remote,
                    token: token, packetNumber: 7, packetNumberLength: 2, lengthWidth: lengthWidth, fixedBit: fixedBit))
            writer.write(repeating: 1, count: payload)
            writer.finishPacket(&layout)
        }
    }

    static func short(to destination: ConnectionID = local, fixedBit: FixedBit = .set) -> [UInt8] {
        written { writer in
            var layout = writer.writeShortHeader(
                ShortHeaderFields(
                    destinationConnectionID: destination, packetNumber: 9, packetNumberLength: 1, keyPhase: .zero,
                    fixedBit: fixedBit))
            writer.write(repeating: 1, count: 20)
            writer.finishPacket(&layout)
        }
    }

    @Test("coalesced packets come one by one, each to the end that its length names", arguments: Version.allCases)
    func coalesced(version: Version) throws {
        let initial = Self.long(.initial, version: version, token: [1, 2, 3])
        let handshake = Self.long(.handshake, version: version, lengthWidth: .four)
        let zeroRTT = Self.long(.zeroRTT, version: version)
        let datagram = initial + zeroRTT + handshake + Self.short()
        let packets = scan(datagram)
        try #require(packets.count == 4)
        let tokenStart = 1 + 4 + 1 + 8 + 1 + 4 + 1
        #expect(
            packets[0]
                == .long(
                    LongHeader(
                        version: version, type: .initial, destinationConnectionID: Self.local,
                        sourceConnectionID: Self.remote, token: tokenStart..<tokenStart + 3, packet: 0..<initial.count,
                        packetNumberOffset: tokenStart + 3 + 2)))
        guard case .long(let second) = packets[1], case .long(let third) = packets[2],
            case .short(let last) = packets[3]
        else {
            Issue.record("not two long headers and a short one")
            return
        }
        #expect(second.type == .zeroRTT && second.packet == initial.count..<initial.count + zeroRTT.count)
        #expect(third.type == .handshake && third.packet.lowerBound == second.packet.upperBound)
        #expect(third.token.isEmpty)
        #expect(last.packet == third.packet.upperBound..<datagram.count)
        #expect(last.packetNumberOffset == last.packet.lowerBound + 9)
        #expect(last.destinationConnectionID == Self.local)
    }

    @Test("the header takes as many bytes as announced")
    func headerSizes() {
        for type in [PacketType.initial, .zeroRTT, .handshake] {
            for packetNumberLength in 1...4 {
                let fields = LongHeaderFields(
                    version: .v1, type: type, destinationConnectionID: Self.local, sourceConnectionID: Self.remote,
                    token: [UInt8](repeating: 5, count: 70), packetNumber: 1, packetNumberLength: packetNumberLength)
                #expect(written { _ = $0.writeLongHeader(fields) }.count == fields.encodedSize)
                let short = ShortHeaderFields(
                    destinationConnectionID: Self.remote, packetNumber: 1, packetNumberLength: packetNumberLength,
                    keyPhase: .one)
                #expect(written { _ = $0.writeShortHeader(short) }.count == short.encodedSize)
            }
        }
    }

    @Test("the first byte of a short header carries spin bit, key phase and packet number length")
    func shortFirstByte() {
        let fields = ShortHeaderFields(
            destinationConnectionID: .empty, packetNumber: 0x010203, packetNumberLength: 3, keyPhase: .one, spin: .one)
        #expect(written { _ = $0.writeShortHeader(fields) } == [0b0110_0110, 1, 2, 3])
    }

    @Test("a packet without the fixed bit ends the datagram, unless the bit is greased (RFC 9287)")
    func fixedBit() {
        for packet in [Self.long(.initial, fixedBit: .clear), Self.short(fixedBit: .clear)] {
            #expect(scan(packet) == [.defective(.fixedBitClear)])
            let greased = scan(packet, fixedBit: .ignored)
            #expect(greased.count == 1 && greased != [.defective(.fixedBitClear)])
        }
    }

    @Test("packets for another connection than the first end the datagram")
    func foreignConnectionID() {
        let other = connectionID("ffeeddccbbaa9988")
        let packets = scan(Self.long(.initial) + Self.long(.handshake, to: other) + Self.short())
        #expect(packets.count == 2)
        #expect(packets.last == .defective(.foreignConnectionID))
        #expect(scan(Self.long(.initial) + Self.short(to: other)).last == .defective(.foreignConnectionID))
    }

    @Test("a length beyond the datagram is a defect")
    func overlongLength() {
        let packet = Self.long(.handshake)
        #expect(scan(Array(packet.dropLast())) == [.defective(.truncated)])
    }

    @Test("every truncated long header is a defect, never a trap")
    func truncatedLongHeader() {
        let packet = Self.long(.initial, token: [UInt8](repeating: 4, count: 100))
        for count in 1..<packet.count {
            #expect(scan(Array(packet[..<count])) == [.defective(.truncated)])
        }
    }

    @Test("a datagram too short for the local connection ID is a defect")
    func shortTruncated() {
        for count in 1...8 { #expect(scan(Array(Self.short()[..<count])) == [.defective(.truncated)]) }
        #expect(scan([]) == [])
    }

    @Test("connection IDs of more than 20 bytes are refused in a version that is spoken here")
    func longConnectionID() {
        var packet = Self.long(.initial)
        packet[5] = 21
        #expect(scan(packet) == [.defective(.connectionIDTooLong)])
    }

    @Test("other versions' packets give their connection IDs, up to 255 bytes (RFC 8999)")
    func unknownVersion() {
        let (destination, source) = ([UInt8](repeating: 1, count: 255), [UInt8](repeating: 2, count: 200))
        let packet = hexBytes("801a2a3a4aff") + destination + [200] + source + [9, 9, 9]
        let version = VersionNumber(rawValue: 0x1a2a3a4a)
        #expect(
            scan(packet) == [
                .unknownVersion(
                    UnknownVersionPacket(
                        version: version, destinationConnectionID: 6..<261, sourceConnectionID: 262..<462))
            ])
        #expect(version.isReserved)
        #expect(scan(Array(packet[..<300])) == [.defective(.truncated)])
    }

    @Test("random datagrams give packets within their bounds and never trap")
    func randomDatagrams() {
        var generator = SeededGenerator(seed: 4)
        for round in 0..<4_000 {
            var datagram = randomBytes(Int.random(in: 0...80, using: &generator), &generator)
            if round.isMultiple(of: 2), datagram.count > 5 {
                // Half of them as a version that is spoken here, so that the rest of the header is reached.
                datagram.replaceSubrange(
                    1..<5, with: round.isMultiple(of: 4) ? [0, 0, 0, 1] : [0x6b, 0x33, 0x43, 0xcf])
                datagram[5] &= 0x1f
            }
            for packet in scan(datagram, fixedBit: .ignored) {
                switch packet {
                case .long(let header):
                    #expect(
                        header.packet.contains(header.packetNumberOffset)
                            || header.packetNumberOffset == header.packet.upperBound)
                    #expect(header.packet.upperBound <= datagram.count && header.token.upperBound <= datagram.count)
                case .short(let header): #expect(header.packetNumberOffset <= datagram.count)
                case .retry(let header): #expect(!header.token.isEmpty && header.packet.upperBound == datagram.count)
                case .unknownVersion(let header): #expect(header.sourceConnectionID.upperBound <= datagram.count)
                case .versionNegotiation(let header): #expect(!header.supportedVersions.isEmpty)
                case .defective: break
                }
            }
        }
    }
}

@Suite("Version Negotiation and Retry packets (RFC 9000 §17.2.1, §17.2.5)")
struct VersionNegotiationTests {
    @Test("a Version Negotiation packet survives the round trip")
    func roundTrip() {
        let versions = [Version.v1.number, VersionNumber(rawValue: 0x7a8a9aaa)]
        let (destination, source): ([UInt8], [UInt8]) = ([1, 2, 3], [UInt8](repeating: 7, count: 20))
        let packet = written {
            $0.writeVersionNegotiation(
                destination: destination.span, source: source.span, versions: versions, unusedBits: 0x7f)
        }
        #expect(packet[0] == 0xff)
        #expect(
            scan(packet) == [
                .versionNegotiation(
                    VersionNegotiationPacket(
                        destinationConnectionID: connectionID("010203"),
                        sourceConnectionID: ConnectionID(source) ?? .empty, supportedVersions: versions))
            ])
    }

    @Test("a Version Negotiation packet echoes connection IDs of 255 bytes")
    func longConnectionIDs() {
        let id = [UInt8](repeating: 3, count: 255)
        let packet = written {
            $0.writeVersionNegotiation(
                destination: id.span, source: id.span, versions: [Version.v1.number], unusedBits: 0)
        }
        #expect(packet.count == 1 + 4 + 2 * 256 + 4)
        #expect(packet[5] == 255 && packet[261] == 255)
        #expect(scan(packet) == [.defective(.connectionIDTooLong)])
    }

    @Test("version lists that are empty or end inside a version are malformed")
    func malformedLists() {
        let header = hexBytes("c0000000000000")
        for list in ["", "00", "00000001ff"] {
            #expect(scan(header + hexBytes(list)) == [.defective(.malformed)])
        }
    }

    @Test("a Retry packet with an empty token is discarded")
    func emptyRetryToken() {
        let id = connectionID("0102")
        for tokenLength in 0...1 {
            let token = [UInt8](repeating: 1, count: tokenLength)
            let packet = written {
                $0.writeRetry(
                    version: .v1, destination: id, source: id, originalDestination: id, token: token.span,
                    unusedBits: 0)
            }
            #expect((scan(packet) == [.defective(.malformed)]) == (tokenLength == 0))
        }
    }

    @Test("reserved versions have the pattern of RFC 9000 §15 and are spoken by nobody")
    func reserved() {
        var generator = SeededGenerator(seed: 5)
        for _ in 0..<100 {
            let number = VersionNumber.reserved(using: &generator)
            #expect(number.isReserved && number.known == nil)
        }
        #expect(!Version.v1.number.isReserved && !Version.v2.number.isReserved)
        #expect(Version.v2.number.known == .v2)
    }
}
