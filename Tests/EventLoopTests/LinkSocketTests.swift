import EventLoop
import Glibc
import Primitives
import Testing

/// Writes down the errors that the network reports.
private final class ErrorRecorder: UDPSocketHandler {
    var errors: [SystemError] = []
    var received = 0
    private var batch: ReceiveBatch

    init() throws { batch = try ReceiveBatch() }

    func socketReadable(_ socket: UDPSocket) {
        while socket.receive(into: &batch) == .more { received += batch.count }
        received += batch.count
    }

    func socketWritable(_ socket: UDPSocket) {}
    func socket(_ socket: UDPSocket, heardOf error: SystemError) { errors.append(error) }
}

@Suite("UDP sockets of links")
struct LinkSocketTests {
    private func link(_ interface: String, _ address: String) throws -> LinkAddress {
        let ip = try #require(IPAddress(address))
        return LinkAddress(interface: interface, index: 0, address: ip, mtu: 1500, routeMetric: nil, isUsable: true)
    }

    @Test("a socket of a link is bound to its address and interface")
    func bound() throws {
        let socket = try BoundDatagramSocket(try link("lo", "127.0.0.1"))
        defer { socket.close() }
        #expect(socket.binding == .interface("lo"))
        #expect(socket.localAddress.ip == .loopback(.ipv4) && socket.localAddress.port != 0)
        let plain = try BoundDatagramSocket(loopback())
        defer { plain.close() }
        #expect(plain.binding == .address)
        let wildcard = try BoundDatagramSocket(NetworkAddress(.unspecified(.ipv6), port: 0))
        defer { wildcard.close() }
        #expect(wildcard.binding == .wildcard)
    }

    @Test("a link or an address that is gone is told", arguments: [("lo", "192.0.2.77"), ("gone7", "127.0.0.1")])
    func gone(interface: String, address: String) throws {
        let link = try link(interface, address)
        do {
            try BoundDatagramSocket(link).close()
            Issue.record("the socket was bound")
        } catch {
            #expect([EADDRNOTAVAIL, ENODEV].contains(error.code))
            #expect(error.isPathFailure)
        }
    }

    @Test(
        "datagrams leave through the socket's interface, whatever the routing table prefers",
        .enabled(if: NetworkNamespace.isPermitted, "\(NetworkNamespace.need)"))
    func route() throws {
        let other = try link("other", "203.0.113.1")
        let sent = try NetworkNamespace.run {
            try NetworkNamespace.makeLinks()
            try NetworkNamespace.ip(
                "link add other type veth peer name beyond", "link set other up", "link set beyond up",
                "addr add 203.0.113.1/24 dev other", "route add default via 192.0.2.254 metric 1",
                "route add default via 203.0.113.254 metric 2",
                "neigh add 203.0.113.254 lladdr 02:00:00:00:00:01 dev other",
                "neigh add 192.0.2.254 lladdr 02:00:00:00:00:02 dev near")
            let loop = try EventLoop()
            let collector = try DatagramCollector()
            let socket = UDPSocket(try BoundDatagramSocket(other), on: loop, handler: collector)
            defer { socket.close() }
            let before = try NetworkNamespace.packetsSent(by: "other")
            let bytes = pattern(100)
            for _ in 0..<50 {
                _ = socket.send(
                    bytes.span, segmentSize: 100, to: NetworkAddress(IPAddress(ipv4: 0xc633_6401), port: 9))
            }
            return try NetworkNamespace.packetsSent(by: "other") - before
        }
        #expect(sent >= 50)
    }

    @Test(
        "a socket whose address vanished fails to send and is closed at once",
        .enabled(if: NetworkNamespace.isPermitted, "\(NetworkNamespace.need)"))
    func vanished() throws {
        let near = try link("near", "192.0.2.1")
        let outcomes = try NetworkNamespace.run {
            try NetworkNamespace.makeLinks()
            let loop = try EventLoop()
            let collector = try DatagramCollector()
            let socket = UDPSocket(try BoundDatagramSocket(near), on: loop, handler: collector)
            let bytes = pattern(100)
            let to = NetworkAddress(IPAddress(ipv4: 0xc000_0202), port: 9)
            var outcomes = [socket.send(bytes.span, segmentSize: 100, to: to)]
            try NetworkNamespace.ip("addr del 192.0.2.1/24 dev near", "link set near down")
            outcomes.append(socket.send(bytes.span, segmentSize: 100, to: to))
            socket.close()
            return outcomes
        }
        #expect(outcomes.first == .sent)
        guard case .failed(let error, accepted: 0) = outcomes.last else {
            Issue.record("\(outcomes)")
            return
        }
        #expect(error.isPathFailure)
    }

    @Test("a port where nobody listens is told while errors are reported", arguments: [IPAddress.Family.ipv4, .ipv6])
    func refused(family: IPAddress.Family) throws {
        let loop = try EventLoop()
        let recorder = try ErrorRecorder()
        let vacant = try vacantAddress(family)
        let socket = try UDPSocket(loopback(family), on: loop, handler: recorder)
        defer { socket.close() }
        socket.reportsNetworkErrors = true
        let bytes = pattern(100)
        _ = socket.send(bytes.span, segmentSize: 100, to: vacant)
        #expect(loop.run { !recorder.errors.isEmpty })
        #expect(recorder.errors == [SystemError(.connect, .address(vacant), code: ECONNREFUSED)])
        #expect("\(recorder.errors)".contains("nothing listens there"))
        // Nothing is left that would wake the loop again and again.
        let turns = loop.turnCount
        loop.settle()
        #expect(loop.turnCount - turns < 10)
    }

    @Test("an error that a send meets first is told all the same")
    func refusedSend() throws {
        let loop = try EventLoop()
        let recorder = try ErrorRecorder()
        let vacant = try vacantAddress()
        let socket = try UDPSocket(loopback(), on: loop, handler: recorder)
        defer { socket.close() }
        socket.reportsNetworkErrors = true
        let bytes = pattern(100)
        let outcomes = (0..<2).map { _ in socket.send(bytes.span, segmentSize: 100, to: vacant) }
        #expect(outcomes.first == .sent && outcomes.last != .sent)
        #expect(loop.run { !recorder.errors.isEmpty })
        #expect(recorder.errors.first?.code == ECONNREFUSED)
    }

    @Test("errors that are not reported fail neither sends nor receives")
    func ignored() throws {
        let loop = try EventLoop()
        let recorder = try ErrorRecorder()
        let vacant = try vacantAddress()
        let socket = try UDPSocket(loopback(), on: loop, handler: recorder)
        defer { socket.close() }
        let bytes = pattern(100)
        socket.reportsNetworkErrors = true
        _ = socket.send(bytes.span, segmentSize: 100, to: vacant)
        socket.reportsNetworkErrors = false
        for _ in 0..<5 {
            let outcome = socket.send(bytes.span, segmentSize: 100, to: vacant)
            #expect(outcome == .sent)
        }
        _ = socket.send(bytes.span, segmentSize: 100, to: socket.localAddress)
        #expect(loop.run { recorder.received == 1 })
        #expect(recorder.errors.isEmpty)
    }
}
