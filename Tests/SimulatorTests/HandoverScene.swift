import Primitives
import QUIC
import Simulator
import Testing
import Tunnel

/// A client with a Wi-Fi and a cellular link whose policy decides which one it uses, and a program that waits for data.
struct HandoverScene {
    /// What the application does.
    enum Load: CaseIterable {
        /// Takes in a download that never ends within the scenario.
        case download
        /// Sends a message of 64 bytes fifty times a second and waits for each to come back.
        case echo
        /// Sends without end.
        case upload
    }

    static let wifi = QUICPair.clientAddress
    static let cellular = NetworkAddress(.v4(100, 64, 0, 2), port: 5_000)
    /// More than passes in the time of any scenario.
    static let endless = 400_000_000
    /// Bytes under way at most: a fraction of what the links carry. Time is looked at, and packets are what a scenario costs.
    static let window = ByteCount.kibibytes(16)

    let pair: QUICPair
    let paths: RoamingPaths
    let cellularLink: VirtualNetwork.LinkID
    let receiver = BulkReceiver(HandoverScene.endless)
    let echo: EchoSource
    let load: Load

    var stage: Stage { pair.stage }
    var wifiLink: VirtualNetwork.LinkID { pair.link }
    var host: VirtualNetwork.HostID { pair.clientPlace.host }

    init(
        _ stage: Stage, _ load: Load, lasting duration: Interval, wifi: LinkConditions = .wifi,
        cellular: LinkConditions = .cellular, window: ByteCount = HandoverScene.window,
        configuration: PathPolicy.Configuration = .init(metered: []),
        _ change: (inout QUICOptions) -> Void = { _ in }
    ) throws {
        self.load = load
        let echo = EchoSource(Int((duration.milliseconds - 200) / 20))
        self.echo = echo
        let receiver = self.receiver
        let client: [any QUICApplication]
        let server: () -> [any QUICApplication]
        switch load {
        case .download: (client, server) = ([receiver], { [BulkSender(Self.endless)] })
        case .upload: (client, server) = ([BulkSender(Self.endless)], { [receiver] })
        case .echo: (client, server) = ([echo], { [EchoResponder()] })
        }
        pair = try stage.quic(over: wifi, client: client, server: server) {
            $0.both {
                $0.streams.initialStreamWindow = window
                $0.streams.maximumStreamWindow = window
            }
            // As long as a tunnel may be kept.
            $0.both { $0.idleTimeout = .seconds(7_200) }
            change(&$0)
        }
        paths = RoamingPaths(configuration, interfaces: Self.interface)
        pair.client.paths = paths
        paths.open(tunnels: 1, at: VirtualNetwork.start)
        cellularLink = stage.link("cellular", of: pair.clientPlace, at: Self.cellular.ip, cellular)
        // The applications never end: the scenario is over when its time is.
        let end = VirtualNetwork.start + duration
        stage.at(duration) { _ in }
        pair.client.goal = .nothing
        pair.server.goal = .nothing
        stage.when({ stage.network.now >= end }, { _ in })
        stage.completes(within: duration + .seconds(1))
    }

    private static func interface(of address: IPAddress) -> RoamingPaths.Interface {
        if address == cellular.ip { return .init("wwan0", metric: 700) }
        return .init("wlan0", metric: 600)
    }

    /// Has something happen to the network.
    func at(_ elapsed: Interval, _ action: @escaping (VirtualNetwork) -> Void) { stage.at(elapsed, action) }

    /// When payload arrived at the application.
    private var arrivals: Arrivals { load == .echo ? echo.arrivals : receiver.arrivals }

    /// The longest time without payload.
    func stall(from start: Interval, to end: Interval = .seconds(100_000)) -> Interval {
        arrivals.longestGap(since: VirtualNetwork.start + start, until: VirtualNetwork.start + end)
    }

    /// Expects that payload never fails to come for longer than `limit`, and comes until the end.
    func expectStall(from start: Interval, to end: Interval, atMost limit: Interval) {
        stage.expect("a stall of at most \(limit.milliseconds) ms") {
            let stall = stall(from: start, to: end)
            let comesAgain = arrivals.first(after: VirtualNetwork.start + end) != nil
            stage.network.note("stalled for \(stall.microseconds) us, comes again: \(comesAgain); \(moves)")
            return stall <= limit && comesAgain
        }
        stage.expect("every byte is the one that was sent", { receiver.corrupted }, equals: 0)
    }

    /// The handovers, as interface and reason.
    var moves: [String] { paths.handovers.map { "\($0.to.interface ?? "-") (\($0.reason))" } }

    func expectMoves(_ wanted: [String]) { stage.expect("the handovers", { moves }, equals: wanted) }
}
