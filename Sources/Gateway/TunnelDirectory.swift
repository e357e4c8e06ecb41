import EventLoop
import Synchronization
import Tunnel

/// Which worker has which of the tunnels that can be resumed: a client may come back on a connection of another worker.
///
/// A tunnel stands here from its grant until its end, on a connection or without one.
final class TunnelDirectory: Sendable {
    struct Entry: Sendable {
        /// The index of the worker.
        var worker: Int
        /// Whose tunnel it is: to all others there is none.
        var user: String
    }

    private let entries = Mutex<[ResumptionID: Entry]>([:])
    private let workers = Mutex<[WorkerHandle<WorkerRequest>]>([])

    subscript(id: ResumptionID) -> Entry? {
        get { entries.withLock { $0[id] } }
        set { entries.withLock { $0[id] = newValue } }
    }

    /// The workers in the order of their indices, once all are there.
    func publish(_ handles: [WorkerHandle<WorkerRequest>]) { workers.withLock { $0 = handles } }

    /// Hands a message to a worker; false when there is none with this index that takes it.
    func post(_ request: WorkerRequest, to worker: Int) -> Bool {
        let handle = workers.withLock { $0.indices.contains(worker) ? $0[worker] : nil }
        return handle?.post(request) == .posted
    }
}
