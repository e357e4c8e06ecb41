import ArgumentParser
import Primitives
import QUIC

/// `godwit-costs clients`: what a gigabyte costs when it goes over many connections, or many streams of one.
struct ClientsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "clients",
        abstract:
            "Processor time for a gigabyte of downloads over 1, 10, 100 and more connections or streams, in turns.")

    @Option(help: "Largest number of connections, and of streams of one connection.")
    var most = 1_000

    @Option(help: "Megabytes of each download series in a round.")
    var megabytes = 64

    @Option(help: "Rounds; medians are printed.")
    var rounds = 5

    func run() throws {
        let counts = sequence(first: 1) { $0 * 10 }.prefix { $0 <= most }
        try table("connections", counts.map { try Downloads(connections: $0, streams: 1) }, counts)
        try table("streams of one connection", counts.map { try Downloads(connections: 1, streams: $0) }, counts)
    }

    private func table(_ what: String, _ downloads: [Downloads], _ counts: [Int]) throws {
        var gateway = [[Double]](repeating: [], count: counts.count)
        var both = gateway
        for round in 0...rounds {
            for (index, download) in downloads.enumerated() {
                let cost = try download.run(bytes: UInt64(megabytes) * 1_000_000)
                // The first round only warms up.
                guard round > 0 else { continue }
                gateway[index].append(cost.gateway)
                both[index].append(cost.both)
            }
        }
        print("| \(what) | gateway, CPU-s/GB | both ends | against the row before |\n|---|---|---|---|")
        for (index, count) in counts.enumerated() {
            var step = ""
            if index > 0 {
                // Ratios within a round: whatever else the machine does is the same for both.
                let ratio = Self.median(zip(gateway[index], gateway[index - 1]).map { $0 / $1 })
                step = "\(Self.rounded(ratio)) times"
            }
            print(
                "| \(count) | \(Self.rounded(Self.median(gateway[index]))) | \(Self.rounded(Self.median(both[index]))) | \(step) |"
            )
        }
    }

    private static func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
    private static func rounded(_ value: Double) -> Double { (value * 100).rounded() / 100 }
}

/// Downloads over connections of their own, or streams of one, that all go on at the same time.
private final class Downloads {
    /// Bytes that a stream has under way at most: each has as much to do in a turn, however many there are.
    private static let ringSize = 64 * 1024
    private static let halfRoundTrip = Interval.microseconds(500)
    /// Time between two clients: a gateway wants a proof of the address from those that come faster.
    private static let arrivalInterval = Interval.milliseconds(100)
    /// Turns after which a run is given up.
    private static let mostTurns = 1_000_000
    /// Turns in which handshakes are done and streams opened.
    private static let preparation = 20

    private let wire: Wire
    private var now = Instant(nanoseconds: 1_000_000_000)
    private var clients: [Client] = []
    private let piece = [UInt8](repeating: 0x5A, count: Downloads.ringSize)
    private var received: UInt64 = 0

    private struct Client {
        var near: Connection
        var far: Connection
        var rings: [StreamID: ByteRing] = [:]
    }

    init(connections: Int, streams: Int) throws {
        wire = try Wire(largestDatagram: 1_350)
        for _ in 0..<connections { try open(streams) }
        for _ in 0..<Self.preparation { turn() }
        let ready = clients.map(\.rings.count).reduce(0, +)
        guard ready == connections * streams else { throw CostFailure("\(ready) streams are open, not all") }
    }

    private func open(_ streams: Int) throws {
        now = now + Self.arrivalInterval
        guard let near = wire.client.connection(try wire.connect(at: now)),
            case .accepted(let handle) = wire.carry(near, from: .client, at: now),
            let far = wire.server.connection(handle)
        else { throw CostFailure("no connection") }
        clients.append(Client(near: near, far: far))
        for _ in 0..<Self.preparation where !near.isHandshakeComplete || !far.isHandshakeComplete {
            turn(clients.count - 1)
        }
        let request: [UInt8] = [0x47]
        for _ in 0..<streams {
            guard let stream = near.openStream(.bidirectional) else { throw CostFailure("no stream") }
            near.write(request.span, to: stream)
        }
    }

    /// What a gigabyte costs, in CPU-seconds.
    func run(bytes: UInt64) throws -> (gateway: Double, both: Double) {
        let before = wire.spent
        let start = received
        var turns = 0
        while received < start + bytes {
            turn()
            turns += 1
            guard turns < Self.mostTurns else { throw CostFailure("the downloads came to a standstill") }
        }
        let gigabytes = Double(received - start) / 1e9
        let gateway = Double((wire.spent[.server] ?? 0) - (before[.server] ?? 0)) / 1e9
        let client = Double((wire.spent[.client] ?? 0) - (before[.client] ?? 0)) / 1e9
        return (gateway / gigabytes, (gateway + client) / gigabytes)
    }

    /// One round trip of all.
    private func turn() {
        for index in clients.indices { send(index) }
        now = now + Self.halfRoundTrip
        for index in clients.indices { answer(index) }
        now = now + Self.halfRoundTrip
    }

    private func turn(_ index: Int) {
        send(index)
        now = now + Self.halfRoundTrip
        answer(index)
        now = now + Self.halfRoundTrip
    }

    private func send(_ index: Int) {
        let far = clients[index].far
        wire.count(.server) { serve(index) }
        _ = wire.carry(far, from: .server, at: now)
    }

    private func answer(_ index: Int) {
        let near = clients[index].near
        wire.count(.client) {
            while let event = near.nextEvent() {
                guard case .streamReadable(let id) = event else { continue }
                let count = near.readableBytes(on: id)
                near.consume(count, from: id)
                received += UInt64(count)
            }
        }
        _ = wire.carry(near, from: .client, at: now)
    }

    /// What the gateway does with events: it begins to answer requests, and refills rings from which bytes have arrived.
    private func serve(_ index: Int) {
        let far = clients[index].far
        while let event = far.nextEvent() {
            switch event {
            case .streamReadable(let id):
                far.consume(far.readableBytes(on: id), from: id)
                let ring = ByteRing(limit: Self.ringSize)
                clients[index].rings[id] = ring
                fill(ring, id, far)
            case .streamAcknowledged(let id):
                guard let ring = clients[index].rings[id], let offset = far.acknowledgedRingOffset(on: id) else {
                    continue
                }
                ring.release(upTo: offset)
                fill(ring, id, far)
            default: break
            }
        }
    }

    private func fill(_ ring: ByteRing, _ id: StreamID, _ far: Connection) {
        let start = ring.end
        let bytes = piece
        _ = ring.append(bytes.span.extracting(first: ring.freeSpace))
        if ring.end > start { far.write(ring, range: start..<ring.end, to: id) }
    }
}
