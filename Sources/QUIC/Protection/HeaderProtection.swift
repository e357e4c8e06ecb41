import Cryptography

/// A header whose protection was removed; the packet is not authenticated yet.
struct UnprotectedHeader: Equatable {
    var firstByte: UInt8
    /// The bytes of the packet number as sent.
    var truncatedPacketNumber: UInt64
    /// How many bytes that were.
    var packetNumberLength: Int

    /// Whether the reserved bits are set, which an authentic packet's are not (RFC 9000 §17.2, §17.3.1).
    var hasReservedBits: Bool {
        let mask = firstByte & FirstByte.longHeader != 0 ? FirstByte.longReserved : FirstByte.shortReserved
        return firstByte & mask != 0
    }
}

/// Header protection (RFC 9001 §5.4): the only place that puts it on and takes it off.
enum HeaderProtection {
    /// Where the sample starts, counted from the packet number: as if that were four bytes long (RFC 9001 §5.4.2).
    static let sampleOffset = 4

    /// Takes header protection off in place; nil when the packet is too short to be sampled.
    static func remove(
        from packet: inout MutableSpan<UInt8>, packetNumberOffset: Int, key: HeaderProtectionKey
    ) -> UnprotectedHeader? {
        guard let range = sampleRange(in: packet.count, packetNumberOffset: packetNumberOffset) else { return nil }
        let mask = key.mask(sample: packet.span.extracting(range))
        return remove(mask, from: &packet, packetNumberOffset: packetNumberOffset)
    }

    /// Where the sample of a received packet stands; nil when the packet is too short to be sampled.
    static func sampleRange(in count: Int, packetNumberOffset: Int) -> Range<Int>? {
        let start = packetNumberOffset + sampleOffset
        // RFC 9001 §5.4.2: a packet without a whole sample is discarded.
        guard packetNumberOffset > 0, count - start >= CipherSuite.sampleLength else { return nil }
        return start..<start + CipherSuite.sampleLength
    }

    /// Takes header protection with this mask off a packet that was long enough to be sampled.
    static func remove(
        _ mask: HeaderMask, from packet: inout MutableSpan<UInt8>, packetNumberOffset: Int
    ) -> UnprotectedHeader {
        let firstByte = packet[0] ^ mask.firstByte & protectedBits(of: packet[0])
        let length = Int(firstByte & FirstByte.packetNumberLength) + 1
        packet[0] = firstByte
        var truncated: UInt64 = 0
        for index in 0..<length {
            let byte = packet[packetNumberOffset + index] ^ mask.packetNumberByte(index)
            packet[packetNumberOffset + index] = byte
            truncated = truncated << 8 | UInt64(byte)
        }
        return UnprotectedHeader(
            firstByte: firstByte, truncatedPacketNumber: truncated, packetNumberLength: length)
    }

    /// Puts header protection on a sealed packet in `buffer`.
    static func apply(_ mask: HeaderMask, to packet: PacketLayout, in buffer: inout MutableSpan<UInt8>) {
        buffer[packet.start] ^= mask.firstByte & protectedBits(of: buffer[packet.start])
        for (index, position) in packet.packetNumber.enumerated() {
            buffer[position] ^= mask.packetNumberByte(index)
        }
    }

    /// Where the sample of a packet stands in its buffer.
    static func sample(of packet: PacketLayout) -> Range<Int> {
        let start = packet.packetNumber.lowerBound + sampleOffset
        return start..<start + CipherSuite.sampleLength
    }

    private static func protectedBits(of firstByte: UInt8) -> UInt8 {
        firstByte & FirstByte.longHeader != 0 ? FirstByte.longProtected : FirstByte.shortProtected
    }
}

/// Sealed 1-RTT packets of one buffer whose headers are still to be protected, all at once.
///
/// Making the masks of a whole batch in one call costs about a tenth of making them one by one.
struct SealedRun {
    fileprivate var packets: [PacketLayout] = []

    /// An empty run.
    init() {}

    /// Whether every header is protected.
    var isEmpty: Bool { packets.isEmpty }

    /// Adds a packet that was sealed with the keys that will protect its header.
    mutating func append(_ packet: PacketLayout) {
        packets.append(packet)
    }

    /// Forgets the packets.
    mutating func removeAll() { packets.removeAll(keepingCapacity: true) }
}

/// Room for the samples and masks of a batch, kept so that none is allocated for a batch.
struct HeaderMaskBatch {
    /// Samples in one call to the cipher: as many segments as one transmission has.
    static let capacity = 64

