import Cryptography

/// Names a connection of one endpoint; never reused.
public struct ConnectionHandle: Hashable, Sendable {
    /// Counts the endpoint's connections from 0.
    public let rawValue: UInt64
}

/// Which of several workers a packet is for, as it stands in the first byte of every connection ID that the worker issues.
public struct WorkerPlace: Hashable, Sendable {
    /// The worker's number, from 0.
    public let index: UInt8
    /// How many workers there are, at least 1.
    public let count: UInt8

    /// Creates a place; `index` is below `count`.
    public init(index: UInt8, of count: UInt8) {
        precondition(index < count, "a worker's index is below the number of workers")
        self.index = index
        self.count = count
    }

    /// A first byte whose remainder by `count` is `index`, otherwise random.
    func firstByte(using generator: inout some RandomNumberGenerator) -> UInt8 {
        let multiples = (255 - Int(index)) / Int(count)
        return index + UInt8(Int.random(in: 0...multiples, using: &generator)) * count
    }
}

/// The connection IDs of an endpoint and the connections that they lead to.
final class ConnectionIDTable {
    /// Bytes of every connection ID issued here: enough that none is guessed, few enough that packets stay small.
    static let length = 8

    private let place: WorkerPlace
    private let resetKey: StatelessResetKey
    private var handles: [ConnectionID: ConnectionHandle] = [:]
    /// An entry of the table, the one that was found last: packets come in runs.
    private var recent: (id: ConnectionID, handle: ConnectionHandle)?

    init(place: WorkerPlace, resetKey: StatelessResetKey) {
        self.place = place
        self.resetKey = resetKey
    }

    func handle(for id: ConnectionID) -> ConnectionHandle? {
        if let recent, recent.id == id { return recent.handle }
        guard let handle = handles[id] else { return nil }
        recent = (id, handle)
        return handle
    }

    /// Whether a connection ID may have been issued here, rather than by another worker.
    func couldBeOurs(_ id: ConnectionID) -> Bool {
        id.count == Self.length && id[0] % place.count == place.index
    }

    /// A connection ID that leads to this worker, and to no connection.
    func random(using generator: inout some RandomNumberGenerator) -> ConnectionID {
        var bytes = [place.firstByte(using: &generator)]
        for _ in 1..<Self.length { bytes.append(UInt8.random(in: .min ... .max, using: &generator)) }
        return ConnectionID(bytes) ?? .empty
    }

    /// Makes up a connection ID that leads to `handle`.
    func issue(
        for handle: ConnectionHandle, using generator: inout some RandomNumberGenerator
    ) -> (id: ConnectionID, resetToken: StatelessResetToken) {
        var id = random(using: &generator)
        while handles[id] != nil { id = random(using: &generator) }
        handles[id] = handle
        return (id, resetKey.token(for: id))
    }

    /// The token that resets what is addressed to `id`.
    func resetToken(for id: ConnectionID) -> StatelessResetToken { resetKey.token(for: id) }

    /// Lets a connection ID that the client chose lead to `handle`, unless it leads elsewhere already.
    func add(_ id: ConnectionID, for handle: ConnectionHandle) {
        if handles[id] == nil { handles[id] = handle }
    }

    /// The connection ID leads nowhere any more.
    func retire(_ id: ConnectionID, of handle: ConnectionHandle) {
        guard handles[id] == handle else { return }
        handles[id] = nil
        if recent?.id == id { recent = nil }
    }
}
