import Configuration
import EventLoop
import Primitives

/// One check of one replica: a TCP connection, or the status line of an HTTP answer. It has no time limit of its own.
final class OriginCheck: TCPDialHandler, ByteStreamHandler {
    enum Outcome: Hashable {
        case passed
        case failed
    }

    /// Bytes of a status line that are looked at: version, status, and a blank or the line's end (RFC 9112 §4).
    static let statusBytes = 13

    let replica: HostPort
    private let check: GatewayConfiguration.Check
    private let host: HostPort
    private var dial: TCPDial?
    private var stream: ByteStream?
    private var request: [UInt8] = []
    private var answer: [UInt8] = []
    private var report: ((Outcome) -> Void)?

    /// Begins; `report` is called once, but not before this has returned, and not after `cancel`.
    init(
        of replica: HostPort, for origin: GatewayConfiguration.Origin, resolver: Resolver,
        report: @escaping (Outcome) -> Void
    ) {
        self.replica = replica
        check = origin.check
        host = origin.name
        self.report = report
        dial = TCPDial(
            host: replica.host.description, port: replica.port, resolver: resolver, timeout: origin.checkTimeout,
            handler: self)
    }

    func cancel() {
        report = nil
        dial?.cancel()
        dial = nil
        stream?.close()
        stream = nil
    }

    private func end(_ outcome: Outcome) {
        let report = report
        cancel()
        report?(outcome)
    }

    /// Whether the answer says that the replica works; nil when more of it has to come.
    static func outcome(of answer: [UInt8]) -> Outcome? {
        guard answer.count >= statusBytes else { return nil }
        let status = answer[9..<12]
        let isDigits = status.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        guard answer.starts(with: Array("HTTP/1.".utf8)), answer[8] == UInt8(ascii: " "), isDigits,
            [UInt8(ascii: "2"), UInt8(ascii: "3")].contains(answer[9])
        else { return .failed }
        return .passed
    }

    // MARK: - TCPDialHandler

    // The owner of the gateway has named the replica; no user is involved.
    func dial(_ dial: TCPDial, admits addresses: [NetworkAddress]) -> [NetworkAddress] { addresses }

    func dial(_ dial: TCPDial, connected stream: ByteStream) {
        self.stream = stream
        guard case .http(let path) = check else { return end(.passed) }
        let name = host.port == 80 ? "\(HostPort(host.host, port: 80))".dropLast(3)[...] : "\(host)"[...]
        request = Array("GET \(path) HTTP/1.1\r\nHost: \(name)\r\nUser-Agent: godwit\r\nConnection: close\r\n\r\n".utf8)
        stream.setHandler(self)
        stream.isReading = true
        streamWritable(stream)
    }

    func dial(_ dial: TCPDial, failed error: DialError) { end(.failed) }

    // MARK: - ByteStreamHandler

    func streamReadable(_ stream: ByteStream) {
        var buffer = [UInt8](repeating: 0, count: Self.statusBytes - answer.count)
        var region = buffer.mutableSpan
        switch stream.read(into: &region) {
        case .bytes(let count):
            answer += buffer.prefix(count)
            if let outcome = Self.outcome(of: answer) { end(outcome) }
        case .wouldBlock: break
        case .endOfStream, .failed: end(.failed)
        }
    }

    func streamWritable(_ stream: ByteStream) {
        guard !request.isEmpty else { return }
        switch stream.write(request.span) {
        case .bytes(let count): request.removeFirst(count)
        case .wouldBlock: break
        case .failed: end(.failed)
        }
    }

    func streamBroken(_ stream: ByteStream) { end(.failed) }
}
