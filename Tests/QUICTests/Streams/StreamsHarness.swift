import Primitives
import Testing

@testable import QUIC

/// A packet's payload on its way between two stream tables.
struct StreamsPacket {
    var payload: [UInt8]
    var frames: SentFrames
}

/// One end of a connection that consists of streams only: packets in, packets out, no handshake and no protection.
final class StreamsEnd {
    let table: StreamsTableHandle
    let configuration: StreamConfiguration
    var now = Instant.origin
    var roundTripTime = Interval.milliseconds(50)
    /// Events fetched so far.
    var events: [StreamEvent] = []

    init(_ role: Role, _ configuration: StreamConfiguration = StreamConfiguration()) {
        table = StreamsTableHandle(StreamTable(role: role, configuration: configuration))
        self.configuration = configuration
    }

    /// Two ends that know each other's limits.
    static func pair(
        client: StreamConfiguration = StreamConfiguration(), server: StreamConfiguration = StreamConfiguration()
    ) -> (StreamsEnd, StreamsEnd) {
        let ends = (StreamsEnd(.client, client), StreamsEnd(.server, server))
        ends.0.learnLimits(server)
        ends.1.learnLimits(client)
        return ends
    }

    func learnLimits(_ peer: StreamConfiguration) {
        var parameters = TransportParameters()
        peer.announce(in: &parameters)
        table.applyPeerLimits(parameters)
    }

    /// The next packet of up to `size` bytes; nil when there is nothing to send.
    func nextPacket(size: Int = 1200) -> StreamsPacket? {
        guard table.hasControlToSend || table.hasDataToSend else { return nil }
        var buffer = [UInt8](repeating: 0xee, count: size)
        var frames = SentFrames()
        var target = buffer.mutableSpan
        var writer = ByteWriter(&target)
        table.writeControlFrames(into: &writer, recording: &frames, at: now, roundTripTime: roundTripTime)
        table.writeStreamFrames(into: &writer, recording: &frames)
        let count = writer.position
        guard !frames.isEmpty else {
            Issue.record("something is due, but nothing was written")
            return nil
        }
        return StreamsPacket(payload: Array(buffer[..<count]), frames: frames)
    }

    /// Every packet that can be sent now.
    func allPackets(size: Int = 1200) -> [StreamsPacket] {
        var packets: [StreamsPacket] = []
        while let packet = nextPacket(size: size) { packets.append(packet) }
        return packets
    }

    func receive(_ packet: StreamsPacket) throws {
        let bytes = packet.payload.span
        var decoder = FrameDecoder(bytes, in: .oneRTT, from: table.role.peer)
        while let frame = try decoder.next() { try apply(frame, of: bytes) }
    }

    private func apply(_ frame: Frame, of bytes: Span<UInt8>) throws {
        switch frame {
        case .stream(let id, let offset, let data, let fin):
            try table.receiveStream(id, offset: offset, data: bytes.extracting(data), fin: fin, at: now)
        case .resetStream(let id, let errorCode, let finalSize):
            try table.receiveResetStream(id, errorCode: errorCode, finalSize: finalSize, at: now)
        case .stopSending(let id, let errorCode):
            try table.receiveStopSending(id, errorCode: errorCode, at: now)
        case .maxData(let limit): table.receiveMaxData(limit)
        case .maxStreamData(let id, let limit): try table.receiveMaxStreamData(id, limit: limit)
        case .maxStreams(let direction, let limit): try table.receiveMaxStreams(direction, limit: limit)
        case .dataBlocked(let limit): table.receiveDataBlocked(limit: limit)
        case .streamDataBlocked(let id, let limit): try table.receiveStreamDataBlocked(id, limit: limit)
        case .streamsBlocked(let direction, let limit): try table.receiveStreamsBlocked(direction, limit: limit)
        default: break
        }
    }

    func acknowledged(_ packet: StreamsPacket) { packet.frames.forEach { table.acknowledged($0) } }
    func lost(_ packet: StreamsPacket) { packet.frames.forEach { table.lost($0) } }

    /// Fetches every waiting event and returns the new ones.
    @discardableResult
    func fetchEvents() -> [StreamEvent] {
        var new: [StreamEvent] = []
        while let event = table.nextEvent() { new.append(event) }
        events += new
        return new
    }

    /// Exchanges packets with `peer` over a perfect link until both are silent.
    func settle(with peer: StreamsEnd) throws {
        while true {
            let (mine, theirs) = (allPackets(), peer.allPackets())
            if mine.isEmpty, theirs.isEmpty { return }
            for packet in mine {
                try peer.receive(packet)
                acknowledged(packet)
            }
            for packet in theirs {
                try receive(packet)
                peer.acknowledged(packet)
            }
        }
    }

    /// The frames of every packet that can be sent now.
    func sentFrames() -> [SentFrame] {
        var frames: [SentFrame] = []
        for packet in allPackets() { packet.frames.forEach { frames.append($0) } }
        return frames
    }

    func write(_ bytes: [UInt8], to id: StreamID) { table.write(bytes.span, to: id) }

    func receiveStream(_ id: StreamID, _ offset: UInt64, _ data: [UInt8], _ fin: Fin = .more) throws(TransportError) {
        try table.receiveStream(id, offset: offset, data: data.span, fin: fin, at: now)
    }
}

/// Streams by their number on the wire.
func stream(_ rawValue: UInt64) -> StreamID { StreamID(rawValue: rawValue) }

/// Bytes that tell their own offset.
func numbered(_ range: Range<UInt64>) -> [UInt8] { range.map { UInt8(truncatingIfNeeded: $0 ^ $0 >> 8) } }

/// The code of what `body` throws.
func violation(_ body: () throws -> Void) -> TransportErrorCode? {
    do { try body() } catch { return (error as? TransportError)?.code }
    return nil
}

extension SentFrames {
    init(_ frames: [SentFrame]) {
        self.init()
        for frame in frames { append(frame) }
    }
}
