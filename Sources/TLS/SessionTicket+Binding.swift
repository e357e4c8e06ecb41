internal import Cryptography

// A serialised ticket is its version (1 byte), what its trust rests on (a SHA-256), and libssl's session in DER.
extension SessionTicket {
    private static let version: UInt8 = 1
    private static let headerLength = 1 + SHA256.length
    /// Bytes of a ticket that is taken up, at most; it bounds what a damaged store makes this end parse.
    private static let maximumLength = 65_536

    init(session: [UInt8], boundTo binding: [UInt8]) {
        self.init(bytes: [Self.version] + binding + session)
    }

    /// libssl's session, or nil when the ticket is none or was made under another trust.
    func session(boundTo binding: [UInt8]) -> [UInt8]? {
        guard bytes.count > Self.headerLength, bytes.count <= Self.maximumLength, bytes[0] == Self.version,
            bytes[1..<Self.headerLength].elementsEqual(binding)
        else { return nil }
        return Array(bytes[Self.headerLength...])
    }
}
