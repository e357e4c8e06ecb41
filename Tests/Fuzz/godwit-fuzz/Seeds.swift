import Primitives

@testable import HTTP3
@testable import QUIC

/// Inputs to begin with, so that the fuzzer need not find out what a frame looks like. They are made by code, so that they
/// stay right when a format changes.
extension FuzzTarget {
    var seeds: [[UInt8]] {
        switch self {
        case .frames: frameSeeds.map { [0] + $0 } + frameSeeds.map { [4] + $0 }
        case .transportParameters: transportParameterSeeds
        case .datagrams: datagramSeeds
        case .packets: packetSeeds
        case .http3Frames: streamSeeds.map { [0, 3] + $0 } + streamSeeds.map { [1, 3] + $0 }
        case .fieldSections: heads.map { [3] + FieldSectionEncoder.encode($0.allFields) }
        case .capsules: capsuleSeeds.map { [4] + $0 }
        case .tunnels: tunnelSeeds
        case .streamMapper: mapperSeeds
        case .socks5: socksSeeds
        case .httpProxy: proxyRequests.map { [0, 9] + Array($0.utf8) }
        case .configuration: configurationSeeds
        case .invites: inviteSeeds.map { Array($0.utf8) }
        case .control:
            ["status json\n", "open ::1 22\n", "open build.internal 22\n", "rebind\n"].map {
                [5] + Array($0.utf8)
            }
        }
    }
}

/// One frame of every type (RFC 9000 §19, RFC 9221).
private let frameSeeds: [[UInt8]] = [
    [0x00, 0x00], [0x01], [0x02, 0x41, 0x00, 0x03, 0x02, 0x05, 0x00, 0x01, 0x00, 0x00],
    [0x03, 0x00, 0x03, 0x00, 0x00, 1, 2, 3], [0x04, 0x04, 0x41, 0x00, 0x10], [0x05, 0x04, 0x41, 0x00],
    [0x06, 0x00, 0x04, 1, 2, 3, 4], [0x07, 0x03, 0xaa, 0xbb, 0xcc], [0x08, 0x00, 1, 2], [0x0b, 0x04, 0x02, 7, 8],
    [0x0f, 0x04, 0x41, 0x00, 0x01, 9], [0x10, 0x80, 0x01, 0, 0], [0x11, 0x04, 0x41, 0x00], [0x12, 0x41, 0x00],
    [0x13, 0x41, 0x00], [0x14, 0x41, 0x00], [0x15, 0x04, 0x41, 0x00], [0x16, 0x41, 0x00], [0x17, 0x41, 0x00],
    [0x18, 0x05, 0x03, 0x04, 10, 11, 12, 13] + [UInt8](0..<16), [0x19, 0x00], [0x1a, 1, 2, 3, 4, 5, 6, 7, 8],
    [0x1b, 1, 2, 3, 4, 5, 6, 7, 8], [0x1c, 0x0a, 0x06, 0x03, 0x61, 0x62, 0x63], [0x1d, 0x05, 0x01, 0x61], [0x1e],
    [0x1f], [0x40, 0xaf, 0x01, 0x09, 0x53, 0x88, 0x03], [0x30, 0xaa], [0x31, 0x02, 0xaa, 0xbb],
]

private let transportParameterSeeds: [[UInt8]] = {
    var parameters = TransportParameters()
    parameters.maxIdleTimeout = .seconds(30)
    parameters.initialMaxData = 1 << 20
    parameters.initialMaxStreamsBidi = 100
    parameters.activeConnectionIDLimit = 8
    parameters.ackDelayExponent = 10
    parameters.maxAckDelay = .milliseconds(40)
    parameters.minAckDelay = .milliseconds(1)
    parameters.disablesActiveMigration = true
    parameters.greasesQUICBit = true
    var generator = SeededGenerator(seed: 1)
    let id = ConnectionID.random(count: 8, using: &generator)
    parameters.initialSourceConnectionID = id
    let client = parameters.encoded(for: .client, using: &generator)
    parameters.originalDestinationConnectionID = id
    parameters.retrySourceConnectionID = id
    parameters.statelessResetToken = StatelessResetToken(high: 1, low: 2)
    parameters.preferredAddress = PreferredAddress(
        ipv4: FuzzPair.serverAddress, ipv6: nil, connectionID: id,
        statelessResetToken: StatelessResetToken(high: 3, low: 4))
    return [[0] + client, [1] + parameters.encoded(for: .server, using: &generator)]
}()

