/// The HMAC-based key derivation function (RFC 5869) and TLS 1.3's labels for it (RFC 8446 §7.1).
public enum HKDF {
    /// HKDF-Extract: a pseudorandom key from a salt and input keying material.
    public static func extract(_ hash: HashAlgorithm, salt: Span<UInt8>, secret: Span<UInt8>) -> SecretBytes {
        SecretBytes(count: hash.length) { output in
            // RFC 5869 §2.2: no salt stands for a digest's length of zeros, which HMAC's key padding makes of it.
            hash.authenticate(secret, key: salt, into: &output)
        }
    }

    /// HKDF-Expand: `length` bytes of output keying material; at most 255 digests' lengths.
    public static func expand(
        _ hash: HashAlgorithm, secret: SecretBytes, info: Span<UInt8>, length: Int
    ) -> SecretBytes {
        precondition(length <= 255 * hash.length, "RFC 5869 §2.3 bounds the length of the output")
        return SecretBytes(count: length) { output in
            // RFC 5869 §2.3: T(n) = HMAC(secret, T(n-1) | info | n). The blocks are key material: they live in
            // SecretBytes, which wipe themselves.
            var previous: SecretBytes?
            var produced = 0
            var counter: UInt8 = 1
            while produced < length {
                let block = SecretBytes(count: hash.length) { block in
                    var code = HMAC(hash, key: secret.span)
                    if let previous { code.update(previous.span) }
                    code.update(info)
                    code.update(CollectionOfOne(counter).span)
                    code.finish(into: &block)
                }
                let taken = min(hash.length, length - produced)
                for index in 0..<taken { output[produced + index] = block.span[index] }
                produced += taken
                counter &+= 1
                previous = block
            }
        }
    }

    /// HKDF-Expand-Label (RFC 8446 §7.1): the label goes without its prefix "tls13 ".
    ///
    /// The label and the context are the caller's own constants and digests: at most 249 and 255 bytes.
    public static func expandLabel(
        _ hash: HashAlgorithm, secret: SecretBytes, label: String, context: [UInt8] = [], length: Int
    ) -> SecretBytes {
        let full = "tls13 " + label
        precondition(full.utf8.count <= 255 && context.count <= 255 && length <= Int(UInt16.max))
        var info: [UInt8] = []
        info.reserveCapacity(4 + full.utf8.count + context.count)
        info.append(UInt8(truncatingIfNeeded: length >> 8))
        info.append(UInt8(truncatingIfNeeded: length))
        info.append(UInt8(truncatingIfNeeded: full.utf8.count))
        info.append(contentsOf: full.utf8)
        info.append(UInt8(truncatingIfNeeded: context.count))
        info.append(contentsOf: context)
        return expand(hash, secret: secret, info: info.span, length: length)
    }
}
