import CSockets
import Glibc
import Keeper
import Testing

@Suite("How far a TCP stream has come")
struct TCPProgressTests {
    /// Which end is looked at.
    enum Side: CaseIterable {
        case dialled
        case accepted
    }

    /// When something takes place, seen from the end that is looked at.
    enum PeerEnd: CaseIterable {
        case open
        case finishedAndUnread
        case finishedAndRead
    }

    struct Case: CustomTestStringConvertible {
        var side: Side
        /// Bytes read and written before the payload began: the head of a proxy protocol.
        var head: Int
        var arrived: Int
        var read: Int
        var written: Int
        var peer: PeerEnd
        var finishes: Bool
        var finishesFirst: Bool

        var testDescription: String {
            "\(side) head \(head) arrived \(arrived) read \(read) written \(written) peer \(peer) "
                + (finishes ? finishesFirst ? "finishes first" : "finishes last" : "open")
        }
    }

    static let cases: [Case] = {
        var cases: [Case] = []
        for side in Side.allCases {
            for head in [0, 17] {
                for (arrived, read) in [(0, 0), (1, 0), (1, 1), (5000, 0), (5000, 4999), (5000, 5000)] {
                    for written in [0, 3000] {
                        for peer in PeerEnd.allCases where peer != .finishedAndRead || read == arrived {
                            cases.append(
                                Case(
                                    side: side, head: head, arrived: arrived, read: read, written: written, peer: peer,
                                    finishes: false, finishesFirst: false))
                            for first in [true, false] {
                                cases.append(
                                    Case(
                                        side: side, head: head, arrived: arrived, read: read, written: written,
                                        peer: peer, finishes: true, finishesFirst: first))
                            }
                        }
                    }
                }
            }
        }
        return cases
    }()

    @Test(arguments: cases)
    func `is told exactly`(example: Case) throws {
        let pair = try TCPPair()
        let (own, peer) = example.side == .dialled ? (pair.dialled, pair.accepted) : (pair.accepted, pair.dialled)
        var origin = try TCPProgress.origin(of: own)
        if example.head > 0 {
            send(numbers(0..<UInt64(example.head)), to: peer)
            waitReadable(own)
            receive(example.head, from: own)
            send(numbers(0..<UInt64(example.head)), to: own)
            origin = try TCPProgress.origin(of: own)
        }
        let head = UInt64(example.head)
        let counted = try TCPProgress.origin(
            of: own, opened: example.side == .dialled ? .dialled : .accepted, headRead: head, headWritten: head)
        #expect(counted == origin)
        if example.finishes, example.finishesFirst {
            send(numbers(0..<UInt64(example.written)), to: own)
            gw_shutdown_write(own)
        }
        send(numbers(0..<UInt64(example.arrived)), to: peer)
        if example.peer != .open { gw_shutdown_write(peer) }
        if example.arrived > 0 {
            #expect(
                eventually(example.arrived) {
                    var waiting: Int32 = 0
                    _ = unsafe ioctl(own, UInt(FIONREAD), &waiting)
                    return Int(waiting)
                })
        }
        if example.read > 0 { #expect(receive(example.read, from: own).count == example.read) }
        if example.peer == .finishedAndRead {
            waitReadable(own)
            #expect(receive(1, from: own).isEmpty)
        }
        if !(example.finishes && example.finishesFirst) { send(numbers(0..<UInt64(example.written)), to: own) }
        if example.finishes, !example.finishesFirst { gw_shutdown_write(own) }
        let wanted = Progress(
            consumed: example.read, written: example.written, peer: example.peer != .open, own: example.finishes)
        // At every moment, and not only when the packets have all arrived.
        for _ in 0..<20 {
            let progress = try TCPProgress(of: own, since: origin)
            #expect(progress.consumed == wanted.consumed)
            #expect(progress.written == wanted.written)
            #expect(progress.hasFinished == wanted.own)
        }
        #expect(eventually(wanted) { (try? TCPProgress(of: own, since: origin)).map(Progress.init) })
    }

    struct Progress: Equatable {
        var consumed: UInt64
        var written: UInt64
        var peer: Bool
        var own: Bool

        init(consumed: Int, written: Int, peer: Bool, own: Bool) {
            self.consumed = UInt64(consumed)
            self.written = UInt64(written)
            self.peer = peer
            self.own = own
        }

        init(_ progress: TCPProgress) {
            consumed = progress.consumed
            written = progress.written
            peer = progress.hasPeerFinished
            own = progress.hasFinished
        }
    }

