import Primitives

/// The packets of one packet number space from sending to acknowledgement or loss (RFC 9002 appendix A.1).
///
/// A ring indexed by packet number: entering, finding and settling a packet take constant time, and two bit sets find the
/// next unsettled packet without visiting the settled ones between. Lost packets stay for a while, so that an
/// acknowledgement that comes late is recognised.
struct SentPacketLedger {
    /// Packets that may be remembered at a time; when reached, no more packets may leave until older ones are settled.
    /// Bounds memory to about 50 MB for a peer that acknowledges nothing.
    static let maximumPackets = 1 << 18
    /// Slots of the smallest ring, which an idle connection keeps, and each level of a handshake has.
    static let minimumSlots = 8

    /// What became of a packet number.
    enum State: Equatable, Sendable {
        /// Never sent, acknowledged and forgotten, or skipped: nothing to settle.
        case empty
        /// Sent and not settled yet.
        case outstanding
        /// Arrived.
        case acknowledged
        /// Declared lost.
        case lost(at: Instant)
    }

    /// A packet without its frames: plain bits, so that slots are copied and cleared without reference counting.
    struct Record {
        var timeSent: Instant = .origin
        var size = 0
        var kind = SentPacket.Kind.ackOnly
        var ecn = ECN.notCapable
        var path = NetworkPathID(rawValue: 0)
        var largestAcknowledged: UInt64?
        var mark = RateSampler.Mark()
        var state = State.empty
    }

    /// The oldest number that is remembered; all before it are settled and forgotten.
    private(set) var first: UInt64 = 0
    /// The next number to be sent.
    private(set) var next: UInt64 = 0
    private var slots: [Record] = []
    private var frames: [SentFrames] = []
    private var words: [Word] = []

    /// 64 slots' worth of the two bit sets.
    private struct Word {
        var outstanding: UInt64 = 0
        var lost: UInt64 = 0
    }

    /// Numbers from the oldest remembered one to the newest.
    var span: Int { Int(next - first) }

    /// Whether another packet may be entered.
    var hasRoom: Bool { span < Self.maximumPackets }

    private func slot(of number: UInt64) -> Int { Int(truncatingIfNeeded: number) & (slots.count - 1) }

    /// What became of `number`.
    func state(of number: UInt64) -> State {
        guard number >= first, number < next else { return .empty }
        return slots[slot(of: number)].state
    }

    /// What is remembered of a number between `first` and `next`, but for its frames.
    subscript(number: UInt64) -> Record {
        precondition(number >= first && number < next, "packet number is not remembered")
        return slots[slot(of: number)]
    }

    /// The frames of a number between `first` and `next`.
    func frames(of number: UInt64) -> SentFrames {
        precondition(number >= first && number < next, "packet number is not remembered")
        return frames[slot(of: number)]
    }

    // MARK: Entering

    /// Enters the packet with number `next` or above it; numbers between are skipped.
    mutating func append(_ packet: SentPacket, mark: RateSampler.Mark) {
        precondition(packet.packetNumber >= next, "packet numbers only grow")
        while next < packet.packetNumber { skip() }
        let index = claimSlot()
        slots[index] = Record(
            timeSent: packet.timeSent, size: packet.size, kind: packet.kind, ecn: packet.ecn, path: packet.path,
            largestAcknowledged: packet.largestAcknowledged, mark: mark, state: .outstanding)
        if !packet.frames.isEmpty { frames[index] = packet.frames }
        words[index >> 6].outstanding |= 1 << UInt64(index & 63)
    }

    /// Leaves the number `next` out.
    mutating func skip() {
        let index = claimSlot()
        slots[index].state = .empty
    }

    private mutating func claimSlot() -> Int {
        if span == slots.count { makeRoom() }
        let index = slot(of: next)
        next += 1
        return index
    }

    /// Packets that carried only acknowledgements are acknowledged rarely: the oldest make room before the ring grows.
    private mutating func makeRoom() {
        while first < next, span > slots.count / 2 {
            let index = slot(of: first)
            switch slots[index].state {
            case .outstanding:
                guard !slots[index].kind.isInFlight else { return growIfFull() }
            case .empty, .acknowledged, .lost: break
            }
            vacate(index)
            first += 1
        }
        growIfFull()
    }

