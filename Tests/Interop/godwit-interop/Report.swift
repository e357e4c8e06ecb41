import Cryptography
import Foundation
import QUIC
import TLS

/// What one side saw of a connection, as the line that peers of every make print.
struct Report {
    /// Changes of the own socket (client) or of the peer's address (server).
    var rebindings: UInt64 = 0
    /// Exchanges that were completed.
    var streams = 0
    /// Payload, without the numbers in front.
    var bytesIn: UInt64 = 0
    var bytesOut: UInt64 = 0
    /// What went wrong first.
    private(set) var error: String?

    /// Notes what went wrong, unless something has before.
    mutating func fail(_ text: String) {
        if error == nil { error = text }
    }

    /// Notes a bad end of the connection.
    mutating func note(_ end: ConnectionEnd) {
        if let fault = end.fault { fail(fault) }
    }

    /// Prints the line; it has to leave now, since the other end of a pipe waits for it.
    func write(as kind: String, of connection: Connection) {
        let line = "\(kind) \(fields(connection).map { "\($0)=\($1)" }.joined(separator: " "))\n"
        FileHandle.standardOutput.write(Data(line.utf8))
    }

    private func fields(_ connection: Connection) -> [(String, String)] {
        let summary = connection.handshakeSummary
        let statistics = connection.statistics
        let version = summary.map { _ in "0x\(String(connection.version.rawValue, radix: 16))" }
        return [
            ("version", version ?? "none"),
            ("alpn", summary?.applicationProtocol ?? "none"),
            ("cipher", summary?.suite.argument ?? "none"),
            ("resumed", summary?.isResumed == true ? "1" : "0"),
            ("retry", connection.followedRetry ? "1" : "0"),
            // There is one version: a client that is offered others ends.
            ("negotiated", "0"),
            ("key_updates", "\(statistics.keyUpdates)"),
            ("rebindings", "\(rebindings)"),
            ("ids_retired", "\(statistics.connectionIDsRetired)"),
            ("streams", "\(streams)"),
            ("bytes_in", "\(bytesIn)"),
            ("bytes_out", "\(bytesOut)"),
            ("error", error?.replacing(" ", with: "_") ?? "none"),
        ]
    }
}

extension ConnectionEnd {
    /// What went wrong; nil for an end in peace.
    fileprivate var fault: String? {
        switch self {
        case .closedLocally: nil
        case .closedByPeer(let code, let reason): Self.words(code, reason)
        case .failed(let error): Self.words(error.code.rawValue, error.reason)
        case .failedByPeer(let error): Self.words(error.code.rawValue, error.reason)
        case .idleTimeout: "idle timeout"
        case .handshakeTimeout: "handshake timeout"
        case .statelessReset: "stateless reset"
        case .versionNegotiation(let offered):
            "the server does not speak version 1, but "
                + offered.map { "0x\(String($0, radix: 16))" }.joined(separator: ", ")
        case .noViablePath: "no viable path"
        }
    }

    private static func words(_ code: UInt64, _ reason: String) -> String? {
        code == 0 ? nil : "0x\(String(code, radix: 16)):\(reason.isEmpty ? "no reason" : reason)"
    }
}

extension CipherSuite {
    /// The name in arguments and reports.
    var argument: String {
        switch self {
        case .aes128GCM: "aes-128-gcm"
        case .aes256GCM: "aes-256-gcm"
        case .chaCha20Poly1305: "chacha20-poly1305"
        }
    }
}
