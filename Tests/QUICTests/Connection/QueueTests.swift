import Primitives
import TLS
import Testing

@testable import QUIC

@Suite("Queues of a connection and their bounds") struct QueueTests {
    @Test("datagrams leave in order; beyond the bound the oldest are dropped (RFC 9221 §5)") func datagrams() {
        var queue = DatagramQueue()
        let count = 2_000
        for index in 0..<count { queue.append([UInt8](repeating: UInt8(truncatingIfNeeded: index), count: 1_000)) }
        let kept = DatagramQueue.maximumWaiting / (1_000 + DatagramQueue.overhead)
        #expect(queue.dropped == count - kept)
        for index in count - kept..<count {
            #expect(queue.next?.first == UInt8(truncatingIfNeeded: index))
            queue.removeNext()
        }
        #expect(queue.next == nil)
        queue.removeNext()
    }

    @Test("empty datagrams are bounded too") func emptyDatagrams() {
        var queue = DatagramQueue()
        for _ in 0..<100_000 { queue.append([]) }
        #expect(queue.dropped >= 100_000 - DatagramQueue.maximumWaiting / DatagramQueue.overhead)
    }

    private func entry(_ size: Int, _ level: EncryptionLevel = .oneRTT) -> UndecryptableDatagrams.Entry {
        UndecryptableDatagrams.Entry(
            level: level, bytes: [UInt8](repeating: 1, count: size), local: ConnectionPair.serverAddress,
            remote: ConnectionPair.clientAddress, ecn: .notCapable)
    }

    @Test(
        "packets without keys are bounded in bytes, however small they are (GO-2025-4017)",
        arguments: [1, 21, 1_200, 32_640, 32_641, 65_000])
    func undecryptable(_ size: Int) {
        var queue = UndecryptableDatagrams()
        var kept = 0
        for _ in 0..<5_000 where queue.append(entry(size)) { kept += 1 }
        #expect(kept == UndecryptableDatagrams.maximumBytes / (size + UndecryptableDatagrams.overhead))
        #expect(queue.count == kept)
        #expect(queue.takeAll(of: .oneRTT).count == kept)
        #expect(queue.isEmpty)
        #expect(queue.append(entry(100)) == true)
    }

    @Test("packets of one level are taken without those of another, and make room") func levels() {
        var queue = UndecryptableDatagrams()
        for index in 0..<20 { #expect(queue.append(entry(1_000, index % 2 == 0 ? .handshake : .oneRTT)) == true) }
        #expect(queue.takeAll(of: .handshake).count == 10)
        #expect(queue.count == 10)
        for _ in 0..<10 { #expect(queue.append(entry(1_000)) == true) }
        #expect(queue.takeAll(of: .oneRTT).count == 20)
    }

    @Test("the closing state answers the 1st, 2nd, 4th, 8th packet and so on (RFC 9000 §10.2.1)") func closing() {
        var closing = Closing(
            cause: .application(errorCode: 1, reason: ""), until: Instant(nanoseconds: 1))
        #expect(closing.shouldSend)
        var answered: [Int] = []
        for number in 1...1_000 {
            closing.shouldSend = false
            closing.packetReceived()
            if closing.shouldSend { answered.append(number) }
        }
        #expect(answered == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512])
    }
}
