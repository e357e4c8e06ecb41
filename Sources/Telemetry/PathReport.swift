import Primitives
public import QUIC

/// A network path as `status` shows it, the same for both roles.
public enum PathReport {
    /// The path as a JSON object; times in milliseconds, sizes in bytes. The interface is null where it is not known.
    public static func json(_ status: PathStatus, interface: String? = nil) -> JSONValue {
        .object([
            .init("interface", interface.map(JSONValue.string) ?? .null),
            .init("local", .string("\(status.path.local)")),
            .init("remote", .string("\(status.path.remote)")),
            .init("state", .string(state(status))),
            .init("rtt_ms", .number(Double(status.smoothedRTT.microseconds) / 1000)),
            .init("rtt_variation_ms", .number(Double(status.rttVariation.microseconds) / 1000)),
            .init("congestion_control", .string(status.congestionControl.rawValue)),
            .init("congestion_window", .count(status.congestionWindow.bytes)),
            .init("bytes_in_flight", .count(status.bytesInFlight.bytes)),
            .init("datagram_size", .count(status.maximumDatagramSize)),
            .init("bytes_sent", .count(status.bytesSent)),
            .init("bytes_received", .count(status.bytesReceived)),
            .init("packets_lost", .count(status.packetsLost)),
        ])
    }

    /// The path on one line, for people.
    public static func text(_ status: PathStatus, interface: String? = nil) -> String {
        let rtt = Double(status.smoothedRTT.microseconds / 100) / 10
        return
            "\(interface.map { "\($0) " } ?? "")\(status.path.local) -> \(status.path.remote) \(state(status)), RTT \(rtt) ms, "
            + "\(status.congestionControl.rawValue), "
            + "\(status.bytesSent) bytes out, \(status.bytesReceived) in, \(status.packetsLost) packets lost"
    }

    private static func state(_ status: PathStatus) -> String {
        switch (status.use, status.validation) {
        case (.active, .validated): "active"
        case (.active, .validating), (.active, .unvalidated): "active, being validated"
        case (.active, .failed): "active, without an answer"
        case (.standby, .validated): "standby"
        case (.standby, .validating), (.standby, .unvalidated): "not validated"
        case (.standby, .failed): "failed"
        }
    }
}
