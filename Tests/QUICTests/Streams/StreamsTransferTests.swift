import Primitives
import Testing

@testable import QUIC

@Suite("Stream transfer")
struct StreamsTransferTests {
    @Test func `bytes and the end arrive, and both sides forget the stream`() throws {
        let (client, server) = StreamsEnd.pair()
        let id = try #require(client.table.openStream(.bidirectional))
        client.write(numbered(0..<5000), to: id)
        client.table.finish(id)
        #expect(client.table.unsentBytes(on: id) == 5000)
        try client.settle(with: server)
        #expect(client.table.unsentBytes(on: id) == 0)
        #expect(server.fetchEvents() == [.opened(id), .readable(id)])
        #expect(server.table.readableBytes(on: id) == 5000)
        #expect(!server.table.isFinishedReading(id))
        #expect(server.table.read(from: id, atMost: 100) == numbered(0..<100))
        #expect(server.table.read(from: id, atMost: .max) == numbered(100..<5000))
        #expect(server.table.isFinishedReading(id))
        server.table.finish(id)
        try client.settle(with: server)
        #expect(client.fetchEvents() == [.finished(id), .readable(id)])
        #expect(client.table.isFinishedReading(id))
        #expect(client.table.streamCount == 0)
        #expect(server.fetchEvents() == [.finished(id)])
        #expect(server.table.streamCount == 0)
    }

    @Test func `an end without new bytes is announced and can be asked for while its event is handled`() throws {
        let (client, server) = StreamsEnd.pair()
        let id = try #require(client.table.openStream(.unidirectional))
        client.write([1], to: id)
        try client.settle(with: server)
        #expect(server.fetchEvents() == [.opened(id), .readable(id)])
        #expect(server.table.read(from: id, atMost: 10) == [1])
        client.table.finish(id)
        try client.settle(with: server)
        #expect(server.table.nextEvent() == .readable(id))
        #expect(server.table.readableBytes(on: id) == 0)
        #expect(server.table.isFinishedReading(id))
        #expect(server.table.streamCount == 1)
        #expect(server.table.nextEvent() == nil)
        #expect(server.table.streamCount == 0)
    }

    @Test func `ring bytes are referred to, and reported as they are acknowledged`() throws {
        let (client, server) = StreamsEnd.pair()
        let id = try #require(client.table.openStream(.bidirectional))
        let ring = ByteRing(limit: 1 << 20, start: 7000)
        #expect(ring.append(numbered(0..<3000).span) == 3000)
        #expect(client.table.acknowledgedRingOffset(on: id) == nil)
        client.write([0xaa, 0xbb], to: id)
        client.table.write(ring, range: 7000..<8500, to: id)
        client.write([0xcc], to: id)
        client.table.write(ring, range: 8500..<9000, to: id)
        client.table.write(ring, range: 9000..<10_000, to: id)
        #expect(client.table.acknowledgedRingOffset(on: id) == 7000)
        // The ring may grow and wrap while it is referred to.
        #expect(ring.append(numbered(0..<50_000).span) == 50_000)
        let packets = client.allPackets(size: 1000)
        for packet in packets { try server.receive(packet) }
        let expected =
            [0xaa, 0xbb] + numbered(0..<1500) + [0xcc] + numbered(1500..<3000)
        #expect(server.table.read(from: id, atMost: .max) == expected)
        client.acknowledged(packets[1])
        #expect(client.table.acknowledgedRingOffset(on: id) == 7000)
        #expect(client.fetchEvents() == [])
        client.acknowledged(packets[0])
        #expect(client.fetchEvents() == [.acknowledged(id)])
        let offset = try #require(client.table.acknowledgedRingOffset(on: id))
        #expect(offset > 8500 && offset < 9100)
        ring.release(upTo: offset)
        for packet in packets[2...] { client.acknowledged(packet) }
        #expect(client.fetchEvents() == [.acknowledged(id)])
        #expect(client.table.acknowledgedRingOffset(on: id) == 10_000)
    }

    @Test func `who waits for queued bytes to leave is told once`() throws {
        let (client, _) = StreamsEnd.pair()
        let id = try #require(client.table.openStream(.bidirectional))
        client.write(numbered(0..<5000), to: id)
        client.table.awaitDrain(of: id, below: 2000)
        #expect(client.fetchEvents() == [])
        while client.table.unsentBytes(on: id) >= 2000 {
            #expect(client.fetchEvents() == [])
            _ = client.nextPacket(size: 1000)
        }
        #expect(client.fetchEvents() == [.drained(id)])
        _ = client.allPackets(size: 1000)
        #expect(client.fetchEvents() == [])
        // When there is nothing to wait for, at once; and again only when asked again.
        client.table.awaitDrain(of: id, below: 1)
        #expect(client.fetchEvents() == [.drained(id)])
        client.write(numbered(0..<5000), to: id)
        _ = client.allPackets(size: 1000)
        #expect(client.fetchEvents() == [])
    }

