import EventLoop
import Glibc
import Primitives
import Testing

/// A socket that goes from one process to the next: here, a copy of its descriptor from one object to another.
@Suite("A socket that another process used before")
struct AdoptionTests {
    @Test func `a listener goes on to accept, and what waited is not lost`() throws {
        let loop = try EventLoop()
        let before = StreamRecorder()
        let old = try StreamListener(tcp: loopback(.ipv4), on: loop, handler: before)
        let address = try #require(old.localAddress)
        old.isAccepting = false
        let descriptor = dup(old.descriptor)
        let dial = TCPPeer(address)
        old.leave()
        let after = StreamRecorder()
        let new = StreamListener(adopting: descriptor, on: loop, handler: after)
        #expect(new.localAddress == address)
        #expect(loop.run { after.accepted.count == 1 })
        #expect(before.accepted.isEmpty)
        new.close()
        dial.close()
    }

    @Test func `a Unix-domain listener keeps its path until it is closed`() throws {
        let loop = try EventLoop()
        let path = temporaryPath("control")
        let recorder = StreamRecorder()
        let old = try StreamListener(path: path, on: loop, handler: recorder)
        let descriptor = dup(old.descriptor)
        old.leave()
        #expect(unsafe access(path, F_OK) == 0)
        let new = StreamListener(adopting: descriptor, path: path, on: loop, handler: recorder)
        new.close()
        #expect(unsafe access(path, F_OK) != 0)
        removeTemporary(path)
    }

    @Test func `a stream goes on in both directions`() throws {
        let loop = try EventLoop()
        let recorder = StreamRecorder()
        let listener = try StreamListener(tcp: loopback(.ipv4), on: loop, handler: recorder)
        let peer = TCPPeer(try #require(listener.localAddress))
        #expect(loop.run { recorder.accepted.count == 1 })
        let old = try #require(recorder.accepted.first)
        let descriptor = dup(try #require(old.socketDescriptor))
        #expect(peer.send([1, 2, 3]))
        let new = ByteStream(adoptingTCP: descriptor, hasFinishedWriting: false, on: loop)
        // Closed as the system closes what a killed process had: without a word to the peer.
        if let first = old.socketDescriptor { close(first) }
        let after = StreamRecorder()
        new.setHandler(after)
        new.isReading = true
        #expect(loop.run { after.bytes == [1, 2, 3] })
        #expect(new.write([4, 5].span) == .bytes(2))
        #expect(peer.receive(2) == [4, 5])
        try new.shutdownWrite()
        let finished = ByteStream(
            adoptingTCP: dup(try #require(new.socketDescriptor)), hasFinishedWriting: true, on: loop)
        #expect(finished.hasFinishedWriting)
        #expect(peer.receive(1) == [])
        finished.close()
        new.close()
        #expect(new.socketDescriptor == nil)
        listener.close()
        peer.close()
    }

    @Test func `a UDP socket keeps its address`() throws {
        let old = try BoundDatagramSocket(loopback(.ipv4))
        let new = try BoundDatagramSocket(adopting: dup(old.descriptor))
        #expect(new.localAddress == old.localAddress)
        #expect(new.binding == .address)
        #expect(new.joinsReceived == old.joinsReceived)
        #expect(new.receiveBufferSize == old.receiveBufferSize)
        old.close()
        new.close()
        #expect(throws: SystemError.self) { try BoundDatagramSocket(adopting: new.descriptor) }
    }
}

/// The other end of a connection, blocking.
private struct TCPPeer {
    private let descriptor: Int32

    init(_ address: NetworkAddress) {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_port = address.port.bigEndian
        name.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let result = unsafe withUnsafePointer(to: &name) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe connect(descriptor, $0, 16) }
        }
        #expect(result == 0)
    }

    func send(_ bytes: [UInt8]) -> Bool { unsafe write(descriptor, bytes, bytes.count) == bytes.count }

    func receive(_ count: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let received = unsafe read(descriptor, &bytes, count)
        return Array(bytes.prefix(max(0, received)))
    }

    func close() { Glibc.close(descriptor) }
}