    private var samples: [UInt8] = []
    private var masks: [UInt8] = []

    /// Protects the headers of all packets of `run`, which stand in `buffer`.
    mutating func protectHeaders(
        of run: SealedRun, in buffer: inout MutableSpan<UInt8>, key: HeaderProtectionKey
    ) {
        var start = 0
        while start < run.packets.count {
            let end = min(start + Self.capacity, run.packets.count)
            protect(run.packets[start..<end], in: &buffer, key: key)
            start = end
        }
    }

    private mutating func protect(
        _ packets: ArraySlice<PacketLayout>, in buffer: inout MutableSpan<UInt8>, key: HeaderProtectionKey
    ) {
        Self.makeRoom(for: packets.count, in: &samples, and: &masks)
        Self.collect(packets, from: buffer.span, into: &samples)
        Self.encrypt(samples, count: packets.count, into: &masks, key: key)
        var offset = 0
        for packet in packets {
            HeaderProtection.apply(HeaderMask(masks.span, at: offset), to: packet, in: &buffer)
            offset += CipherSuite.sampleLength
        }
    }

    /// As much as batches so far needed: most connections rest most of the time, and send a packet now and then.
    fileprivate static func makeRoom(for packets: Int, in samples: inout [UInt8], and masks: inout [UInt8]) {
        guard samples.count < packets * CipherSuite.sampleLength else { return }
        // Doubled, so that room is made a few times only.
        let room = min(max(packets, samples.count / CipherSuite.sampleLength * 2), capacity)
        samples = [UInt8](repeating: 0, count: room * CipherSuite.sampleLength)
        masks = samples
    }

    private static func collect(
        _ packets: ArraySlice<PacketLayout>, from buffer: Span<UInt8>, into samples: inout [UInt8]
    ) {
        var target = samples.mutableSpan
        var offset = 0
        for packet in packets {
            target.copy(buffer.extracting(HeaderProtection.sample(of: packet)), at: offset)
            offset += CipherSuite.sampleLength
        }
    }

    fileprivate static func encrypt(
        _ samples: [UInt8], count: Int, into masks: inout [UInt8], key: HeaderProtectionKey
    ) {
        var target = masks.mutableSpan
        key.masks(samples: samples.span.extracting(0..<count * CipherSuite.sampleLength), into: &target)
    }
}

/// The header protection masks of packets that arrived together, made before the first of them is opened.
///
/// A mask belongs to its sample: it is given out for a packet that has this sample, whatever else is in between.
struct ExpectedMasks {
    private var samples: [UInt8] = []
    private var masks: [UInt8] = []
    private var count = 0
    private var next = 0

    /// Makes the masks of the packets of a run, all but the last of `segmentSize` bytes; those of a run before are gone.
    mutating func make(for run: Span<UInt8>, segmentSize: Int, sampleOffset: Int, key: HeaderProtectionKey) {
        next = 0
        let packets = (run.count + segmentSize - 1) / max(segmentSize, 1)
        HeaderMaskBatch.makeRoom(for: min(packets, HeaderMaskBatch.capacity), in: &samples, and: &masks)
        count = Self.collect(run, segmentSize: segmentSize, sampleOffset: sampleOffset, into: &samples)
        HeaderMaskBatch.encrypt(samples, count: count, into: &masks, key: key)
    }

    /// Copies the samples of the packets of a run, as many as there is room for, and tells how many.
    private static func collect(
        _ run: Span<UInt8>, segmentSize: Int, sampleOffset: Int, into samples: inout [UInt8]
    ) -> Int {
        var target = samples.mutableSpan
        var offset = 0
        var start = sampleOffset
        while offset < target.count, run.count - start >= CipherSuite.sampleLength {
            target.copy(run.extracting(start..<start + CipherSuite.sampleLength), at: offset)
            offset += CipherSuite.sampleLength
            start += segmentSize
        }
        return offset / CipherSuite.sampleLength
    }

    /// The mask for a sample, when it is that of the next packet of the run or of one behind it.
    mutating func take(for sample: Span<UInt8>) -> HeaderMask? {
        while next < count {
            let offset = next * CipherSuite.sampleLength
            next += 1
            if samples.span.extracting(offset..<offset + CipherSuite.sampleLength).isEqual(to: sample) {
                return HeaderMask(masks.span, at: offset)
            }
        }
        return nil
    }
}
