import EventLoop
import Tunnel

@testable import Gateway

/// Lets workers of a gateway that share one loop send each other what workers do: a thread for each passes it on to the loop.
final class WorkerPost: MailboxReceiver {
    struct Letter: Sendable {
        let worker: Int
        let request: WorkerRequest
    }

    private final class Forwarder: MailboxReceiver {
        private let worker: Int
        private let mailbox: Mailbox<Letter>

        init(to worker: Int, _ mailbox: Mailbox<Letter>) {
            self.worker = worker
            self.mailbox = mailbox
        }

        func receive(_ request: WorkerRequest) { mailbox.post(Letter(worker: worker, request: request)) }
    }

    let handles: [WorkerHandle<WorkerRequest>]
    private let workers: [GatewayWorker]
    private var events: MailboxEvents<Letter>?

    /// For workers in the order of their indices; to be closed.
    init(_ workers: [GatewayWorker], on loop: EventLoop) throws {
        self.workers = workers
        let mailbox = try Mailbox<Letter>()
        handles = try workers.indices.map { index in
            try Worker.start(named: "post-\(index)", receiving: WorkerRequest.self) { _ throws(SystemError) in
                Forwarder(to: index, mailbox)
            }
        }
        events = MailboxEvents(mailbox, on: loop, receiver: self)
    }

    func receive(_ letter: Letter) { workers[letter.worker].receive(letter.request) }

    func close() {
        events?.cancel()
        events = nil
        for handle in handles { handle.stop() }
        for handle in handles { handle.join() }
    }
}
