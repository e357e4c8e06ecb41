/// What is fuzzed. Each takes any bytes; a trap or a `violated` invariant is a finding.
enum FuzzTarget: String, CaseIterable {
    /// Payloads of QUIC packets.
    case frames
    /// The transport parameters extension.
    case transportParameters = "transport-parameters"
    /// Datagrams as they come from the network, to a server and a client.
    case datagrams
    /// Frames behind the packet protection, to both ends of a connection.
    case packets
    /// HTTP/3 frames and settings.
    case http3Frames = "http3-frames"
    /// QPACK field sections, and the heads of messages made of them.
    case fieldSections = "field-sections"
    /// The capsules of a tunnel.
    case capsules
    /// All of HTTP/3 and the tunnels, to a gateway or a local endpoint.
    case tunnels
    /// The HTTP/1.1 exchanges of a tunnel, and how another origin goes on with them.
    case streamMapper = "stream-mapper"
    /// A program's SOCKS5 negotiation.
    case socks5
    /// A program's HTTP request to the local proxy.
    case httpProxy = "http-proxy"
    /// The three configuration files.
    case configuration
    /// Invites, and lists of them.
    case invites
    /// What comes through a control socket.
    case control

    static var names: String { allCases.map(\.rawValue).joined(separator: " ") }

    func run(_ input: [UInt8]) {
        switch self {
        case .frames: fuzzFrames(input)
        case .transportParameters: fuzzTransportParameters(input)
        case .datagrams: fuzzDatagrams(input)
        case .packets: fuzzPackets(input)
        case .http3Frames: fuzzHTTP3Frames(input)
        case .fieldSections: fuzzFieldSections(input)
        case .capsules: fuzzCapsules(input)
        case .tunnels: fuzzTunnels(input)
        case .streamMapper: fuzzStreamMapper(input)
        case .socks5: fuzzSOCKS5(input)
        case .httpProxy: fuzzHTTPProxy(input)
        case .configuration: fuzzConfiguration(input)
        case .invites: fuzzInvites(input)
        case .control: fuzzControl(input)
        }
    }
}

/// Ends the process as a finding: what should hold does not.
func violated(_ what: String) -> Never { fatalError("violated: \(what)") }

/// A finding unless `condition` holds.
func require(_ condition: @autoclosure () -> Bool, _ what: @autoclosure () -> String) {
    guard condition() else { violated(what()) }
}