/// A long header, a short one, a version negotiation packet; replays of genuine datagrams; what the applications do.
private let datagramSeeds: [[UInt8]] = {
    let initial: [UInt8] = [0xc3, 0, 0, 0, 1, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0x44, 0x9e]
    let padded = initial + [UInt8](repeating: 0, count: 1_200 - initial.count)
    let negotiation: [UInt8] = [0xc0, 0, 0, 0, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0x0a, 0x0a, 0x0a, 0x0a]
    let short: [UInt8] = [0x43] + [UInt8](repeating: 9, count: 40)
    var actions: [UInt8] = []
    var replays: [UInt8] = []
    for index in UInt8(0)..<8 { actions += [7, 0, 0x18 | index, 7, 1, index] }
    for index in UInt8(0)..<16 { replays += [3, index, 0, index, 1, 6, index | 0x80, 0, 0, 0, 7, 0, 8] }
    var seeds: [[UInt8]] = []
    for stage in UInt8(0)..<4 {
        var strangers: [UInt8] = [stage, 0] + padded.asBlock
        strangers += [2] + negotiation.asBlock
        strangers += [1] + short.asBlock
        seeds.append(strangers)
        seeds.append([stage] + replays)
        seeds.append([stage] + actions)
    }
    return seeds
}()

/// Each frame from both ends, in every stage.
private let packetSeeds: [[UInt8]] = {
    var seeds: [[UInt8]] = []
    for stage in UInt8(0)..<4 {
        for frame in frameSeeds {
            let block = frame.asBlock
            var seed: [UInt8] = [stage, 8] + block
            seed += [9] + block
            seed += [2] + block
            seed += [7, 0, 8]
            seeds.append(seed)
        }
    }
    return seeds
}()

private let heads: [RequestHead] = [
    RequestHead(.resource(method: "GET", scheme: "https", authority: "gw", path: "/")),
    RequestHead(.connect(authority: "build.internal:22"), fields: [Field("proxy-authorization", "Bearer secret")]),
    RequestHead(
        .extendedConnect(
            protocol: "connect-tcp", scheme: "https", authority: "gw", path: "/.well-known/masque/tcp/a.test/80/"),
        fields: [Field("capsule-protocol", "?1"), Field("authorization", "Bearer secret", .neverIndexed)]),
]

private let streamSeeds: [[UInt8]] =
    heads.map { FrameType.headers.frame(FieldSectionEncoder.encode($0.allFields)) + [0, 3, 1, 2, 3] } + [
        FrameType.settings.frame(Settings().encoded(greaseSeed: 3)) + [7, 1, 0, 0x0d, 1, 5, 3, 1, 5, 0x21, 2, 0, 0],
        [0x21, 0x40, 0x04, 1, 2, 3, 4],
    ]

