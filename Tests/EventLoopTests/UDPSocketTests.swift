import CFaults
import EventLoop
import Glibc
import Primitives
import Testing

/// Collects what arrives.
final class DatagramCollector: UDPSocketHandler {
    struct Received: Equatable {
        var bytes: [UInt8]
        var from: NetworkAddress
        var to: NetworkAddress
        var ecn: ECN
    }

    var datagrams: [Received] = []
    var entries: [ReceiveBatch.Entry] = []
    var writableCount = 0
    var onWritable: (UDPSocket) -> Void = { _ in }
    private var batch: ReceiveBatch

    init(capacity: Int = ReceiveBatch.defaultCapacity) throws { batch = try ReceiveBatch(capacity: capacity) }

    func socketReadable(_ socket: UDPSocket) {
        while true {
            let outcome = socket.receive(into: &batch)
            for index in 0..<batch.count { take(index) }
            if outcome == .drained { return }
        }
    }

    private func take(_ index: Int) {
        let entry = batch[index]
        entries.append(entry)
        for number in 0..<entry.datagramCount {
            let datagram = batch.datagram(number, at: index)
            var bytes: [UInt8] = []
            for offset in 0..<datagram.count { bytes.append(datagram[offset]) }
            datagrams.append(Received(bytes: bytes, from: entry.from, to: entry.to, ecn: entry.ecn))
        }
    }

    func socketWritable(_ socket: UDPSocket) {
        writableCount += 1
        onWritable(socket)
    }
}

/// Sends itself another datagram in the turn in which the first one comes, some time after its beginning.
final class LateSender: UDPSocketHandler {
    /// What the loop's clock says with each datagram, and when it had not been sent yet.
    private(set) var dated: [Instant] = []
    private(set) var sent: [Instant] = []
    private let loop: EventLoop
    private var batch: ReceiveBatch

    init(_ loop: EventLoop) throws {
        self.loop = loop
        batch = try ReceiveBatch(capacity: 1)
    }

    func send(from socket: UDPSocket) {
        sent.append(Clock.monotonic())
        let bytes: [UInt8] = [7]
        _ = socket.send(bytes.span, segmentSize: 1, to: socket.localAddress, ecn: .notCapable)
    }

    func socketReadable(_ socket: UDPSocket) {
        while dated.count < sent.count {
            _ = socket.receive(into: &batch)
            guard batch.count > 0 else { return }
            dated.append(loop.now)
            if sent.count < 2 {
                Clock.wait(.milliseconds(2))
                send(from: socket)
            }
        }
    }

    func socketWritable(_ socket: UDPSocket) {}
}

/// Whether the kernel helps to send and to receive.
struct Offloads: CustomTestStringConvertible, Sendable {
    var sending: BoundDatagramSocket.Options.Offload
    var receiving: BoundDatagramSocket.Options.Offload

    static let all: [Offloads] = [
        Offloads(sending: .whereAvailable, receiving: .whereAvailable),
        Offloads(sending: .whereAvailable, receiving: .never),
        Offloads(sending: .never, receiving: .whereAvailable),
        Offloads(sending: .never, receiving: .never),
    ]

    var options: BoundDatagramSocket.Options {
        var options = BoundDatagramSocket.Options()
        options.sending = sending
        options.receiving = receiving
        return options
    }

    var testDescription: String { "sending \(sending), receiving \(receiving)" }
}

@Suite("UDP sockets")
struct UDPSocketTests {
    @Test(
        "the largest batch stays in one piece where the kernel joins: it does not cut it in software",
        arguments: [1_350, 1_452, 8_952, 16_332])
    func largestBatch(size: Int) throws {
        let loop = try EventLoop()
        let collector = try DatagramCollector()
        let receiver = try UDPSocket(loopback(.ipv4), on: loop, handler: collector)
        let sender = try UDPSocket(loopback(.ipv4), on: loop, handler: collector)
        defer {
            receiver.close()
            sender.close()
        }
        let count = min(UDPSocket.maximumBatchSize / size, UDPSocket.maximumSegments)
        let bytes = [UInt8](repeating: 7, count: count * size)
        let outcome = sender.send(bytes.span, segmentSize: size, to: receiver.localAddress, ecn: .notCapable)
        #expect(outcome == .sent)
        #expect(loop.run { collector.datagrams.count == count })
        let joins = receiver.bound.joinsReceived && sender.segmentsInKernel
        #expect(collector.entries.count == (joins ? 1 : count))
    }

