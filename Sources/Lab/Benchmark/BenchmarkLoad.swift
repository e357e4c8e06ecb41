import EventLoop
import Primitives
import Synchronization

/// The programs that use a tunnel: threads of this process, whose cost is not counted.
enum BenchmarkLoad {
    typealias Entry = BenchmarkSystem.Entry

    /// Which way the bytes of a transfer go.
    enum Direction: String, CaseIterable {
        case down, up
    }

    /// Sends so many bytes in all over connections at once, and checks that exactly they arrived.
    ///
    /// - Returns: how long it took.
    static func transfer(
        _ direction: Direction, through entry: Entry, bytes: UInt64, streams: Int
    ) throws(BenchmarkFailure) -> Interval {
        let share = bytes / UInt64(streams)
        let begin = Clock.monotonic()
        _ = try BlockingThread.together(streams) { _ throws(BenchmarkFailure) in
            let stream = try BlockingStream(to: entry)
            let arrived: UInt64
            switch direction {
            case .down:
                try stream.write([BenchmarkOrigin.Service.download.rawValue] + BenchmarkOrigin.bytes(share))
                arrived = try BenchmarkPattern.check(stream)
            case .up:
                try stream.write([BenchmarkOrigin.Service.upload.rawValue])
                try BenchmarkPattern.write(share, to: stream)
                stream.finishWriting()
                arrived = try stream.read(exactly: 8).map(BenchmarkOrigin.number) ?? 0
            }
            guard arrived == share else {
                throw BenchmarkFailure("\(arrived) bytes arrived instead of \(share) on the way \(direction.rawValue)")
            }
        }
        return Clock.monotonic() - begin
    }

    /// How long a byte takes there and back, again and again for some time; ascending.
    static func echoes(through entry: Entry, for time: Interval) throws(BenchmarkFailure) -> [Interval] {
        let stream = try BlockingStream(to: entry)
        try stream.write([BenchmarkOrigin.Service.echo.rawValue])
        let byte: [UInt8] = [0x78]
        var times: [Interval] = []
        var before = Clock.monotonic()
        let end = before + time
        while before < end {
            try stream.write(byte)
            guard try stream.read(exactly: 1) == byte else { throw BenchmarkFailure("an echo did not come back") }
            let after = Clock.monotonic()
            times.append(after - before)
            before = after
        }
        // The first finds out what the others know.
        return times.dropFirst().sorted()
    }

    /// The same beside a download of the same tunnel.
    static func echoesBesideBulk(through entry: Entry, for time: Interval) throws(BenchmarkFailure) -> [Interval] {
        let isOver = Mutex(false)
        let times = try BlockingThread.together(2) { thread throws(BenchmarkFailure) -> [Interval] in
            if thread == 0 {
                defer { isOver.withLock { $0 = true } }
                return try echoes(through: entry, for: time)
            }
            let stream = try BlockingStream(to: entry)
            try stream.write([BenchmarkOrigin.Service.download.rawValue] + BenchmarkOrigin.bytes(.max))
            _ = try BenchmarkPattern.check(stream) { _ in isOver.withLock { $0 } }
            return []
        }
        return times.flatMap(\.self)
    }

    /// Opens connections from several threads, each of which sends one byte, gets it back, and ends in order.
    ///
    /// - Returns: how many there were in a second.
    static func openings(through entry: Entry, for time: Interval, threads: Int) throws(BenchmarkFailure) -> Double {
        let begin = Clock.monotonic()
        let end = begin + time
        let byte: [UInt8] = [BenchmarkOrigin.Service.opening.rawValue]
        let counts = try BlockingThread.together(threads) { _ throws(BenchmarkFailure) -> Int in
            var count = 0
            while Clock.monotonic() < end {
                let stream = try BlockingStream(to: entry)
                try stream.write(byte)
                guard try stream.read(exactly: 1) == byte, try stream.read(exactly: 1) == nil else {
                    throw BenchmarkFailure("a new tunnel did not give back its byte and end")
                }
                count += 1
            }
            return count
        }
        return Double(counts.reduce(0, +)) / (Clock.monotonic() - begin).seconds
    }

    /// Opens connections that stay until they are let go of.
    static func idle(_ count: Int, through entry: Entry) throws(BenchmarkFailure) -> [BlockingStream] {
        var streams: [BlockingStream] = []
        for _ in 0..<count {
            let stream = try BlockingStream(to: entry)
            try stream.write([BenchmarkOrigin.Service.idle.rawValue])
            guard try stream.read(exactly: 1) != nil else { throw BenchmarkFailure("an idle tunnel ended at once") }
            streams.append(stream)
        }
        return streams
    }
}
