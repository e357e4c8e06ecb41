/// One QUIC connection as a value that is called and never calls (RFC 9000).
public final class Connection {
    init() {}
}
