public import EventLoop
public import Primitives
public import Simulator

/// Sees what a relay carries.
public protocol UDPRelayObserver: AnyObject {
    /// A datagram left the link with this index, with the addresses that its receiver sees.
    func relay(_ relay: UDPRelay, delivered datagram: Datagram, _ direction: Direction, link: Int)
}

/// Emulated links between UDP programs of one machine, without privilege.
///
/// Clients send to the relay as if it were the server. Which link a client's datagrams take is decided by the client's IP
/// address; behind each link stands a translator, real sockets with outer ports of their own, from which the server is
/// sent to and to which it answers.
public final class UDPRelay: UDPSocketHandler, TimerHandler, TurnHandler {
    /// How much earlier than due a datagram is handed on: it saves a wake-up for each datagram of a fast link.
    static let earliness = Interval.microseconds(100)
    /// Batches taken from a socket in one turn, so that the others have theirs.
    static let batchesPerTurn = 4
    /// Mappings at once; further clients are not served. Bounds descriptors.
    static let maximumMappings = 256

    /// What the relay is known by to clients.
    public let address: NetworkAddress
    /// Who sees what passes.
    public weak var observer: (any UDPRelayObserver)?

    private let loop: EventLoop
    private let server: NetworkAddress
    private var links: [EmulatedLink<Datagram>]
    private var linkOfClient: [IPAddress: Int] = [:]
    private var outerAddress: [IPAddress]
    private var mappings: [NetworkAddress: Mapping] = [:]
    private var clients: [ObjectIdentifier: NetworkAddress] = [:]
    private var inner: UDPSocket?
    private var timer: TimerHandle?
    private var batch: ReceiveBatch

    private struct Mapping {
        var socket: UDPSocket
        var link: Int
    }

    /// Listens at `address`, port 0 for one that the system chooses, for what is to go to `server`.
    public init(
        _ address: NetworkAddress, to server: NetworkAddress, links: [EmulatedLink<Datagram>], on loop: EventLoop
    ) throws(SystemError) {
        let bound = try BoundDatagramSocket(address)
        self.address = bound.localAddress
        self.server = server
        self.links = links
        self.loop = loop
        outerAddress = links.map { _ in address.ip }
        batch = try ReceiveBatch()
        timer = loop.addTimer(self)
        inner = UDPSocket(bound, on: loop, handler: self)
        loop.addTurnHandler(self)
    }

    /// Closes every socket; what is under way is lost.
    public func close() {
        inner?.close()
        for mapping in mappings.values { mapping.socket.close() }
        mappings = [:]
        clients = [:]
        loop.removeTurnHandler(self)
        if let timer { loop.removeTimer(timer) }
        timer = nil
    }

    /// Lets what a client sends from an address take a link from now on.
    public func attach(_ client: IPAddress, to link: Int) { linkOfClient[client] = link }

    /// What a client sends from an address, and what is sent to it, is lost from now on.
    public func detach(_ client: IPAddress) {
        linkOfClient[client] = nil
        for (address, mapping) in mappings where address.ip == client {
            clients[ObjectIdentifier(mapping.socket)] = nil
            mapping.socket.close()
            mappings[address] = nil
        }
    }

    /// Changes a link.
    public func change(_ link: Int, _ body: (inout EmulatedLink<Datagram>) -> Void) { body(&links[link]) }

    /// Makes the translator behind a link use other outer ports and, where one is given, another outer address.
    ///
    /// What the server sends to the old ones is lost.
    public func rebind(_ link: Int, to address: IPAddress? = nil) throws(SystemError) {
        if let address { outerAddress[link] = address }
        let old = mappings.filter { $0.value.link == link }
        // Closed only when the new ones are bound: these must not get the old ports.
        for client in old.keys { try open(client, link) }
        for mapping in old.values {
            clients[ObjectIdentifier(mapping.socket)] = nil
            mapping.socket.close()
        }
    }

    @discardableResult
    private func open(_ client: NetworkAddress, _ link: Int) throws(SystemError) -> UDPSocket {
        let socket = try UDPSocket(NetworkAddress(outerAddress[link], port: 0), on: loop, handler: self)
        mappings[client] = Mapping(socket: socket, link: link)
        clients[ObjectIdentifier(socket)] = client
        return socket
    }

    // MARK: - Sockets

    public func socketReadable(_ socket: UDPSocket) {
        for _ in 0..<Self.batchesPerTurn {
            let outcome = socket.receive(into: &batch)
            for index in 0..<batch.count {
                let entry = batch[index]
                for number in 0..<entry.datagramCount {
                    let bytes = batch.withDatagram(number, at: index) { span in
                        [UInt8](copying: span)
                    }
                    arrived(bytes, entry, on: socket)
                }
            }
            if outcome == .drained { return }
        }
    }

    private func arrived(_ bytes: [UInt8], _ entry: ReceiveBatch.Entry, on socket: UDPSocket) {
        if let client = clients[ObjectIdentifier(socket)], let link = mappings[client]?.link {
            let datagram = Datagram(from: entry.from, to: client, ecn: entry.ecn, bytes: bytes)
            _ = links[link].enter(datagram, .inbound, at: loop.now)
        } else if socket === inner, let link = linkOfClient[entry.from.ip] {
            let datagram = Datagram(from: entry.from, to: server, ecn: entry.ecn, bytes: bytes)
            _ = links[link].enter(datagram, .outbound, at: loop.now)
        }
    }

    /// A full socket buffer drops what comes, as a queue does.
    public func socketWritable(_ socket: UDPSocket) {}

    // MARK: - The way out

    public func timerFired(_ timer: TimerHandle, at now: Instant) {}

    public func turnEnded(at now: Instant) {
        var next: Instant?
        for index in links.indices {
            while let delivery = links[index].nextDelivery(at: now, dueBy: now + Self.earliness) {
                deliver(delivery, link: index)
            }
            if let due = links[index].nextDeadline { next = min(next ?? due, due) }
        }
        if let timer { loop.arm(timer, at: next) }
    }

    private func deliver(_ delivery: Delivery<Datagram>, link: Int) {
        switch delivery {
        case .inbound(let datagram):
            _ = inner?.send(datagram.bytes.span, segmentSize: 0, to: datagram.destination, ecn: datagram.ecn)
            observer?.relay(self, delivered: datagram, .inbound, link: link)
        case .outbound(var datagram):
            guard let socket = outerSocket(of: datagram.source, link) else { return }
            _ = socket.send(datagram.bytes.span, segmentSize: 0, to: server, ecn: datagram.ecn)
            datagram.source = socket.localAddress
            observer?.relay(self, delivered: datagram, .outbound, link: link)
        }
    }

    private func outerSocket(of client: NetworkAddress, _ link: Int) -> UDPSocket? {
        if let mapping = mappings[client] { return mapping.socket }
        // What was under way when its sender lost the address is lost with it.
        guard linkOfClient[client.ip] != nil, mappings.count < Self.maximumMappings else { return nil }
        // Out of descriptors: the datagram is lost, the next one tries again.
        return try? open(client, link)
    }
}

extension [UInt8] {
    /// The bytes of a span that lives shorter than the array.
    init(copying span: borrowing MutableSpan<UInt8>) {
        self = []
        reserveCapacity(span.count)
        for index in 0..<span.count { append(span[index]) }
    }
}