    @Test(arguments: Side.allCases)
    func `counts bytes that nobody has acknowledged or even sent`(side: Side) throws {
        let pair = try TCPPair()
        let (own, peer) = side == .dialled ? (pair.dialled, pair.accepted) : (pair.accepted, pair.dialled)
        let origin = try TCPProgress.origin(of: own)
        var written = 0
        // Until neither the peer's buffer nor one's own takes any more.
        let block = [UInt8](repeating: 1, count: 1 << 20)
        for _ in 0..<3 {
            for _ in 0..<100 {
                let sent = send(block, to: own)
                guard sent > 0 else { break }
                written += sent
                #expect(try TCPProgress(of: own, since: origin).written == written)
            }
            gw_wait_readable(-1, -1, 20)
        }
        var raw = gw_tcp_counters()
        #expect(unsafe gw_tcp_count(own, &raw) == 0)
        #expect(raw.unacknowledged > 0)
        gw_shutdown_write(own)
        #expect(try TCPProgress(of: own, since: origin).written == written)
        #expect(try TCPProgress(of: own, since: origin).hasFinished)
        #expect(!receive(100_000, from: peer).isEmpty)
        #expect(try TCPProgress(of: own, since: origin).written == written)
    }

    @Test(arguments: Side.allCases)
    func `is found while the peer never stops sending`(side: Side) throws {
        let pair = try TCPPair()
        let (own, peer) = side == .dialled ? (pair.dialled, pair.accepted) : (pair.accepted, pair.dialled)
        let origin = try TCPProgress.origin(of: own)
        var consumed: UInt64 = 0
        let block = [UInt8](repeating: 1, count: 200_000)
        for round in 0..<200 {
            send(block, to: peer)
            consumed += UInt64(receive(round * 997 % 50_000, from: own).count)
            #expect(try TCPProgress(of: own, since: origin).consumed == consumed)
        }
        #expect(consumed > 100_000)
    }

    @Test func `counts urgent bytes like all others`() throws {
        let pair = try TCPPair()
        let origin = try TCPProgress.origin(of: pair.accepted)
        let bytes = numbers(0..<10)
        #expect(unsafe Glibc.send(pair.dialled, bytes, 10, Int32(MSG_OOB)) == 10)
        waitReadable(pair.accepted)
        var read: [UInt8] = []
        while read.count < 10 {
            let more = receive(100, from: pair.accepted)
            guard !more.isEmpty else { break }
            read += more
            #expect(try TCPProgress(of: pair.accepted, since: origin).consumed == read.count)
        }
        #expect(read == bytes)
    }

    @Test(arguments: Side.allCases)
    func `is lost with a connection that was reset, also when somebody has taken the error`(side: Side) throws {
        let pair = try TCPPair()
        let own = side == .dialled ? pair.dialled : pair.accepted
        let origin = try TCPProgress.origin(of: own)
        send(numbers(0..<100), to: own)
        if side == .dialled { pair.resetFromAccepted() } else { pair.resetFromDialled() }
        #expect(eventually(true) { gw_has_error(own) == 1 })
        #expect(throws: TCPProgress.Fault.broken) { try TCPProgress(of: own, since: origin) }
        #expect(gw_take_error(own) == ECONNRESET)
        #expect(throws: TCPProgress.Fault.broken) { try TCPProgress(of: own, since: origin) }
    }

    @Test(arguments: Side.allCases, [false, true])
    func `is known of a connection that broke after its end was read`(side: Side, taken: Bool) throws {
        let pair = try TCPPair()
        let (own, other) = side == .dialled ? (pair.dialled, pair.accepted) : (pair.accepted, pair.dialled)
        let origin = try TCPProgress.origin(of: own)
        send(numbers(0..<100), to: own)
        waitReadable(other)
        #expect(receive(100, from: other).count == 100)
        send(numbers(0..<70), to: other)
        gw_shutdown_write(other)
        waitReadable(own)
        #expect(receive(70, from: own).count == 70 && receive(1, from: own).isEmpty)
        if side == .dialled { pair.resetFromAccepted() } else { pair.resetFromDialled() }
        #expect(eventually(true) { gw_has_error(own) == 1 })
        if taken { _ = gw_take_error(own) }
        let progress = try TCPProgress.atBreak(of: own, since: origin)
        #expect(progress.consumed == 70 && progress.written == 100)
    }

    @Test func `is not taken from another connection, a listener or a pipe`() throws {
        let pair = try TCPPair()
        let origin = try TCPProgress.origin(of: pair.dialled)
        #expect(throws: TCPProgress.Fault.otherSocket) { try TCPProgress(of: pair.accepted, since: origin) }
        var ends: [Int32] = [0, 0]
        #expect(unsafe gw_channel_open(&ends) == 0)
        #expect(throws: TCPProgress.Fault.notConnected) { try TCPProgress(of: ends[0], since: origin) }
        var address = gw_address(high: 0, low: 0x7f00_0001, scope: 0, port: 0, family: 4)
        let listener = unsafe gw_tcp_listen(&address, 8)
        #expect(throws: TCPProgress.Fault.notConnected) { try TCPProgress.origin(of: listener) }
        for descriptor in ends + [listener] { gw_close(descriptor) }
    }
}
