import Primitives
import QUIC

/// What stands in front of the payload: eight bytes for each number, big-endian.
enum NumbersInFront {
    static let width = 8

    static func encode(_ numbers: [UInt64]) -> [UInt8] {
        numbers.flatMap { number in
            (0..<width).map { UInt8(truncatingIfNeeded: number >> UInt64(8 * (width - 1 - $0))) }
        }
    }

    static func decode(_ bytes: [UInt8]) -> [UInt64] {
        stride(from: 0, to: bytes.count, by: width).map { start in
            bytes[start..<start + width].reduce(0) { $0 << 8 | UInt64($1) }
        }
    }
}

/// Takes one direction of a stream apart: numbers, then the pattern.
struct Receiver {
    private let headLength: Int
    private var head: [UInt8] = []
    private(set) var checker = PatternChecker()

    /// Expects `count` numbers.
    init(numbers count: Int) { headLength = count * NumbersInFront.width }

    /// The numbers, once all of them are there.
    var numbers: [UInt64]? { head.count == headLength ? NumbersInFront.decode(head) : nil }

    /// Takes everything that can be read.
    ///
    /// - Returns: the number of bytes of payload.
    mutating func take(_ id: StreamID, of connection: Connection) -> UInt64 {
        if head.count < headLength { head += connection.read(from: id, atMost: headLength - head.count) }
        var checker = checker
        let before = checker.count
        let count = connection.withReadableBytes(on: id) { first, second in
            checker.feed(first)
            checker.feed(second)
            return first.count + second.count
        }
        connection.consume(count, from: id)
        self.checker = checker
        return checker.count - before
    }

    /// What is wrong with a direction that has ended, if anything.
    func fault(expected: UInt64) -> String? {
        if head.count < headLength { return "the stream ended before its payload" }
        if let place = checker.firstDifference { return "wrong byte at \(place)" }
        if checker.count != expected { return "\(checker.count) bytes instead of \(expected)" }
        return nil
    }
}