    @Test func `a lost range goes out before new data, and only what is missing`() throws {
        let client = StreamsEnd.pair().0
        let id = try #require(client.table.openStream(.bidirectional))
        client.write(numbered(0..<2000), to: id)
        let packets = client.allPackets(size: 500)
        #expect(packets.count == 5)
        client.lost(packets[1])
        client.write(numbered(2000..<2100), to: id)
        let next = try #require(client.nextPacket(size: 500))
        #expect(next.frames.first == packets[1].frames.first)
        _ = client.allPackets()
        // An acknowledgement that comes late stops the retransmission.
        client.lost(packets[2])
        client.acknowledged(packets[2])
        #expect(!client.table.hasDataToSend)
        // A range that was acknowledged is never sent again.
        client.acknowledged(packets[3])
        client.lost(packets[3])
        #expect(!client.table.hasDataToSend)
        client.acknowledged(packets[0])
        client.lost(packets[0])
        #expect(!client.table.hasDataToSend)
    }

    @Test func `a lost end is sent again, alone if need be`() throws {
        let (client, server) = StreamsEnd.pair()
        let id = try #require(client.table.openStream(.unidirectional))
        client.write([1, 2, 3], to: id)
        let first = try #require(client.nextPacket())
        client.table.finish(id)
        let second = try #require(client.nextPacket())
        #expect(second.frames.first == .stream(id, offset: 3, length: 0, fin: .end))
        client.lost(second)
        let third = try #require(client.nextPacket())
        #expect(third.frames == second.frames)
        // With the data lost as well, data and end travel together.
        client.lost(first)
        client.lost(third)
        let fourth = try #require(client.nextPacket())
        #expect(fourth.frames.first == .stream(id, offset: 0, length: 3, fin: .end))
        #expect(!client.table.hasDataToSend)
        try server.receive(fourth)
        client.acknowledged(fourth)
        #expect(client.fetchEvents() == [.finished(id)])
        #expect(client.table.streamCount == 0)
        // News about packets of a stream that is gone mean nothing.
        client.acknowledged(third)
        client.lost(second)
        #expect(!client.table.hasDataToSend)
    }

    @Test(arguments: [3, 4, 5, 6, 7, 8, 20, 40, 63, 64, 65, 66, 67, 68, 69, 70, 100])
    func `packets are filled to the last byte whatever their size`(size: Int) throws {
        for length in max(1, size - 8)...size + 8 {
            let (client, server) = StreamsEnd.pair()
            let id = try #require(client.table.openStream(.bidirectional))
            client.write(numbered(0..<UInt64(length)), to: id)
            let packets = client.allPackets(size: max(size, 24))
            for packet in packets { try server.receive(packet) }
            #expect(server.table.read(from: id, atMost: .max) == numbered(0..<UInt64(length)))
        }
    }

