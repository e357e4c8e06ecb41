import EventLoop
import Primitives
import QUIC

/// One UDP socket with the datagrams that wait for room in its buffer.
final class DatagramPort: UDPSocketHandler {
    /// Batches taken from the socket in one turn, so that a flood of datagrams leaves time for the rest.
    static let receivesPerTurn = 16

    private unowned let driver: EndpointDriver
    private(set) var socket: UDPSocket?
    private var queue = SendQueue()
    /// The kernel's buffer is full: nothing more is to be made until there is room.
    private(set) var isBlocked = false

    init(_ bound: BoundDatagramSocket, driver: EndpointDriver) {
        self.driver = driver
        socket = UDPSocket(bound, on: driver.loop, handler: self)
    }

    var localAddress: NetworkAddress { socket?.localAddress ?? NetworkAddress(.unspecified(.ipv4), port: 0) }

    /// Whether datagrams from `address` leave here.
    func serves(_ address: NetworkAddress) -> Bool {
        let local = localAddress
        guard local.port == address.port, local.ip.family == address.ip.family else { return false }
        return local.ip == address.ip || local.ip.isUnspecified
    }

    /// Lets `fill` write datagrams, one transmission at a time, until it has no more or the kernel takes no more.
    func transmit(_ fill: (inout MutableSpan<UInt8>) -> Transmission?) {
        while !isBlocked {
            guard queue.hasRoom else {
                flush()
                continue
            }
            guard let transmission = queue.withSpace(fill) else { break }
            guard serves(transmission.local) else {
                sendElsewhere(transmission)
                continue
            }
            queue.append(
                byteCount: transmission.byteCount, segmentSize: transmission.segmentSize, to: transmission.remote,
                from: transmission.local, ecn: transmission.ecn)
        }
    }

    /// A probe of another path: it stands in this queue's space, but leaves through that path's socket.
    private func sendElsewhere(_ transmission: Transmission) {
        guard let port = driver.port(for: transmission.local) else { return }
        queue.withSpace { port.send($0.span.extracting(0..<transmission.byteCount), transmission) }
    }

    /// Sends at once; what the kernel does not take is lost like any datagram.
    private func send(_ bytes: Span<UInt8>, _ transmission: Transmission) {
        guard let socket else { return }
        let outcome = socket.send(
            bytes, segmentSize: transmission.segmentSize, to: transmission.remote, from: transmission.local,
            ecn: transmission.ecn)
        if case .failed(let error, _) = outcome { driver.sendFailed(from: localAddress, error) }
    }

    /// Hands everything that was written to the kernel.
    func flush() {
        while !isBlocked, !queue.isEmpty, let socket {
            switch socket.flush(&queue) {
            case .sent: return
            case .blocked: isBlocked = true
            // A path MTU probe that the interface does not carry: found lost, and the search goes on below it.
            case .tooLarge: driver.statistics.datagramsTooLarge += 1
            // The path cannot be used now; recovery or the path manager deals with it, the connection lives on.
            case .failed(let error): driver.sendFailed(from: localAddress, error)
            }
        }
    }

    /// Whether the socket tells of errors that the network reports.
    func follow(_ errors: EndpointDriver.NetworkErrors) { socket?.reportsNetworkErrors = errors != .ignored }

    func close() {
        socket?.close()
        socket = nil
    }

    func socketReadable(_ socket: UDPSocket) {
        for _ in 0..<Self.receivesPerTurn {
            guard driver.receive(from: socket) == .more else { return }
        }
    }

    func socket(_ socket: UDPSocket, heardOf error: SystemError) {
        driver.networkErrorReported(to: localAddress, error)
    }

    func socketWritable(_ socket: UDPSocket) {
        isBlocked = false
        flush()
        if !isBlocked { driver.roomCame() }
    }
}
