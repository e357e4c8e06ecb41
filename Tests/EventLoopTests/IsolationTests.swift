import EventLoop
import Glibc
import Isolation
import Testing

@Suite("Threads with descriptors of their own")
struct IsolationTests {
    @Test("nothing of other threads is open there, but for what is taken")
    func own() throws {
        let loop = try EventLoop()
        let listener = try StreamListener(tcp: loopback(), on: loop, handler: StreamRecorder())
        defer { listener.close() }
        let descriptor = listener.descriptor
        let (isOpen, address) = try Isolation.descriptors.run {
            let isOpen = fcntl(descriptor, F_GETFD) >= 0
            return (isOpen, StreamListener.address(of: try Isolation.take(descriptor)))
        }
        #expect(!isOpen)
        #expect(address == listener.localAddress)
        #expect(fcntl(descriptor, F_GETFD) >= 0)
    }
}