    @Test func `several streams share a packet`() throws {
        let (client, server) = StreamsEnd.pair()
        let ids = try (0..<3).map { _ in try #require(client.table.openStream(.bidirectional)) }
        for id in ids { client.write(numbered(0..<100), to: id) }
        let packets = client.allPackets()
        #expect(packets.count == 1)
        try server.receive(packets[0])
        #expect(server.fetchEvents().count == 6)
        for id in ids { #expect(server.table.read(from: id, atMost: .max) == numbered(0..<100)) }
    }

    /// Everything that can go wrong on the way, for several streams at once: loss, reordering, duplication, spurious loss.
    @Test(arguments: 1...10 as ClosedRange<UInt64>)
    func `all bytes arrive once and in order over a bad link`(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var configuration = StreamConfiguration()
        configuration.initialStreamWindow = ByteCount(Int.random(in: 500...6000, using: &random))
        configuration.maximumStreamWindow = 16_000
        configuration.initialConnectionWindow = ByteCount(Int.random(in: 1000...8000, using: &random))
        configuration.maximumConnectionWindow = 20_000
        let link = StreamsBadLink(StreamsEnd.pair(client: configuration, server: configuration), random: random)
        let total: UInt64 = 20_000
        var transfers: [StreamID: (ring: ByteRing, written: UInt64, queued: UInt64, read: UInt64)] = [:]
        for _ in 0..<3 {
            let id = try #require(link.ends[0].table.openStream(.bidirectional))
            transfers[id] = (ByteRing(limit: 4000, start: random.next() >> 8), 0, 0, 0)
        }
        let ids = transfers.keys.sorted()
        var steps = 0
        while ids.contains(where: { !link.ends[1].table.isFinishedReading($0) || transfers[$0]?.read == 0 }) {
            steps += 1
            try #require(steps < 20_000, "no progress, seed \(seed)")
            for id in ids {
                guard var transfer = transfers[id] else { continue }
                try feed(id, &transfer, upTo: total, on: link.ends[0].table, &random)
                let readable = link.ends[1].table.readableBytes(on: id)
                let bytes = link.ends[1].table.read(from: id, atMost: Int.random(in: 0...readable, using: &random))
                #expect(bytes == numbered(transfer.read..<transfer.read + UInt64(bytes.count)), "seed \(seed)")
                transfer.read += UInt64(bytes.count)
                transfers[id] = transfer
            }
            try link.step()
        }
        for id in ids { #expect(transfers[id]?.read == total) }
        try link.drain()
        #expect(link.ends[0].events.filter { if case .finished = $0 { true } else { false } }.count == ids.count)
    }

    /// Writes some more, from a ring or by copy, and releases what is acknowledged.
    private func feed(
        _ id: StreamID, _ transfer: inout (ring: ByteRing, written: UInt64, queued: UInt64, read: UInt64),
        upTo total: UInt64, on table: StreamsTableHandle, _ random: inout SeededGenerator
    ) throws {
        if let acknowledged = table.acknowledgedRingOffset(on: id) { transfer.ring.release(upTo: acknowledged) }
        guard transfer.written < total else { return }
        let wanted = min(UInt64.random(in: 0...900, using: &random), total - transfer.written)
        if Bool.random(using: &random) {
            table.write(numbered(transfer.written..<transfer.written + wanted).span, to: id)
            transfer.written += wanted
        } else {
            let start = transfer.ring.end
            let taken = transfer.ring.append(numbered(transfer.written..<transfer.written + wanted).span)
            table.write(transfer.ring, range: start..<start + UInt64(taken), to: id)
            transfer.written += UInt64(taken)
        }
        if transfer.written == total { table.finish(id) }
    }
}

/// A link that loses, reorders and duplicates, and whose ends sometimes take what arrived for lost.
final class StreamsBadLink {
    let ends: [StreamsEnd]
    private var random: SeededGenerator
    /// Packets on their way to the end with this index.
    private var inFlight: [[StreamsPacket]] = [[], []]
    /// Acknowledgements that will reach the end with this index later.
    private var late: [[StreamsPacket]] = [[], []]

    init(_ ends: (StreamsEnd, StreamsEnd), random: SeededGenerator) {
        self.ends = [ends.0, ends.1]
        self.random = random
    }

    func step() throws {
        for (index, end) in ends.enumerated() {
            end.now += .milliseconds(3)
            for _ in 0..<Int.random(in: 0...3, using: &random) {
                if let packet = end.nextPacket(size: Int.random(in: 40...600, using: &random)) {
                    inFlight[1 - index].append(packet)
                }
            }
        }
        for index in ends.indices {
            while !inFlight[index].isEmpty, Int.random(in: 0..<4, using: &random) > 0 {
                let place = Int.random(in: 0..<inFlight[index].count, using: &random)
                try deliver(inFlight[index].remove(at: place), to: index)
            }
            if !late[1 - index].isEmpty, Bool.random(using: &random) {
                ends[1 - index].acknowledged(late[1 - index].removeFirst())
            }
            ends[index].fetchEvents()
        }
    }

    private func deliver(_ packet: StreamsPacket, to index: Int) throws {
        let sender = ends[1 - index]
        switch Int.random(in: 0..<10, using: &random) {
        case 0, 1: sender.lost(packet)
        case 2:
            // Taken for lost, arrives all the same, and is acknowledged in the end.
            try ends[index].receive(packet)
            sender.lost(packet)
            late[1 - index].append(packet)
        case 3:
            try ends[index].receive(packet)
            try ends[index].receive(packet)
            sender.acknowledged(packet)
        default:
            try ends[index].receive(packet)
            sender.acknowledged(packet)
        }
    }

    /// Goes on until nothing is left to send or to hear.
    func drain() throws {
        for _ in 0..<2000 {
            try step()
            let isQuiet = ends.allSatisfy { !$0.table.hasControlToSend && !$0.table.hasDataToSend }
            if isQuiet, inFlight.allSatisfy(\.isEmpty), late.allSatisfy(\.isEmpty) { return }
        }
        Issue.record("the link did not fall silent")
    }
}
