import Primitives

@testable import QUIC

/// A stream table behind a reference, so that expectations can call what changes it.
final class StreamsTableHandle {
    private var table: StreamTable

    init(_ table: consuming StreamTable) { self.table = table }

    var role: Role { table.role }
    var streamCount: Int { table.streamCount }
    var sendCredit: SendCredit { table.sendCredit }
    var receiveWindow: ReceiveWindow { table.receiveWindow }
    var peerUnidirectional: PeerStreams { table.peerUnidirectional }
    var scheduler: StreamScheduler { table.scheduler }
    var slotCount: Int { table.slots.count }
    func heldMemory(of id: StreamID) -> Int? { table.index(of: id).map { table.slots[$0].receive.heldMemory } }

    // Frames in.
    func receiveStream(
        _ id: StreamID, offset: UInt64, data: Span<UInt8>, fin: Fin, at now: Instant
    ) throws(TransportError) {
        try table.receiveStream(id, offset: offset, data: data, fin: fin, at: now)
    }
    func receiveResetStream(
        _ id: StreamID, errorCode: UInt64, finalSize: UInt64, at now: Instant
    ) throws(TransportError) {
        try table.receiveResetStream(id, errorCode: errorCode, finalSize: finalSize, at: now)
    }
    func receiveStopSending(_ id: StreamID, errorCode: UInt64, at now: Instant) throws(TransportError) {
        try table.receiveStopSending(id, errorCode: errorCode, at: now)
    }
    func receiveMaxData(_ limit: UInt64) { table.receiveMaxData(limit) }
    func receiveMaxStreamData(_ id: StreamID, limit: UInt64) throws(TransportError) {
        try table.receiveMaxStreamData(id, limit: limit)
    }
    func receiveMaxStreams(_ direction: StreamDirection, limit: UInt64) throws(TransportError) {
        try table.receiveMaxStreams(direction, limit: limit)
    }
    func receiveDataBlocked(limit: UInt64) { table.receiveDataBlocked(limit: limit) }
    func receiveStreamDataBlocked(_ id: StreamID, limit: UInt64) throws(TransportError) {
        try table.receiveStreamDataBlocked(id, limit: limit)
    }
    func receiveStreamsBlocked(_ direction: StreamDirection, limit: UInt64) throws(TransportError) {
        try table.receiveStreamsBlocked(direction, limit: limit)
    }
    func applyPeerLimits(_ parameters: TransportParameters) { table.applyPeerLimits(parameters) }

    // Frames out.
    var hasControlToSend: Bool { table.hasControlToSend }
    var hasDataToSend: Bool { table.hasDataToSend }
    @_lifetime(writer: copy writer)
    func writeControlFrames(
        into writer: inout ByteWriter, recording frames: inout SentFrames, at now: Instant, roundTripTime: Interval
    ) {
        table.writeControlFrames(into: &writer, recording: &frames, at: now, roundTripTime: roundTripTime)
    }
    @_lifetime(writer: copy writer)
    func writeStreamFrames(into writer: inout ByteWriter, recording frames: inout SentFrames) {
        table.writeStreamFrames(into: &writer, recording: &frames)
    }
    func acknowledged(_ frame: SentFrame) { table.acknowledged(frame) }
    func lost(_ frame: SentFrame) { table.lost(frame) }

    // Events and time.
    func nextEvent() -> StreamEvent? { table.nextEvent() }
    var nextDeadline: Instant? { table.nextDeadline }
    func deadlineReached(at now: Instant) { table.deadlineReached(at: now) }

    // Commands.
    func openStream(_ direction: StreamDirection) -> StreamID? { table.openStream(direction) }
    func write(_ bytes: Span<UInt8>, to id: StreamID) { table.write(bytes, to: id) }
    func write(_ ring: ByteRing, range: Range<UInt64>, to id: StreamID) { table.write(ring, range: range, to: id) }
    func awaitDrain(of id: StreamID, below count: Int) { table.awaitDrain(of: id, below: count) }
    func unsentBytes(on id: StreamID) -> Int { table.unsentBytes(on: id) }
    func finish(_ id: StreamID) { table.finish(id) }
    func reset(_ id: StreamID, errorCode: UInt64) { table.reset(id, errorCode: errorCode) }
    func stopSending(_ id: StreamID, errorCode: UInt64) { table.stopSending(id, errorCode: errorCode) }
    func readableBytes(on id: StreamID) -> Int { table.readableBytes(on: id) }
    func read(from id: StreamID, atMost limit: Int) -> [UInt8] { table.read(from: id, atMost: limit) }
    func consume(_ count: Int, from id: StreamID) { table.consume(count, from: id) }
    func isFinishedReading(_ id: StreamID) -> Bool { table.isFinishedReading(id) }
    func acknowledgedRingOffset(on id: StreamID) -> UInt64? { table.acknowledgedRingOffset(on: id) }
    func setUrgency(_ urgency: StreamUrgency, of id: StreamID) { table.setUrgency(urgency, of: id) }
}
