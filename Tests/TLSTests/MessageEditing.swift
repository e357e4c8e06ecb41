/// Takes handshake messages apart and puts them together again, to send what no honest engine would.
enum MessageEditing {
    typealias Extension = (type: UInt16, content: [UInt8])

    static let transportParameters: UInt16 = 57
    static let applicationProtocols: UInt16 = 16

    /// A message of a type with this body.
    static func message(_ type: UInt8, _ body: [UInt8]) -> [UInt8] {
        [type, UInt8(body.count >> 16), UInt8(body.count >> 8 & 0xff), UInt8(body.count & 0xff)] + body
    }

    /// Where the list of extensions begins, at its length field, in a ClientHello or in EncryptedExtensions.
    private static func extensionsOffset(_ message: [UInt8]) -> Int {
        guard message[0] == 1 else { return 4 }
        var offset = 4 + 2 + 32
        offset += 1 + Int(message[offset])
        offset += 2 + (Int(message[offset]) << 8 | Int(message[offset + 1]))
        offset += 1 + Int(message[offset])
        return offset
    }

    /// The message with its extensions changed.
    static func editingExtensions(of message: [UInt8], _ edit: ([Extension]) -> [Extension]) -> [UInt8] {
        let start = extensionsOffset(message)
        var extensions: [Extension] = []
        var offset = start + 2
        while offset + 4 <= message.count {
            let length = Int(message[offset + 2]) << 8 | Int(message[offset + 3])
            let type = UInt16(message[offset]) << 8 | UInt16(message[offset + 1])
            extensions.append((type, Array(message[offset + 4..<offset + 4 + length])))
            offset += 4 + length
        }
        let list = edit(extensions).flatMap { type, content in
            [UInt8(type >> 8), UInt8(type & 0xff), UInt8(content.count >> 8), UInt8(content.count & 0xff)] + content
        }
        let body = message[4..<start] + [UInt8(list.count >> 8), UInt8(list.count & 0xff)] + list
        return self.message(message[0], Array(body))
    }

    /// The message without one extension.
    static func removing(_ type: UInt16, from message: [UInt8]) -> [UInt8] {
        editingExtensions(of: message) { $0.filter { $0.type != type } }
    }

    /// A ClientHello with a legacy_session_id of 32 bytes.
    static func addingSessionID(to clientHello: [UInt8]) -> [UInt8] {
        let random = clientHello[4..<38]
        return message(1, Array(random) + [32] + [UInt8](repeating: 7, count: 32) + Array(clientHello[39...]))
    }
}
