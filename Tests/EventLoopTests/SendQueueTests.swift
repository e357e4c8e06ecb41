import CFaults
import EventLoop
import Glibc
import Primitives
import Testing

@Suite("Send queue")
struct SendQueueTests {
    /// Appends `bytes` to the queue.
    func append(_ bytes: [UInt8], segmentSize: Int, to: NetworkAddress, _ queue: inout SendQueue) {
        var space = queue.space()
        for (index, byte) in bytes.enumerated() { space[index] = byte }
        queue.append(byteCount: bytes.count, segmentSize: segmentSize, to: to, from: nil, ecn: .ect0)
    }

    @Test func memoryIsTakenAsItIsWrittenTo() {
        var queue = SendQueue()
        var space = queue.space()
        space[0] = 1
        let resident = unsafe space.withUnsafeMutableBufferPointer { bytes in
            let pageSize = Int(getpagesize())
            var pages = [UInt8](repeating: 0, count: SendQueue.capacity / pageSize)
            // The space of an empty queue begins and ends with a page; the call writes a byte for each.
            let outcome = unsafe mincore(bytes.baseAddress, SendQueue.capacity, &pages)
            return outcome == 0 ? pages.count { $0 & 1 == 1 } : pages.count
        }
        // One page, or what the system takes for one.
        #expect(resident > 0 && resident <= SendQueue.capacity / Int(getpagesize()) / 4)
    }

    @Test("entries for several receivers leave in order", arguments: Offloads.all)
    func severalReceivers(offloads: Offloads) throws {
        let loop = try EventLoop()
        let collectors = try (0..<3).map { _ in try DatagramCollector() }
        let receivers = try collectors.map {
            try UDPSocket(loopback(), options: offloads.options, on: loop, handler: $0)
        }
        let sender = try UDPSocket(
            loopback(), options: offloads.options, on: loop, handler: try DatagramCollector())
        defer { for socket in receivers + [sender] { socket.close() } }
        var queue = SendQueue()
        var expected = [[UInt8]](repeating: [], count: 3)
        for number in 0..<30 {
            let bytes = pattern(number % 4 == 0 ? 5 * 700 + 9 : 100 + number, seed: UInt64(number))
            append(bytes, segmentSize: 700, to: receivers[number % 3].localAddress, &queue)
            expected[number % 3] += bytes
        }
        let outcome = sender.flush(&queue)
        #expect(outcome == .sent)
        let waiting = queue.count
        #expect(waiting == 0)
        let total = expected.reduce(0) { $0 + $1.count }
        #expect(loop.run { collectors.reduce(0) { $0 + $1.datagrams.reduce(0) { $0 + $1.bytes.count } } == total })
        for (collector, bytes) in zip(collectors, expected) {
            #expect(collector.datagrams.flatMap(\.bytes) == bytes)
            #expect(collector.datagrams.allSatisfy { $0.bytes.count <= 700 && $0.ecn == .ect0 })
        }
    }

    @Test("an entry that cannot be sent is reported and holds up no other")
    func failure() throws {
        let loop = try EventLoop()
        let collector = try DatagramCollector()
        let socket = try UDPSocket(loopback(), on: loop, handler: collector)
        defer { socket.close() }
        let elsewhere = NetworkAddress(IPAddress(ipv4: 0xc633_6401), port: 9)
        var queue = SendQueue()
        append([1], segmentSize: 1, to: socket.localAddress, &queue)
        append([2], segmentSize: 1, to: elsewhere, &queue)
        append(pattern(65_530), segmentSize: 65_530, to: socket.localAddress, &queue)
        append([3], segmentSize: 1, to: socket.localAddress, &queue)
        guard case .failed(let error) = socket.flush(&queue) else {
            Issue.record("the second entry must fail")
            return
        }
        #expect(error.subject == .address(elsewhere))
        let second = socket.flush(&queue)
        #expect(second == .tooLarge(to: socket.localAddress))
        let third = socket.flush(&queue)
        #expect(third == .sent)
        #expect(loop.run { collector.datagrams.count == 2 })
        #expect(collector.datagrams.map(\.bytes) == [[1], [3]])
    }

    @Test("what was blocked stays in the queue and goes out once", arguments: Offloads.all, [0, 7])
    func blocked(offloads: Offloads, allowance: Int32) throws {
        let loop = try EventLoop()
        let collector = try DatagramCollector()
        let receiver = try UDPSocket(loopback(), options: offloads.options, on: loop, handler: collector)
        let sender = try UDPSocket(loopback(), options: offloads.options, on: loop, handler: collector)
        defer {
            faults_limit_sends(-1)
            receiver.close()
            sender.close()
        }
        let owner = QueueOwner()
        var expected: [UInt8] = []
        for number in 0..<10 {
            let bytes = pattern(20 * 1000, seed: UInt64(number))
            append(bytes, segmentSize: 1000, to: receiver.localAddress, &owner.queue)
            expected += bytes
        }
        faults_limit_sends(allowance)
        let first = sender.flush(&owner.queue)
        #expect(first == .blocked)
        var flushes = 0
        collector.onWritable = {
            flushes += 1
            faults_limit_sends(flushes < 5 ? allowance : -1)
            _ = $0.flush(&owner.queue)
        }
        #expect(loop.run { owner.queue.isEmpty && collector.datagrams.count == 200 })
        #expect(collector.datagrams.flatMap(\.bytes) == expected)
    }

    /// A noncopyable queue that a closure can reach.
    final class QueueOwner {
        var queue = SendQueue()
    }
}
