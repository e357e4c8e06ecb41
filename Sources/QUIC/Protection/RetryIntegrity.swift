/// The tag that ends a Retry packet (RFC 9001 §5.8).
enum RetryIntegrity {
    /// Bytes of the tag.
    static let tagLength = 16
}
