/// The kinds of packets that carry frames (RFC 9000 §12.4).
enum PacketType: UInt8, Hashable, CaseIterable {
    /// Long header, Initial keys.
    case initial
    /// Long header, early-data keys.
    case zeroRTT
    /// Long header, handshake keys.
    case handshake
    /// Short header, 1-RTT keys.
    case oneRTT
}

/// The kinds of packets with a long header (RFC 9000 §17.2).
enum LongPacketType: Hashable, CaseIterable {
    case initial
    case zeroRTT
    case handshake
    case retry

    /// Reads the two type bits of a first byte.
    init(firstByte: UInt8, version: Version) {
        // RFC 9000 §17.2, table 5; RFC 9369 §3.2 moves every type by one.
        let bits = firstByte >> 4 & 0b11
        let index = version == .v1 ? bits : (bits &+ 3) & 0b11
        switch index {
        case 0: self = .initial
        case 1: self = .zeroRTT
        case 2: self = .handshake
        default: self = .retry
        }
    }

    /// The two type bits at their place in the first byte.
    func bits(in version: Version) -> UInt8 {
        let index: UInt8 =
            switch self {
            case .initial: 0
            case .zeroRTT: 1
            case .handshake: 2
            case .retry: 3
            }
        return (version == .v1 ? index : (index + 1) & 0b11) << 4
    }
}

/// The bits of a first byte (RFC 9000 §17).
enum FirstByte {
    /// Set in long headers (RFC 8999 §5.1).
    static let longHeader: UInt8 = 0x80
    /// The fixed bit, or QUIC bit.
    static let fixedBit: UInt8 = 0x40
    /// The spin bit of a short header (RFC 9000 §17.4).
    static let spinBit: UInt8 = 0x20
    /// The key phase of a short header (RFC 9001 §6).
    static let keyPhase: UInt8 = 0x04
    /// The reserved bits of a long header, visible once header protection is removed.
    static let longReserved: UInt8 = 0x0c
    /// The reserved bits of a short header, visible once header protection is removed.
    static let shortReserved: UInt8 = 0x18
    /// The length of the packet number, less one.
    static let packetNumberLength: UInt8 = 0x03
    /// What header protection covers of a long header (RFC 9001 §5.4.1).
    static let longProtected: UInt8 = 0x0f
    /// What header protection covers of a short header (RFC 9001 §5.4.1).
    static let shortProtected: UInt8 = 0x1f
}

/// What the fixed bit of an arriving packet must be.
enum FixedBitRule: Hashable {
    /// RFC 9000 §17.2: packets without it are discarded.
    case required
    /// RFC 9287 §3: this end advertised grease_quic_bit, so the bit says nothing.
    case ignored
}

/// The value of the fixed bit of a packet that is sent.
enum FixedBit: Hashable {
    /// As RFC 9000 §17.2 has it.
    case set
    /// RFC 9287 §3.1: allowed once the peer advertised grease_quic_bit.
    case clear

    var bits: UInt8 { self == .set ? FirstByte.fixedBit : 0 }
}

/// The value of the latency spin bit (RFC 9000 §17.4).
enum SpinBit: Hashable {
    case zero
    case one

    var bits: UInt8 { self == .one ? FirstByte.spinBit : 0 }
}

/// The value of the key phase bit (RFC 9001 §6).
enum KeyPhase: Hashable {
    case zero
    case one

    /// The phase that the next key update enters.
    var toggled: KeyPhase { self == .zero ? .one : .zero }
    var bits: UInt8 { self == .one ? FirstByte.keyPhase : 0 }

    init(firstByte: UInt8) { self = firstByte & FirstByte.keyPhase == 0 ? .zero : .one }
}
