internal import CSockets
internal import Glibc
internal import Primitives

/// The links as the routing socket of Linux (rtnetlink, RFC 3549) tells them.
///
/// ```
///              ┌───────── lost messages, or listed while it changed ─────────┐
///              ▼                                                             │
///   links ─► addresses ─► routes ─► known ──── default route, link or ───────┤
///                           ▲         │        address changed               │
///                           └─────────┴──────────────────────────────────────┘
/// ```
/// Links and addresses are followed one by one. Routes are listed anew instead: the system removes those of a vanished
/// address or link without a word.
final class NetlinkSource: LinkSource, FileDescriptorHandler {
    /// Bytes of the longest datagram; the kernel makes answers of at most 32 KiB.
    static let longestDatagram = 65_536
    /// Datagrams taken in one turn, so that a storm of changes leaves time for the rest.
    static let receivesPerTurn = 64

    /// What is being listed.
    private enum Listing {
        case nothing
        case links(LinkTable)
        case addresses(LinkTable)
        case routes(LinkTable)

        var isNothing: Bool { if case .nothing = self { true } else { false } }
    }

    /// What has to be listed once the present listing is complete.
    private enum Wanted: Int {
        case nothing
        case routes
        case everything
    }

    private let descriptor: Int32
    private var events: FileDescriptorEvents?
    private var buffer = [UInt8](repeating: 0, count: longestDatagram)
    private var table = LinkTable()
    private var listing = Listing.nothing
    private var wanted = Wanted.everything
    private var sequence: UInt32 = 0
    private var isComplete = false
    private var hasChanged = false

    init(on loop: EventLoop) throws(SystemError) {
        descriptor = try check(gw_netlink_open(), .watchLinks)
        let events = FileDescriptorEvents(descriptor, on: loop, handler: self)
        self.events = events
        // The kernel lists while it is read: nothing here waits.
        receive()
        events.watch(.read)
    }

    /// An address whose routes matter besides the default routes.
    var remote: IPAddress? {
        didSet {
            guard remote != oldValue else { return }
            table.remote = remote
            want(.everything)
        }
    }

    func close() {
        guard let events else { return }
        events.cancel()
        self.events = nil
        gw_close(descriptor)
    }

    func snapshot() -> [LinkAddress]? {
        if wanted != .nothing, listing.isNothing { receive() }
        guard hasChanged, isComplete else { return nil }
        hasChanged = false
        return table.snapshot
    }

    // MARK: Listing

    private func want(_ more: Wanted) {
        if more.rawValue > wanted.rawValue { wanted = more }
    }

    /// Begins what is wanted, unless a listing is under way; tried again in the next turn where the kernel refuses.
    ///
    /// Only to be called when everything was received: behind a gap, a notification may be of something that is over.
    private func beginListing() -> Bool {
        guard listing.isNothing else { return false }
        switch wanted {
        case .nothing: return false
        case .routes:
            var fresh = table
            fresh.removeRoutes()
            guard ask(GW_NETLINK_ROUTES) else { return false }
            listing = .routes(fresh)
        case .everything:
            guard ask(GW_NETLINK_LINKS) else { return false }
            listing = .links(LinkTable(remote: remote))
        }
        wanted = .nothing
        return true
    }

    private func ask(_ what: Int) -> Bool {
        sequence &+= 1
        return gw_netlink_dump(descriptor, Int32(what), sequence) == 0
    }

    private func listed() {
        switch listing {
        case .nothing: return
        case .links(let fresh): next(.addresses(fresh), GW_NETLINK_ADDRESSES)
        case .addresses(let fresh): next(.routes(fresh), GW_NETLINK_ROUTES)
        case .routes(let fresh):
            table = fresh
            table.remote = remote
            listing = .nothing
            isComplete = true
            hasChanged = true
        }
    }

    private func next(_ next: Listing, _ what: Int) {
        if ask(what) {
            listing = next
        } else {
            listing = .nothing
            want(.everything)
        }
    }

    // MARK: Messages

    func descriptorReadable() { receive() }
    func descriptorWritable() {}
    func descriptorHungUp() {}

    private func receive() {
        for _ in 0..<Self.receivesPerTurn where events != nil {
            // The call writes at most the buffer's count.
            let result = unsafe buffer.withUnsafeMutableBufferPointer {
                unsafe gw_netlink_receive(descriptor, $0.baseAddress, $0.count)
            }
            switch result {
            case 0...:
                let received = buffer
                take(received.span.extracting(0..<min(Int(result), received.count)))
            case -Int(EAGAIN): guard beginListing() else { return }
            // Messages were lost.
            default: want(.everything)
            }
        }
    }

    private func take(_ bytes: Span<UInt8>) {
        var offset = 0
        while let message = NetlinkMessage(bytes, at: offset) {
            offset = message.end
            if let content = RoutingMessage(message, of: bytes) { take(content, message) }
        }
    }

    private func take(_ content: RoutingMessage, _ message: NetlinkMessage) {
        if message.isInterrupted { want(.everything) }
        switch content {
        case .done, .failed:
            if message.sequence == sequence { listed() }
        case .routes(let routes) where message.isAnswer:
            if case .routes(var fresh) = listing {
                listing = .nothing  // moves the table out, so that it is not copied
                fresh.add(routes)
                listing = .routes(fresh)
            }
        case .link, .linkRemoved, .address, .addressRemoved, .routes, .routesRemoved:
            note(content, isAnswer: message.isAnswer)
        }
    }

    /// What is listed goes to the new table, a notification to both: it may be of something that was listed already.
    private func note(_ content: RoutingMessage, isAnswer: Bool) {
        switch listing {
        case .nothing: break
        case .links(var fresh):
            listing = .nothing
            _ = fresh.apply(content)
            listing = .links(fresh)
        case .addresses(var fresh):
            listing = .nothing
            _ = fresh.apply(content)
            listing = .addresses(fresh)
        case .routes(var fresh):
            listing = .nothing
            if fresh.apply(content) { want(.routes) }
            listing = .routes(fresh)
        }
        if !isAnswer, isComplete, table.apply(content) {
            hasChanged = true
            want(.routes)
        }
    }
}