    @Test(
        "a batch arrives as its datagrams, with or without the kernel's help", arguments: Offloads.all,
        [IPAddress.Family.ipv4, .ipv6])
    func batchArrives(offloads: Offloads, family: IPAddress.Family) throws {
        let loop = try EventLoop()
        let collector = try DatagramCollector()
        let receiver = try UDPSocket(loopback(family), options: offloads.options, on: loop, handler: collector)
        let sender = try UDPSocket(loopback(family), options: offloads.options, on: loop, handler: collector)
        defer {
            receiver.close()
            sender.close()
        }
        let bytes = pattern(40 * 1200 + 77)
        let outcome = sender.send(bytes.span, segmentSize: 1200, to: receiver.localAddress, ecn: .ect0)
        #expect(outcome == .sent)
        #expect(loop.run { collector.datagrams.count >= 41 })
        #expect(collector.datagrams.map(\.bytes.count) == [Int](repeating: 1200, count: 40) + [77])
        #expect(collector.datagrams.flatMap(\.bytes) == bytes)
        #expect(Set(collector.datagrams.map(\.from)) == [sender.localAddress])
        #expect(Set(collector.datagrams.map(\.to)) == [receiver.localAddress])
        #expect(Set(collector.datagrams.map(\.ecn)) == [.ect0])
        // What was asked for is what is done: joined only where the kernel may.
        if sender.segmentsInKernel, receiver.bound.joinsReceived { #expect(collector.entries.count < 41) }
        if case .never = offloads.receiving { #expect(collector.entries.count == 41) }
    }

    @Test("a datagram that comes in the midst of a turn is not dated before it came")
    func dated() throws {
        let loop = try EventLoop()
        let late = try LateSender(loop)
        let socket = try UDPSocket(loopback(.ipv4), on: loop, handler: late)
        defer { socket.close() }
        late.send(from: socket)
        #expect(loop.run { late.dated.count >= 2 })
        for (time, sent) in zip(late.dated, late.sent) { #expect(time >= sent) }
    }

    @Test("the ECN field goes there and comes here", arguments: [ECN.notCapable, .ect0, .ect1, .congestionExperienced])
    func ecn(codepoint: ECN) throws {
        for family in [IPAddress.Family.ipv4, .ipv6] {
            let loop = try EventLoop()
            let collector = try DatagramCollector()
            let socket = try UDPSocket(loopback(family), on: loop, handler: collector)
            defer { socket.close() }
            let bytes: [UInt8] = [1, 2, 3]
            let outcome = socket.send(bytes.span, segmentSize: 3, to: socket.localAddress, ecn: codepoint)
            #expect(outcome == .sent)
            #expect(loop.run { collector.datagrams.count == 1 })
            #expect(collector.datagrams.map(\.ecn) == [codepoint])
        }
    }

    @Test("a wildcard socket tells the local address and answers from it")
    func wildcard() throws {
        let loop = try EventLoop()
        let (atServer, atClient) = (try DatagramCollector(), try DatagramCollector())
        let server = try UDPSocket(NetworkAddress(.unspecified(.ipv4), port: 0), on: loop, handler: atServer)
        let client = try UDPSocket(loopback(), on: loop, handler: atClient)
        defer {
            server.close()
            client.close()
        }
        // 127.0.0.2 is an address of this machine that the routing table would not answer from by itself.
        let target = NetworkAddress(IPAddress(ipv4: 0x7f00_0002), port: server.localAddress.port)
        let bytes: [UInt8] = [7]
        let request = client.send(bytes.span, segmentSize: 1, to: target)
        #expect(request == .sent)
        #expect(loop.run { atServer.datagrams.count == 1 })
        #expect(atServer.datagrams.first?.to == target)
        let answer = server.send(bytes.span, segmentSize: 1, to: client.localAddress, from: target)
        #expect(answer == .sent)
        #expect(loop.run { atClient.datagrams.count == 1 })
        #expect(atClient.datagrams.first?.from == target)
    }

    @Test("an IPv6 wildcard leaves IPv4 to another socket of the same port")
    func ipv6Only() throws {
        let loop = try EventLoop()
        let collector = try DatagramCollector()
        let first = try UDPSocket(NetworkAddress(.unspecified(.ipv6), port: 0), on: loop, handler: collector)
        defer { first.close() }
        let second = try UDPSocket(
            NetworkAddress(.unspecified(.ipv4), port: first.localAddress.port), on: loop, handler: collector)
        second.close()
    }

    @Test("an empty datagram is a datagram")
    func emptyDatagram() throws {
        let loop = try EventLoop()
        let collector = try DatagramCollector()
        let socket = try UDPSocket(loopback(), on: loop, handler: collector)
        defer { socket.close() }
        let nothing: [UInt8] = []
        let outcome = socket.send(nothing.span, segmentSize: 0, to: socket.localAddress)
        #expect(outcome == .sent)
        #expect(loop.run { collector.datagrams.count == 1 })
        #expect(collector.datagrams.map(\.bytes) == [[]])
    }

    @Test("more entries than a batch holds come in several batches, in order")
    func severalBatches() throws {
        let loop = try EventLoop()
        let collector = try DatagramCollector(capacity: 3)
        let socket = try UDPSocket(loopback(), options: Offloads.all[3].options, on: loop, handler: collector)
        defer { socket.close() }
        for number in 0..<20 as Range<UInt8> {
            let bytes = [number]
            let outcome = socket.send(bytes.span, segmentSize: 1, to: socket.localAddress)
            #expect(outcome == .sent)
        }
        #expect(loop.run { collector.datagrams.count == 20 })
        #expect(collector.datagrams.map(\.bytes) == (0..<20).map { [$0] })
    }

    @Test("a datagram above the interface's MTU is told apart from other errors", arguments: Offloads.all)
    func tooLarge(offloads: Offloads) throws {
        let loop = try EventLoop()
        let collector = try DatagramCollector()
        let socket = try UDPSocket(loopback(), options: offloads.options, on: loop, handler: collector)
        defer { socket.close() }
        let bytes = pattern(65_536)
        let tooLarge = socket.send(bytes.span, segmentSize: 65_535, to: socket.localAddress)
        #expect(tooLarge == .tooLarge(accepted: 0))
        // The socket goes on, with the kernel's help as before.
        let small = socket.send(bytes.span.extracting(0..<2400), segmentSize: 1200, to: socket.localAddress)
        #expect(small == .sent)
        #expect(loop.run { collector.datagrams.count == 2 })
        if case .whereAvailable = offloads.sending { #expect(socket.segmentsInKernel) }
    }

    @Test("an error of one path is a result and leaves the socket usable")
    func pathFailure() throws {
        let loop = try EventLoop()
        let collector = try DatagramCollector()
        let socket = try UDPSocket(loopback(), on: loop, handler: collector)
        defer { socket.close() }
        let bytes: [UInt8] = [1]
        // A socket bound to loopback has no way to another network.
        let elsewhere = NetworkAddress(IPAddress(ipv4: 0xc633_6401), port: 9)
        guard case .failed(let error, accepted: 0) = socket.send(bytes.span, segmentSize: 1, to: elsewhere) else {
            Issue.record("a datagram to another network must fail")
            return
        }
        #expect(error.isPathFailure)
        #expect(error.operation == .send)
        let outcome = socket.send(bytes.span, segmentSize: 1, to: socket.localAddress)
        #expect(outcome == .sent)
        #expect(loop.run { collector.datagrams.count == 1 })
    }

    @Test("a closed socket sends nothing and hears nothing")
    func closed() throws {
        let loop = try EventLoop()
        let collector = try DatagramCollector()
        let socket = try UDPSocket(loopback(), on: loop, handler: collector)
        socket.close()
        let bytes: [UInt8] = [1]
        guard case .failed = socket.send(bytes.span, segmentSize: 1, to: socket.localAddress) else {
            Issue.record("a closed socket must not send")
            return
        }
    }

    @Test("what a full socket buffer refused goes out later, exactly once", arguments: Offloads.all)
    func blocked(offloads: Offloads) throws {
        let loop = try EventLoop()
        let collector = try DatagramCollector()
        let receiver = try UDPSocket(loopback(), options: offloads.options, on: loop, handler: collector)
        let sender = try UDPSocket(loopback(), options: offloads.options, on: loop, handler: collector)
        defer {
            faults_limit_sends(-1)
            receiver.close()
            sender.close()
        }
        let bytes = pattern(40 * 1200)
        let sendsOneByOne = if case .never = offloads.sending { true } else { false }
        faults_limit_sends(sendsOneByOne ? 15 : 0)
        let first = sender.send(bytes.span, segmentSize: 1200, to: receiver.localAddress)
        let accepted = sendsOneByOne ? 15 * 1200 : 0
        #expect(first == .blocked(accepted: accepted))
        var outcomes: [UDPSocket.SendOutcome] = []
        collector.onWritable = { socket in
            let rest = bytes.span.extracting(accepted..<bytes.count)
            // Blocked a second time, then free.
            faults_limit_sends(outcomes.isEmpty ? 0 : -1)
            outcomes.append(socket.send(rest, segmentSize: 1200, to: receiver.localAddress))
        }
        #expect(loop.run { collector.datagrams.count >= 40 })
        loop.settle()
        #expect(outcomes == [.blocked(accepted: 0), .sent])
        #expect(collector.writableCount == 2, "without a blocked send the loop must not report room")
        #expect(sender.statistics.blockedSends == 2)
        #expect(collector.datagrams.flatMap(\.bytes) == bytes)
    }

    @Test("where the kernel refuses to cut, datagrams go one by one from then on", arguments: [EIO, EINVAL])
    func segmentationRefused(error: Int32) throws {
        let loop = try EventLoop()
        let collector = try DatagramCollector()
        let socket = try UDPSocket(loopback(), on: loop, handler: collector)
        defer {
            faults_refuse_segmentation(0)
            socket.close()
        }
        faults_refuse_segmentation(error)
        let bytes = pattern(10 * 1200)
        let first = socket.send(bytes.span, segmentSize: 1200, to: socket.localAddress)
        #expect(first == .sent)
        #expect(!socket.segmentsInKernel)
        faults_refuse_segmentation(0)
        let second = socket.send(bytes.span, segmentSize: 1200, to: socket.localAddress)
        #expect(second == .sent)
        #expect(loop.run { collector.datagrams.count == 20 })
        #expect(collector.datagrams.flatMap(\.bytes) == bytes + bytes)
    }

    @Test("the system's answer about buffers is reported")
    func buffers() throws {
        let socket = try BoundDatagramSocket(loopback())
        defer { socket.close() }
        #expect(socket.receiveBufferSize > .zero)
        #expect(socket.sendBufferSize > .zero)
    }

    @Test("an address in use is one line that says what to do")
    func addressInUse() throws {
        let socket = try BoundDatagramSocket(loopback())
        defer { socket.close() }
        #expect(throws: SystemError.self) { _ = try BoundDatagramSocket(socket.localAddress) }
        do {
            _ = try BoundDatagramSocket(socket.localAddress)
        } catch let error {
            let expected =
                "cannot listen on \(socket.localAddress): address already in use (EADDRINUSE); "
                + "another process listens there; choose another port or stop it"
            #expect(error.description == expected)
        }
    }
}
