import Cryptography
import Primitives
import TLS

@testable import QUIC

/// How far a connection is when the first bytes arrive.
private enum Stage: Int, CaseIterable {
    case fresh, handshaking, connected, closing

    func makePair() -> FuzzPair {
        let pair = FuzzPair()
        switch self {
        case .fresh: break
        case .handshaking: pair.run(for: .microseconds(2_500))
        case .connected: pair.run(for: .milliseconds(20))
        case .closing:
            pair.run(for: .milliseconds(20))
            pair.clientConnection?.close(errorCode: 1, reason: "", at: pair.now)
        }
        return pair
    }
}

/// Most steps of one input, so that none takes long.
private let mostSteps = 100

/// The first byte chooses the stage; then come steps, each a byte and what it takes.
func fuzzDatagrams(_ input: [UInt8]) {
    var input = FuzzInput(input)
    let pair = (Stage(rawValue: input.number(below: 4)) ?? .fresh).makePair()
    for _ in 0..<mostSteps where !input.isEmpty {
        datagramStep(pair, &input)
        pair.checkSanity()
    }
    pair.checkEnd()
}

private func datagramStep(_ pair: FuzzPair, _ input: inout FuzzInput) {
    switch input.number(below: 8) {
    case 0: pair.inject(input.block(), to: .server)
    case 1: pair.inject(input.block(), to: .client)
    case 2: pair.inject(input.block(), to: .server, from: stranger(input.byte()))
    case 3: mutateGenuine(pair, &input) { bytes, position, value in bytes[position] ^= value }
    case 4: mutateGenuine(pair, &input) { bytes, position, _ in bytes.removeSubrange(position...) }
    case 5: mutateGenuine(pair, &input) { bytes, _, value in bytes += [UInt8](repeating: value, count: 40) }
    case 6: mutateGenuine(pair, &input) { _, _, _ in }
    default: act(pair, &input)
    }
}

private func stranger(_ port: UInt8) -> NetworkAddress {
    NetworkAddress(IPAddress(ipv4: 0x0a00_0063), port: 1 + UInt16(port & 0x0f))
}

/// Sends a genuine datagram again, changed at a place, from where it came or from elsewhere.
private func mutateGenuine(
    _ pair: FuzzPair, _ input: inout FuzzInput, _ change: (inout [UInt8], _ position: Int, _ value: UInt8) -> Void
) {
    guard !pair.genuine.isEmpty else { return }
    let choice = input.byte()
    var datagram = pair.genuine[Int(choice & 0x7f) % pair.genuine.count]
    if !datagram.bytes.isEmpty { change(&datagram.bytes, input.word() % datagram.bytes.count, input.byte()) }
    pair.inject(datagram.bytes, to: datagram.receiver, from: choice & 0x80 == 0 ? nil : stranger(choice))
}

/// What the applications and the clock do meanwhile.
private func act(_ pair: FuzzPair, _ input: inout FuzzInput) {
    let connection = pair.connection(of: input.byte() & 1 == 0 ? .client : .server)
    let value = input.byte()
    switch value & 7 {
    case 0: pair.run(for: .milliseconds(Int64(value)))
    case 1: pair.run(for: .milliseconds(Int64(value) * 20))
    case 2:
        guard let id = connection?.openStream(value & 8 == 0 ? .bidirectional : .unidirectional) else { return }
        connection?.write([UInt8](repeating: value, count: Int(value) * 16).span, to: id)
        if value & 16 != 0 { connection?.finish(id) }
    case 3: connection?.requestKeyUpdate()
    case 4: _ = connection?.rotateConnectionID(at: pair.now)
    case 5:
        let local = NetworkAddress(FuzzPair.clientAddress.ip, port: 50_001 + UInt16(value >> 3))
        try? connection?.addLocalAddress(local, at: pair.now)
        if value & 8 != 0 { try? connection?.activate(local, at: pair.now) }
    case 6: connection?.setKeepAlive(value & 8 == 0 ? .on : .off)
    default:
        if value == 0xff { connection?.close(errorCode: 1, reason: "done", at: pair.now) }
        _ = connection?.sendDatagram([UInt8](repeating: value, count: Int(value)))
    }
}

/// The first byte chooses the stage; then come steps: a choice of sender, level and address, and frames.
func fuzzPackets(_ input: [UInt8]) {
    var input = FuzzInput(input)
    let pair = (Stage(rawValue: input.number(below: 4)) ?? .fresh).makePair()
    for _ in 0..<mostSteps where !input.isEmpty {
        let choice = input.byte()
        if choice & 7 == 7 {
            act(pair, &input)
        } else {
            let attacker: Role = choice & 1 == 0 ? .client : .server
            let level: EncryptionLevel =
                switch choice & 6 {
                case 2: .initial
                case 4: .handshake
                default: .oneRTT
                }
            let source = choice & 0xf0 == 0xf0 ? stranger(choice) : nil
            let frames = input.block(atMost: 1_100)
            if let packet = pair.connection(of: attacker)?.forge(frames, at: level, sentAt: pair.now) {
                pair.inject(packet, to: attacker.peer, from: source)
            }
            if choice & 8 != 0 { pair.run(for: .milliseconds(3)) }
        }
        pair.checkSanity()
    }
    pair.checkEnd()
}

extension Connection {
    /// A packet with `frames` that the peer takes for genuine; nil without keys of the level.
    fileprivate func forge(_ frames: [UInt8], at level: EncryptionLevel, sentAt now: Instant) -> [UInt8]? {
        guard let space = self.space(of: level), let destination = peerConnectionIDs.id(for: activePath.id) else {
            return nil
        }
        let isOneRTT = level == .oneRTT
        guard isOneRTT ? isHandshakeComplete : space.keys.write != nil else { return nil }
        let number = space.nextPacketNumber
        // In the books, so that it may be acknowledged.
        space.loss.packetSent(
            SentPacket(
                packetNumber: number, timeSent: now, size: 1_200, kind: .ackOnly, ecn: .notCapable,
                path: activePath.id, largestAcknowledged: nil, frames: SentFrames()),
            paths: paths)
        var buffer = [UInt8](repeating: 0, count: 2_048)
        var span = buffer.mutableSpan
        var writer = ByteWriter(&span)
        var layout =
            isOneRTT
            ? writer.writeShortHeader(
                ShortHeaderFields(
                    destinationConnectionID: destination, packetNumber: number, packetNumberLength: 4,
                    keyPhase: oneRTTKeys.phaseOfNextPacket()))
            : writer.writeLongHeader(
                LongHeaderFields(
                    version: version, type: level.packetType, destinationConnectionID: destination,
                    sourceConnectionID: handshakeConnectionID, packetNumber: number, packetNumberLength: 4))
        writer.write(frames.span)
        // RFC 9000 §14.1: Initial packets come in datagrams of 1,200 bytes.
        let end = level == .initial ? 1_200 - CipherSuite.tagLength : 0
        if writer.position < end { writer.write(repeating: 0, count: end - writer.position) }
        writer.finishPacket(&layout)
        if isOneRTT {
            var run = SealedRun()
            oneRTTKeys.seal(&span, layout, packetNumber: number, acknowledging: nil, run: &run)
            oneRTTKeys.protectHeaders(of: &run, in: &span)
        } else {
            space.keys.write?.seal(&span, layout, packetNumber: number)
        }
        return Array(buffer.prefix(layout.end))
    }
}