/// DATA and FINAL_DATA of both drafts, and an unknown capsule.
private let capsuleSeeds: [[UInt8]] = {
    func capsule(_ type: UInt64, _ payload: [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.appendVarint(type)
        bytes.appendVarint(UInt64(payload.count))
        return bytes + payload
    }
    return ConnectTCPDraft.allCases.map { draft in
        var bytes: [UInt8] = capsule(0x17, [1, 2, 3])
        draft.appendCapsuleHeader(.data, length: 5, to: &bytes)
        bytes += [1, 2, 3, 4, 5]
        draft.appendCapsuleHeader(.finalData, length: 2, to: &bytes)
        return bytes + [6, 7] + capsule(0x1f2, [])
    }
}()

private let tunnelSeeds: [[UInt8]] = {
    let settings: [UInt8] = [0] + FrameType.settings.frame(Settings().encoded(greaseSeed: 3))
    let control: [UInt8] = [0x82] + settings.asBlock
    let accepted: [UInt8] = FrameType.headers.frame(FieldSectionEncoder.encode([Field(":status", "200")]))
    let content: [UInt8] = capsuleSeeds.first ?? []
    let dataFrame: [UInt8] = FrameType.data.frame(content)
    var seeds: [[UInt8]] = []
    for head in streamSeeds.prefix(3) {
        // A request; TCP is up; bytes both ways; both ends.
        var seed: [UInt8] = [0] + control
        seed += [0x80] + head.asBlock
        seed += [0x0a, 1, 0x83, 1] + dataFrame.asBlock
        seed += [0x0a, 4, 1, 0, 0x0a, 6, 0x86, 1]
        seeds.append(seed)
    }
    // The local endpoint asks, the peer accepts on the stream that it opened.
    var seed: [UInt8] = [1] + control
    seed += [0x0a, 0, 0x8a, 8, 0x83, 1] + accepted.asBlock
    seed += [0x8a, 4, 1, 0, 0x8a, 6, 0x86, 1]
    seeds.append(seed)
    seeds.append([1] + control + [0x8a, 0, 0x87, 1, 1, 0])
    return seeds
}()

private let socksSeeds: [[UInt8]] = [
    [0, 3, 5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, 0, 80, 1, 2],
    [0, 9, 5, 2, 0, 2, 5, 1, 0, 3, 6] + Array("a.test".utf8) + [0, 80],
    [1, 4, 5, 1, 2, 1, 2] + Array("me".utf8) + [2] + Array("pw".utf8) + [5, 1, 0, 4] + [UInt8](repeating: 1, count: 18),
    [0, 0, 4, 1, 0, 80, 127, 0, 0, 1, 0],
]

private let proxyRequests = [
    "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\nabc",
    "GET http://a.test:8080/b?c HTTP/1.1\r\nHost: x\r\nConnection: close, X-A\r\nX-A: 1\r\nProxy-Authorization: Basic bWU6cHc=\r\n\r\n",
    "POST http://[::1]/ HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcdef",
    "POST http://a/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: 1\r\n\r\nrest",
]

private let configurationSeeds: [[UInt8]] = [
    (0, "listen = [\"0.0.0.0:4433\", \"[::]:4433\"]\nname = \"gw.test\"\nworkers = 2\n"),
    (0, "listen = [\"[::1]:1\"]\n[destinations]\nallow = [\"10.8.0.0/16:22\"]\nprivate_networks = true\n"),
    (0, "listen = [\"[::1]:1\"]\n[limits]\nmemory = \"64MiB\"\n[resumption]\nlinger = \"1h\"\n"),
    (0, "listen = [\"[::1]:1\"]\n[[origin]]\nname = \"a.test:80\"\nreplicas = [\"10.0.0.5:80\"]\n"),
    (1, "[[gateway]]\ninvite = \"godwit://AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA@gw.test:4433\"\n"),
    (1, "[[forward]]\nlisten = \"127.0.0.1:2222\"\nto = \"a.test:22\"\n[socks]\nlisten = \"127.0.0.1:1080\"\n"),
    (2, "[[user]]\nname = \"me\"\ntoken = \"sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"\n"),
    (
        2,
        "a = { b = 1, \"c\" = 'd' } # x\n\"e.f\".g = \"\"\"h\\u00e9\n\"\"\"\ni = 1979-05-27T07:32:00Z\nj = 0x1_f\nk = -1.5e3\n"
    ),
].map { [$0.0] + Array($0.1.utf8) }

private let inviteSeeds = [
    "godwit://AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA@gw.test:4433",
    "godwit://AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA@[2001:db8::1]:1/?pin=sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "# mine\ngodwit://AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA@gw.test?pin=sha256/AAAA&pin=\n",
]
