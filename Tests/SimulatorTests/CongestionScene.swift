import Primitives
import QUIC
import Simulator
import Testing

/// Flows that share one bottleneck, all with as much to send as it takes.
struct CongestionScene: Sendable {
    /// The bottleneck, which is the receivers' link.
    var link: LinkConditions
    /// The congestion controller of each flow.
    var flows: [CongestionAlgorithm]
    /// When the flows are measured.
    var from: Interval
    var until: Interval

    /// What came of a flow.
    struct Share {
        /// Bits of payload a second.
        var rate: Double
        /// What the smoothed round-trip time was above the path's own, on average.
        var addedDelay: Interval
    }

    /// How often the round-trip time is looked at.
    private static let sampling = Interval.milliseconds(10)
    /// More than any flow sends.
    private static let endless = 1 << 40

    /// Lets the flows run and tells what each got.
    func run(seed: UInt64) throws -> [Share] {
        let network = VirtualNetwork(seed: seed)
        let credentials = try QUICCredentials.standard()
        var receivers: [BulkReceiver] = []
        let server = QUICNode(serving: QUICPair.serverConfiguration(options, credentials), seed: seed &* 7) {
            // Flows connect in turn, so that the order of the connections is theirs.
            receivers.append(BulkReceiver(Self.endless))
            return receivers.suffix(1)
        }
        network.attach(network.addHost("server", running: server), at: QUICPair.serverAddress.ip, link)
        let clients = try flows.indices.map { try addFlow($0, to: network, credentials) }
        var delays = flows.map { _ in Interval.zero }
        var samples: Int64 = 0
        var time = from
        while time < until {
            _ = network.run(until: VirtualNetwork.start + time)
            for (index, client) in clients.enumerated() {
                let roundTrip = client.connection?.networkPaths.first?.smoothedRTT ?? .zero
                delays[index] = delays[index] + roundTrip - link.delay * 2
            }
            samples += 1
            time += Self.sampling
        }
        _ = network.run(until: VirtualNetwork.start + until)
        return try flows.indices.map { index in
            try #require(receivers.count == flows.count)
            let bytes = receivers[index].arrivals.bytes(
                after: VirtualNetwork.start + from, through: VirtualNetwork.start + until)
            return Share(rate: Double(bytes) * 8 / (until - from).seconds, addedDelay: delays[index] / max(samples, 1))
        }
    }

    /// What a receiver grants: several times what any of the links holds, so that only the network limits the flows.
    private static let window = ByteCount.mebibytes(64)

    private var options: QUICOptions {
        var options = QUICOptions()
        options.both {
            $0.streams.initialStreamWindow = Self.window
            $0.streams.maximumStreamWindow = Self.window
            $0.streams.initialConnectionWindow = Self.window
            $0.streams.maximumConnectionWindow = Self.window
        }
        return options
    }

    private func addFlow(
        _ index: Int, to network: VirtualNetwork, _ credentials: QUICCredentials
    ) throws -> QUICNode {
        var options = options
        options.client.congestionControl = flows[index]
        let address = IPAddress.v4(10, 0, 0, UInt8(truncatingIfNeeded: 10 + index))
        var parameters = QUICPair.parameters(options, credentials)
        parameters.local = NetworkAddress(address, port: 50_000)
        let client = try QUICNode(
            connecting: parameters, QUICPair.clientConfiguration(options), seed: network.seed &* 11 &+ UInt64(index),
            running: [BulkSender(Self.endless)])
        // One is a little farther away than the other: they never meet in the same nanosecond.
        network.attach(
            network.addHost("client \(index)", running: client), at: address,
            LinkConditions(delay: .microseconds(Int64(1 + 100 * index))))
        return client
    }
}