    private mutating func growIfFull() {
        guard span == slots.count else { return }
        let old = slots
        let oldMask = old.count - 1
        let count = max(Self.minimumSlots, old.count * 2)
        var oldFrames = frames
        slots = Array(repeating: Record(), count: count)
        frames = Array(repeating: SentFrames(), count: count)
        words = Array(repeating: Word(), count: max(1, count >> 6))
        for number in first..<next {
            let oldIndex = Int(truncatingIfNeeded: number) & oldMask
            let record = old[oldIndex]
            let index = slot(of: number)
            let bit: UInt64 = 1 << UInt64(index & 63)
            switch record.state {
            case .outstanding: words[index >> 6].outstanding |= bit
            case .lost: words[index >> 6].lost |= bit
            case .empty, .acknowledged: break
            }
            slots[index] = record
            swap(&frames[index], &oldFrames[oldIndex])
        }
    }

    // MARK: Finding

    /// The first number from `start` through `end` that is outstanding or declared lost.
    func nextUnsettled(from start: UInt64, through end: UInt64) -> UInt64? {
        find(from: start, through: end) { $0.outstanding | $0.lost }
    }

    /// The first number from `start` through `end` that is outstanding.
    func nextOutstanding(from start: UInt64, through end: UInt64) -> UInt64? {
        find(from: start, through: end) { $0.outstanding }
    }

    @inline(__always)
    private func find(from start: UInt64, through end: UInt64, bits: (Word) -> UInt64) -> UInt64? {
        guard next > first else { return nil }
        var number = max(start, first)
        let last = min(end, next - 1)
        // Slots that share a word.
        let width = min(slots.count, 64)
        while number <= last {
            let index = slot(of: number)
            let rest = bits(words[index >> 6]) >> UInt64(index & 63)
            if rest != 0 {
                number += UInt64(rest.trailingZeroBitCount)
                return number <= last ? number : nil
            }
            number += UInt64(width - index & (width - 1))
        }
        return nil
    }

    // MARK: Settling

    /// Settles an unsettled packet as arrived and hands it out; its frames leave the ledger.
    mutating func acknowledge(_ number: UInt64) -> SentPacket {
        let index = slot(of: number)
        clear(index)
        slots[index].state = .acknowledged
        return packet(number, slots[index], takeFrames(index))
    }

    /// Declares an outstanding packet lost and hands it out; it stays for a while.
    mutating func declareLost(_ number: UInt64, at now: Instant) -> SentPacket {
        let index = slot(of: number)
        let bit: UInt64 = 1 << UInt64(index & 63)
        words[index >> 6].outstanding &= ~bit
        words[index >> 6].lost |= bit
        slots[index].state = .lost(at: now)
        return packet(number, slots[index], frames[index])
    }

    /// Forgets an unsettled packet and hands it out.
    mutating func forget(_ number: UInt64) -> SentPacket {
        let index = slot(of: number)
        clear(index)
        slots[index].state = .empty
        return packet(number, slots[index], takeFrames(index))
    }

    private func packet(_ number: UInt64, _ record: Record, _ frames: consuming SentFrames) -> SentPacket {
        SentPacket(
            packetNumber: number, timeSent: record.timeSent, size: record.size, kind: record.kind, ecn: record.ecn,
            path: record.path, largestAcknowledged: record.largestAcknowledged, frames: frames)
    }

    private mutating func takeFrames(_ index: Int) -> SentFrames {
        var taken = SentFrames()
        swap(&taken, &frames[index])
        return taken
    }

    /// Forgets what is settled at the old end; packets declared lost before `horizon` are settled too.
    mutating func advance(lostBefore horizon: Instant) {
        while first < next {
            let index = slot(of: first)
            switch slots[index].state {
            case .outstanding: return
            case .lost(at: let time): guard time < horizon else { return }
            case .empty, .acknowledged: break
            }
            vacate(index)
            first += 1
        }
    }

    /// Whether all is settled, and a burst has grown the ring, whose memory could be given back.
    var hasUnusedMemory: Bool { first == next && slots.count > Self.minimumSlots }

    /// Gives back what a burst has grown, if all is settled.
    mutating func releaseUnusedMemory() {
        if hasUnusedMemory { release() }
    }

    /// Forgets every packet, and gives the memory back.
    mutating func forgetAll() {
        first = next
        release()
    }

    private mutating func release() {
        slots = []
        frames = []
        words = []
    }

    private mutating func clear(_ index: Int) {
        let bit: UInt64 = 1 << UInt64(index & 63)
        words[index >> 6].outstanding &= ~bit
        words[index >> 6].lost &= ~bit
    }

    private mutating func vacate(_ index: Int) {
        switch slots[index].state {
        case .empty: return
        case .acknowledged: break
        case .outstanding, .lost:
            clear(index)
            frames[index] = SentFrames()
        }
        slots[index].state = .empty
    }
}
