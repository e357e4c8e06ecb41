/// Numbers of draft-ietf-httpbis-connect-tcp, which are provisional until it is an RFC. The one place they stand in.
///
/// Draft -11 (March 2026) and -12 have a pair each. Both mean the same, so both are understood on receipt, and `:protocol`
/// says which pair a client expects to get. The drafts up to -18 (November 2026, in the RFC Editor's queue) are to take
/// numbers below 64 from the registry of RFC 9297 §5.4; they are added here once they are known. Until then the capsules of
/// a peer that uses them are skipped as unknown ones are, and its tunnel ends as a reset, since no FINAL_DATA was seen.
public enum ConnectTCPDraft: Hashable, Sendable, CaseIterable {
    /// draft-ietf-httpbis-connect-tcp-08 to -11: DATA-08 and FINAL_DATA-08.
    case draft08
    /// draft-ietf-httpbis-connect-tcp-12: DATA-12 and FINAL_DATA-12.
    case draft12

    /// The DATA capsule's type.
    public var dataType: UInt64 {
        switch self {
        case .draft08: 0x2028_d7f0
        case .draft12: 0x2028_d7f2
        }
    }

    /// The FINAL_DATA capsule's type.
    public var finalDataType: UInt64 {
        switch self {
        case .draft08: 0x2028_d7f1
        case .draft12: 0x2028_d7f3
        }
    }

    /// The upgrade token that will be registered, and that this project's client sends.
    public static let upgradeToken = "connect-tcp"

    /// The draft that a `:protocol` stands for; nil when it is not connect-tcp.
    public init?(upgradeToken token: String) {
        switch token {
        case Self.upgradeToken, "connect-tcp-07": self = .draft08
        case "connect-tcp-12": self = .draft12
        default: return nil
        }
    }

    /// The draft and meaning of a capsule type; nil for all other capsules.
    static func meaning(of type: UInt64) -> (draft: ConnectTCPDraft, kind: CapsuleKind)? {
        for draft in allCases {
            if type == draft.dataType { return (draft, .data) }
            if type == draft.finalDataType { return (draft, .finalData) }
        }
        return nil
    }
}

/// The two capsules of connect-tcp.
public enum CapsuleKind: Hashable, Sendable {
    /// Payload.
    case data
    /// The last payload: the sender's TCP FIN follows it.
    case finalData
}

extension ConnectTCPDraft {
    /// Appends the header of a capsule with a payload of `length` bytes (RFC 9297 §3.2).
    public func appendCapsuleHeader(_ kind: CapsuleKind, length: UInt64, to bytes: inout [UInt8]) {
        bytes.appendVarint(kind == .data ? dataType : finalDataType)
        bytes.appendVarint(length)
    }
}

/// The capsule of tunnel resumption, an extension of this project: how far the receiver of a stream's payload has handed it on.
public enum TunnelDelivered {
    /// The type of TUNNEL_DELIVERED; a number of our own, drawn at random from those that anyone may use (RFC 9297 §5.4).
    public static let capsuleType: UInt64 = 0x31b7_0a0f

    /// Appends a whole capsule that reports `position`, which is below 2^62.
    public static func append(_ position: UInt64, to bytes: inout [UInt8]) {
        var payload: [UInt8] = []
        payload.appendVarint(position)
        bytes.appendVarint(capsuleType)
        bytes.appendVarint(UInt64(payload.count))
        bytes += payload
    }
}
