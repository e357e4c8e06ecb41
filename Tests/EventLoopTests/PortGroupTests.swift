import EventLoop
import Primitives
import Testing

@Suite("Port groups")
struct PortGroupTests {
    @Test(
        "a datagram goes to the worker that its destination connection ID names, whatever address it comes from",
        arguments: [IPAddress.Family.ipv4, .ipv6], [2, 3])
    func steering(family: IPAddress.Family, count: Int) throws {
        let loop = try EventLoop()
        let collectors = try (0..<count).map { _ in try DatagramCollector() }
        let group = try BoundDatagramSocket.group(loopback(family), count: count)
        let sockets = zip(group, collectors).map { UDPSocket($0, on: loop, handler: $1) }
        let silent = try DatagramCollector()
        let clients = try (0..<4).map { _ in try UDPSocket(loopback(family), on: loop, handler: silent) }
        defer { for socket in sockets + clients { socket.close() } }
        #expect(Set(group.map(\.localAddress)).count == 1)
        for first in 0..<40 as Range<UInt8> {
            // RFC 9000 §17.3.1: a short header's connection ID follows the first byte.
            let short: [UInt8] = [0x40, first, 0xaa, 0xbb]
            // RFC 9000 §17.2: a long header's follows first byte, version and length.
            let long: [UInt8] = [0xc0, 0, 0, 0, 1, 8, first, 0xaa, 0xbb]
            for (index, client) in clients.enumerated() {
                let bytes = index % 2 == 0 ? short : long
                let outcome = client.send(bytes.span, segmentSize: bytes.count, to: sockets[0].localAddress)
                #expect(outcome == .sent)
            }
        }
        #expect(loop.run { collectors.reduce(0) { $0 + $1.datagrams.count } == 160 })
        for (index, collector) in collectors.enumerated() {
            let firstBytes = collector.datagrams.map { $0.bytes[0] & 0x80 == 0 ? $0.bytes[1] : $0.bytes[6] }
            #expect(firstBytes.count == (0..<40).filter { $0 % count == index }.count * clients.count)
            #expect(firstBytes.allSatisfy { Int($0) % count == index })
        }
    }

    @Test("a datagram too short for a connection ID still reaches a worker")
    func shortDatagram() throws {
        let loop = try EventLoop()
        let collector = try DatagramCollector()
        let group = try BoundDatagramSocket.group(loopback(), count: 2)
        let sockets = group.map { UDPSocket($0, on: loop, handler: collector) }
        let client = try UDPSocket(loopback(), on: loop, handler: collector)
        defer { for socket in sockets + [client] { socket.close() } }
        for bytes: [UInt8] in [[], [0x40], [0xc0, 0, 0, 0, 1]] {
            let outcome = client.send(bytes.span, segmentSize: bytes.count, to: sockets[0].localAddress)
            #expect(outcome == .sent)
        }
        #expect(loop.run { collector.datagrams.count == 3 })
    }

    @Test("a group takes the place of no other socket")
    func portInUse() throws {
        let other = try BoundDatagramSocket(loopback())
        defer { other.close() }
        #expect(throws: SystemError.self) { _ = try BoundDatagramSocket.group(other.localAddress, count: 2) }
    }
}
