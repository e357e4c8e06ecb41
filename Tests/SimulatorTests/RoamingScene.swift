import Primitives
import QUIC
import Simulator
import Testing

/// A client with a Wi-Fi and a cellular link.
struct RoamingScene {
    static let wifi = QUICPair.clientAddress
    static let cellular = NetworkAddress(.v4(100, 64, 0, 2), port: 5_000)

    let pair: QUICPair
    let cellularLink: VirtualNetwork.LinkID

    var stage: Stage { pair.stage }
    var wifiLink: VirtualNetwork.LinkID { pair.link }

    init(
        _ stage: Stage, wifi: LinkConditions = .wifi, cellular: LinkConditions = .cellular,
        client: [any QUICApplication], server: @escaping () -> [any QUICApplication],
        _ change: (inout QUICOptions) -> Void = { _ in }
    ) throws {
        pair = try stage.quic(over: wifi, client: client, server: server, change)
        cellularLink = stage.link("cellular", of: pair.clientPlace, at: Self.cellular.ip, cellular)
    }

    /// Commands the client's connection at a time since the start; a refusal is a failure of the test.
    func at(_ elapsed: Interval, _ command: @escaping (Connection, Instant) throws -> Void) {
        stage.at(elapsed) { [client = pair.client] network in
            guard let connection = client.connection else { return }
            do {
                try command(connection, network.now)
            } catch {
                Issue.record("refused after \(elapsed.milliseconds) ms: \(error)")
            }
        }
    }

    func add(_ local: NetworkAddress, at elapsed: Interval) {
        at(elapsed) { try $0.addLocalAddress(local, at: $1) }
    }

    func activate(_ local: NetworkAddress, at elapsed: Interval) {
        at(elapsed) { try $0.activate(local, at: $1) }
    }

    func remove(_ local: NetworkAddress, at elapsed: Interval) {
        at(elapsed) { try $0.removeLocalAddress(local, at: $1) }
    }
}

extension Stage {
    /// Expects that nothing that happens from `start` to `end` keeps payload from the receiver for longer than `limit`.
    func expectStall(
        of receiver: BulkReceiver, from start: Interval, to end: Interval, atMost limit: Interval
    ) {
        expect("the longest stall is \(limit.milliseconds) ms") {
            let gap = receiver.arrivals.longestGap(
                since: VirtualNetwork.start + start, until: VirtualNetwork.start + end)
            if gap > limit { self.network.note("stalled for \(gap.microseconds) us") }
            return gap <= limit
        }
    }
}

/// Which way the payload goes.
enum Flow: CaseIterable {
    case download
    case upload

    /// The applications of client and server.
    func applications(_ bytes: Int, _ receiver: BulkReceiver) -> (
        client: [any QUICApplication], server: () -> [any QUICApplication]
    ) {
        switch self {
        case .download: ([receiver], { [BulkSender(bytes)] })
        case .upload: ([BulkSender(bytes)], { [receiver] })
        }
    }
}
