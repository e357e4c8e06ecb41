import Glibc
import Synchronization

/// A thread for calls that block.
struct BlockingThread {
    private let thread: pthread_t

    /// Runs `body` on a thread of its own; it is joined or detached.
    init(_ body: @escaping @Sendable () -> Void) throws(BenchmarkFailure) {
        var thread = pthread_t()
        // Retained here, released by the thread that takes it over.
        let work = unsafe Unmanaged.passRetained(BlockingWork(body))
        let code = unsafe pthread_create(&thread, nil, blockingThread, work.toOpaque())
        guard code == 0 else {
            unsafe work.release()
            throw BenchmarkFailure(code, "cannot start a thread")
        }
        self.thread = thread
    }

    /// Waits for its end.
    func join() { pthread_join(thread, nil) }

    /// Leaves it alone.
    func detach() { pthread_detach(thread) }

    /// Does the same in several threads, each with its number, and waits for all of them.
    static func together<Value: Sendable>(
        _ count: Int, _ body: @escaping @Sendable (Int) throws(BenchmarkFailure) -> Value
    ) throws(BenchmarkFailure) -> [Value] {
        let results = BlockingResults<Value>()
        var threads: [BlockingThread] = []
        for number in 0..<count {
            threads.append(
                try BlockingThread {
                    results.add(Result { () throws(BenchmarkFailure) in try body(number) })
                })
        }
        for thread in threads { thread.join() }
        var values: [Value] = []
        for result in results.all { values.append(try result.get()) }
        return values
    }
}

/// What threads come to.
private final class BlockingResults<Value: Sendable>: Sendable {
    private let results = Mutex<[Result<Value, BenchmarkFailure>]>([])

    func add(_ result: Result<Value, BenchmarkFailure>) { results.withLock { $0.append(result) } }
    var all: [Result<Value, BenchmarkFailure>] { results.withLock { $0 } }
}

private final class BlockingWork: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
}

/// Where the thread begins; `context` is a retained `BlockingWork`.
private nonisolated func blockingThread(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    if let context = unsafe context {
        unsafe Unmanaged<BlockingWork>.fromOpaque(context).takeRetainedValue().body()
    }
    return nil
}
