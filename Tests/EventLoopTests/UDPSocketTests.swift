import EventLoop
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
    private var batch: ReceiveBatch

    init() throws { batch = try ReceiveBatch() }

    func socketReadable(_ socket: UDPSocket) {
        repeat {
            let outcome = socket.receive(into: &batch)
            for index in 0..<batch.count { take(index) }
            if outcome == .drained { return }
        } while true
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

    func socketWritable(_ socket: UDPSocket) { writableCount += 1 }
}

@Suite("UDP sockets")
struct UDPSocketTests {
    /// The four ways in which the kernel may or may not help.
    static let offloads: [(BoundDatagramSocket.Options.Offload, BoundDatagramSocket.Options.Offload)] = [
        (.whereAvailable, .whereAvailable), (.whereAvailable, .never), (.never, .whereAvailable), (.never, .never),
    ]

    func options(
        _ offload: (BoundDatagramSocket.Options.Offload, BoundDatagramSocket.Options.Offload)
    ) -> BoundDatagramSocket.Options {
        var options = BoundDatagramSocket.Options()
        options.sending = offload.0
        options.receiving = offload.1
        return options
    }

    @Test(
        "a batch arrives as its datagrams, with or without the kernel's help", arguments: offloads,
        [IPAddress.Family.ipv4, .ipv6])
    func batchArrives(
        offload: (BoundDatagramSocket.Options.Offload, BoundDatagramSocket.Options.Offload), family: IPAddress.Family
    ) throws {
        let loop = try EventLoop()
        let collector = try DatagramCollector()
        let receiver = try UDPSocket(loopback(family), options: options(offload), on: loop, handler: collector)
        let sender = try UDPSocket(loopback(family), options: options(offload), on: loop, handler: collector)
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
        if offload == (.whereAvailable, .whereAvailable) { #expect(collector.entries.count < 41) }
        if case .never = offload.1 { #expect(collector.entries.count == 41) }
    }
}
