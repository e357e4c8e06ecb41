import EventLoop
import Glibc
import Primitives
import Synchronization
import Testing

@Suite("Workers and mailboxes")
struct WorkerTests {
    /// Answers each message with its double.
    final class Doubler: MailboxReceiver {
        let replies: Mailbox<Int>
        init(_ replies: Mailbox<Int>) { self.replies = replies }
        func receive(_ message: Int) { replies.post(message * 2) }
    }

    @Test("messages cross to a worker and back, each sender's in order")
    func roundTrip() throws {
        let loop = try EventLoop()
        let recorder = CallRecorder()
        let replies = try Mailbox<Int>()
        let reader = MailboxEvents(replies, on: loop, receiver: recorder)
        let worker = try Worker.start(named: "doubler", receiving: Int.self) { _ in Doubler(replies) }
        for number in 0..<1000 { #expect(worker.post(number) == .posted) }
        #expect(loop.run { recorder.messages.count == 1000 })
        #expect(recorder.messages == (0..<1000).map { $0 * 2 })
        worker.stop()
        worker.join()
        #expect(worker.post(1) == .closed)
        reader.cancel()
        #expect(replies.post(1) == .closed)
    }

    @Test("many threads post to one mailbox without losing a message")
    func manySenders() throws {
        let loop = try EventLoop()
        let recorder = CallRecorder()
        let mailbox = try Mailbox<Int>()
        let reader = MailboxEvents(mailbox, on: loop, receiver: recorder)
        defer { reader.cancel() }
        let workers = try (0..<4).map { _ in
            try Worker.start(named: "sender", receiving: Int.self) { _ in Doubler(mailbox) }
        }
        for (index, worker) in workers.enumerated() {
            for number in 0..<500 { worker.post(index * 1000 + number) }
        }
        #expect(loop.run { recorder.messages.count == 2000 })
        for (index, worker) in workers.enumerated() {
            let mine = recorder.messages.filter { $0 / 2000 == index }
            #expect(mine == (0..<500).map { (index * 1000 + $0) * 2 })
            worker.stop()
            worker.join()
        }
    }

    @Test("a full mailbox refuses instead of growing")
    func full() throws {
        let mailbox = try Mailbox<Int>(capacity: 2)
        #expect([1, 2, 3].map { mailbox.post($0) } == [.posted, .posted, .full])
    }

    @Test("an error while a worker is made is thrown where it was started")
    func startError() throws {
        #expect(throws: SystemError(.bind, code: EADDRINUSE)) {
            _ = try Worker.start(named: "broken", receiving: Int.self) { _ throws(SystemError) in
                throw SystemError(.bind, code: EADDRINUSE)
            }
        }
    }

    @Test("a worker has a thread of its own")
    func ownThread() throws {
        let seen = Mutex<UInt>(0)
        let worker = try Worker.start(named: "a worker with a long name", receiving: Int.self) { _ in
            seen.withLock { $0 = UInt(pthread_self()) }
            return CallRecorder()
        }
        #expect(seen.withLock { $0 } != UInt(pthread_self()))
        worker.stop()
        worker.join()
        worker.join()
    }
}
