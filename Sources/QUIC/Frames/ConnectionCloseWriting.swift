extension ConnectionCloseFrame.Origin {
    /// Bytes of the frame but for the reason phrase and its length.
    fileprivate var fixedSize: Int {
        switch self {
        case .transport(let code, let frameType):
            1 + Varint.width(of: code.rawValue) + Varint.width(of: frameType)
        case .application(let code): 1 + Varint.width(of: code)
        }
    }

    /// Bytes of the frame with the whole of `reason`.
    func encodedSize(reason: String) -> Int {
        fixedSize + Varint.width(of: UInt64(reason.utf8.count)) + reason.utf8.count
    }

    /// Bytes of the frame without a reason phrase: what must remain for it to be written at all.
    var smallestEncodedSize: Int { fixedSize + 1 }
}

extension ByteWriter {
    /// The longest reason phrase that is sent, in bytes; the rest of a longer one is cut off.
    static let maximumReasonLength = 256

    /// Writes a CONNECTION_CLOSE frame (RFC 9000 §19.19). The reason phrase is cut, at a character, to what remains.
    @_lifetime(self: copy self)
    mutating func writeConnectionClose(_ origin: ConnectionCloseFrame.Origin, reason: String) {
        switch origin {
        case .transport(let code, let frameType):
            write(UInt8(truncatingIfNeeded: FrameType.connectionCloseTransport.rawValue))
            writeVarint(code.rawValue)
            writeVarint(frameType)
        case .application(let code):
            write(UInt8(truncatingIfNeeded: FrameType.connectionCloseApplication.rawValue))
            writeVarint(code)
        }
        // The room for a two-byte length is taken off even where one byte will do.
        let room = min(Self.maximumReasonLength, max(0, remaining - 2))
        var bytes: [UInt8] = []
        for character in reason {
            guard bytes.count + character.utf8.count <= room else { break }
            bytes.append(contentsOf: character.utf8)
        }
        writeVarint(UInt64(bytes.count))
        write(bytes.span)
    }
}
