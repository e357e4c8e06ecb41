import EventLoop
import Lab
import Primitives
import Simulator
import Testing

/// A socket that keeps what it gets.
private final class Post: UDPSocketHandler, TimerHandler {
    let loop: EventLoop
    var socket: UDPSocket?
    var received: [(from: NetworkAddress, bytes: [UInt8])] = []
    var batch: ReceiveBatch

    init(_ ip: IPAddress, on loop: EventLoop) throws {
        self.loop = loop
        batch = try ReceiveBatch()
        socket = try UDPSocket(NetworkAddress(ip, port: 0), on: loop, handler: self)
    }

    var address: NetworkAddress { socket?.localAddress ?? NetworkAddress(.loopback(.ipv4), port: 0) }

    func send(_ byte: UInt8, to: NetworkAddress) {
        _ = socket?.send([byte].span, segmentSize: 0, to: to)
    }

    func socketReadable(_ socket: UDPSocket) {
        _ = socket.receive(into: &batch)
        for index in 0..<batch.count {
            let entry = batch[index]
            for number in 0..<entry.datagramCount {
                received.append((entry.from, batch.withDatagram(number, at: index) { span in [span[0]] }))
            }
        }
        loop.stop()
    }

    func socketWritable(_ socket: UDPSocket) {}
    func timerFired(_ timer: TimerHandle, at now: Instant) { loop.stop() }

    /// Runs the loop until something came to one of the sockets, or for so long.
    func wait(atMost limit: Interval = .seconds(5)) {
        let timer = loop.addTimer(self)
        loop.arm(timer, at: loop.now + limit)
        loop.run()
        loop.removeTimer(timer)
    }
}

@Suite("A UDP relay")
struct UDPRelayTests {
    static let home = IPAddress(ipv4: 0x7F00_0001)
    static let other = IPAddress(ipv4: 0x7F00_0002)
    static let outer = IPAddress(ipv4: 0x7F00_0064)

    @Test func carriesBothWaysAndRebinds() throws {
        let loop = try EventLoop()
        let server = try Post(Self.home, on: loop)
        let client = try Post(Self.home, on: loop)
        let links = ["a", "b"].map { EmulatedLink<Datagram>($0, .ideal, seed: 1) }
        let relay = try UDPRelay(NetworkAddress(Self.home, port: 0), to: server.address, links: links, on: loop)
        defer { relay.close() }
        relay.attach(Self.home, to: 0)
        client.send(1, to: relay.address)
        server.wait()
        let first = try #require(server.received.last)
        #expect(first.bytes == [1] && first.from != client.address && first.from.ip == Self.home)
        server.send(2, to: first.from)
        client.wait()
        #expect(client.received.last?.bytes == [2] && client.received.last?.from == relay.address)

        try relay.rebind(0)
        client.send(3, to: relay.address)
        server.wait()
        let second = try #require(server.received.last)
        #expect(second.bytes == [3] && second.from != first.from && second.from.ip == Self.home)
        server.send(4, to: first.from)
        server.send(5, to: second.from)
        client.wait()
        #expect(client.received.map(\.bytes) == [[2], [5]])

        try relay.rebind(0, to: Self.outer)
        client.send(6, to: relay.address)
        server.wait()
        #expect(server.received.last?.bytes == [6] && server.received.last?.from.ip == Self.outer)
    }

    @Test func takesTheLinkOfTheClientsAddress() throws {
        let loop = try EventLoop()
        let server = try Post(Self.home, on: loop)
        let client = try Post(Self.home, on: loop)
        let roaming = try Post(Self.other, on: loop)
        let links = ["a", "b"].map { EmulatedLink<Datagram>($0, .ideal, seed: 1) }
        let relay = try UDPRelay(NetworkAddress(Self.home, port: 0), to: server.address, links: links, on: loop)
        defer { relay.close() }
        relay.attach(Self.home, to: 0)
        relay.attach(Self.other, to: 1)
        relay.change(0) { $0.state = .blackhole }
        client.send(1, to: relay.address)
        roaming.send(2, to: relay.address)
        server.wait()
        #expect(server.received.map(\.bytes) == [[2]])
        #expect(server.received.first?.from.ip == Self.home)
        relay.change(0) { $0.state = .up }
        relay.detach(Self.other)
        roaming.send(3, to: relay.address)
        client.send(4, to: relay.address)
        server.wait()
        #expect(server.received.map(\.bytes) == [[2], [4]])
    }
}
