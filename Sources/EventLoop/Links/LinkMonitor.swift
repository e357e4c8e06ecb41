public import Primitives

/// What is called when the links of this machine have changed.
public protocol LinkMonitorHandler: AnyObject {
    /// All addresses as they are now.
    func linksChanged(_ links: [LinkAddress])
}

/// Watches the links of this machine, their addresses and the routes through them.
///
/// What changes within one turn of the loop is told once, and only if the outcome differs from what was told before. It
/// needs no privilege. `close` ends it and lets go of the handler.
public final class LinkMonitor: TurnHandler {
    /// Every address as it is now, those of links that are down included; in the order of links and addresses.
    public private(set) var links: [LinkAddress]
    private let source: SystemLinkSource
    private let loop: EventLoop
    private weak var handler: (any LinkMonitorHandler)?

    /// Reads what there is, without telling it, and watches it from now on.
    public init(on loop: EventLoop, handler: any LinkMonitorHandler) throws(SystemError) {
        self.loop = loop
        self.handler = handler
        source = try SystemLinkSource(on: loop)
        links = source.snapshot() ?? []
        loop.addTurnHandler(self)
    }

    /// The address to be reached: routes to it count as default routes do, so that a link without a default route has a
    /// metric, too. `nil`: only default routes count.
    public var remote: IPAddress? {
        get { source.remote }
        set { source.remote = newValue }
    }

    /// Ends the watching.
    public func close() {
        loop.removeTurnHandler(self)
        source.close()
        handler = nil
    }

    /// For the loop.
    public func turnEnded(at now: Instant) {
        guard let snapshot = source.snapshot(), snapshot != links else { return }
        links = snapshot
        handler?.linksChanged(snapshot)
    }
}

@available(*, unavailable)
extension LinkMonitor: Sendable {}

/// What tells a `LinkMonitor` of the links; one for each kind of system.
protocol LinkSource: AnyObject {
    init(on loop: EventLoop) throws(SystemError)
    /// An address whose routes matter besides the default routes.
    var remote: IPAddress? { get set }
    /// All addresses, if they may have changed since the last call and are known in full; else `nil`.
    func snapshot() -> [LinkAddress]?
    /// Lets go of the system's resources.
    func close()
}

/// The source of this system; another system has its own beside it (BSD: a route socket).
typealias SystemLinkSource = NetlinkSource
