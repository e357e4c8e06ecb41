import CSockets
import EventLoop
import Glibc
import Primitives
import Testing

/// Keeps the outcome of a dial and admits what it is told to.
final class DialRecorder: TCPDialHandler {
    var offered: [NetworkAddress] = []
    var stream: ByteStream?
    var error: DialError?
    var outcomes = 0
    var admits: (NetworkAddress) -> Bool = { _ in true }

    func dial(_ dial: TCPDial, admits addresses: [NetworkAddress]) -> [NetworkAddress] {
        offered += addresses
        return addresses.filter(admits)
    }

    func dial(_ dial: TCPDial, connected stream: ByteStream) {
        self.stream = stream
        outcomes += 1
    }

    func dial(_ dial: TCPDial, failed error: DialError) {
        self.error = error
        outcomes += 1
    }
}

/// Keeps the outcome of the dial of an address.
final class AddressDialRecorder: AddressDialHandler {
    var dial: AddressDial?
    var stream: ByteStream?
    var error: DialError?

    func dial(_ dial: AddressDial, connected stream: ByteStream) { self.stream = stream }
    func dial(_ dial: AddressDial, failed error: DialError) { self.error = error }
}

@Suite("TCP dialling")
struct TCPDialTests {
    /// A loop with a name server, a resolver and a listener on 127.0.0.1.
    final class Fixture {
        let loop: EventLoop
        let server: NameServer
        let resolver: Resolver
        let accepting = StreamRecorder()
        let listener: StreamListener
        let recorder = DialRecorder()

        init(_ answers: [IPAddress]) throws {
            loop = try EventLoop()
            server = try NameServer(on: loop)
            server.answers = ["origin.example": .addresses(answers), "quiet.example": .silence]
            resolver = try Resolver(on: loop, configuration: server.configuration)
            listener = try StreamListener(tcp: loopback(), on: loop, handler: accepting)
        }

        var port: UInt16 { listener.localAddress?.port ?? 0 }

        func dial(_ host: String = "origin.example", port: UInt16? = nil, timeout: Interval = .seconds(10)) -> Bool {
            let dial = TCPDial(
                host: host, port: port ?? self.port, resolver: resolver, timeout: timeout, handler: recorder)
            #expect(recorder.outcomes == 0, "nobody is called before the initialiser has returned")
            defer { dial.cancel() }
            return loop.run { [recorder] in recorder.outcomes > 0 }
        }

        func close() {
            #expect(recorder.outcomes <= 1)
            recorder.stream?.close()
            for stream in accepting.accepted { stream.close() }
            listener.close()
            resolver.close()
            server.close()
        }
    }

    @Test("a connection within this machine is there at once, and so is its refusal")
    func atOnce() throws {
        let fixture = try Fixture([])
        defer { fixture.close() }
        let address = try #require(fixture.listener.localAddress)
        let recorder = ConnectRecorder()
        let beginning = try TCPConnectAttempt.begin(to: address, on: fixture.loop, handler: recorder)
        guard case .connected(let stream) = beginning else {
            Issue.record("the attempt is under way")
            return
        }
        defer { stream.close() }
        #expect(stream.remoteAddress == address)
        #expect(fixture.loop.run { fixture.accepting.accepted.count == 1 })
        fixture.listener.close()
        do throws(SystemError) {
            _ = try TCPConnectAttempt.begin(to: address, on: fixture.loop, handler: recorder)
            Issue.record("nothing listens there")
        } catch {
            #expect(error.code == ECONNREFUSED && error.subject == .address(address))
        }
    }

    @Test("the dial of an address that is there or refuses is over at once, and tells nobody")
    func addressAtOnce() throws {
        let fixture = try Fixture([])
        defer { fixture.close() }
        let address = try #require(fixture.listener.localAddress)
        let recorder = AddressDialRecorder()
        let beginning = try AddressDial.begin(to: address, on: fixture.loop, handler: recorder)
        guard case .connected(let stream) = beginning else {
            Issue.record("the dial is under way")
            return
        }
        defer { stream.close() }
        #expect(stream.remoteAddress == address)
        fixture.listener.close()
        #expect(throws: DialError.refused(address)) {
            try AddressDial.begin(to: address, on: fixture.loop, handler: recorder)
        }
        fixture.loop.settle(for: .milliseconds(2))
        #expect(recorder.stream == nil && recorder.error == nil)
    }

    @Test("the dial of an address that does not answer ends with the time limit, or when it is given up")
    func addressSilent() throws {
        let loop = try EventLoop()
        let hole = try blackHole()
        defer { for descriptor in hole.descriptors { gw_close(descriptor) } }
        let (waiting, givenUp) = (AddressDialRecorder(), AddressDialRecorder())
        for recorder in [waiting, givenUp] {
            let limit = Interval.milliseconds(recorder === waiting ? 60 : 20)
            switch try AddressDial.begin(to: hole.address, on: loop, timeout: limit, handler: recorder) {
            case .connected(let stream): stream.close()
            case .underWay(let dial): recorder.dial = dial
            }
        }
        givenUp.dial?.cancel()
        #expect(loop.run { waiting.error != nil })
        #expect(waiting.error == .timedOut(host: "127.0.0.1", port: hole.address.port))
        #expect(givenUp.error == nil && givenUp.stream == nil)
    }

    @Test("an address that answers later is connected to, or has refused")
    func addressLater() throws {
        let fixture = try Fixture([])
        defer { fixture.close() }
        let hole = try blackHole()
        let recorder = AddressDialRecorder()
        if case .underWay(let dial) = try AddressDial.begin(
            to: hole.address, on: fixture.loop, handler: recorder)
        {
            recorder.dial = dial
        }
        // Room in the queue: the next SYN is answered.
        var peer = gw_address(high: 0, low: 0, scope: 0, port: 0, family: 0)
        let accepted = unsafe gw_accept(hole.descriptors[0], &peer)
        defer { for descriptor in hole.descriptors + [accepted] where descriptor >= 0 { gw_close(descriptor) } }
        #expect(fixture.loop.run { recorder.stream != nil || recorder.error != nil })
        #expect(recorder.stream?.remoteAddress == hole.address)
        recorder.stream?.close()
    }

    @Test("a name becomes a connection to the first address that answers")
    func connects() throws {
        // Nothing listens on ::1 at this port: its refusal starts the next attempt.
        let fixture = try Fixture([.loopback(.ipv6), .loopback(.ipv4)])
        defer { fixture.close() }
        #expect(fixture.dial())
        #expect(fixture.recorder.stream?.remoteAddress == fixture.listener.localAddress)
        #expect(Set(fixture.recorder.offered.map(\.ip)) == [.loopback(.ipv4), .loopback(.ipv6)])
        #expect(fixture.loop.run { fixture.accepting.accepted.count == 1 })
    }

    @Test("a literal address is dialled without a question to anybody")
    func literal() throws {
        let fixture = try Fixture([])
        defer { fixture.close() }
        #expect(fixture.dial("127.0.0.1"))
        #expect(fixture.recorder.stream != nil)
        #expect(fixture.server.questions.isEmpty)
    }

    @Test("a refused connection names the address")
    func refused() throws {
        let fixture = try Fixture([.loopback(.ipv4)])
        let port = fixture.port
        fixture.listener.close()
        defer { fixture.close() }
        #expect(fixture.dial(port: port))
        #expect(fixture.recorder.error == .refused(loopback(port: port)))
        let text = fixture.recorder.error?.description
        #expect(text == "connection refused by 127.0.0.1:\(port); nothing listens there")
    }

    @Test("an address that the handler does not admit is never connected to")
    func prohibited() throws {
        let fixture = try Fixture([.loopback(.ipv4), .loopback(.ipv6)])
        defer { fixture.close() }
        fixture.recorder.admits = { _ in false }
        #expect(fixture.dial())
        guard case .prohibited(let addresses) = fixture.recorder.error else {
            Issue.record("expected a prohibition, not \(String(describing: fixture.recorder.error))")
            return
        }
        #expect(Set(addresses.map(\.ip)) == [.loopback(.ipv4), .loopback(.ipv6)])
        fixture.loop.settle()
        #expect(fixture.accepting.accepted.isEmpty)
    }

    @Test("of several addresses only those that are admitted are tried")
    func partlyProhibited() throws {
        let fixture = try Fixture([IPAddress(ipv4: 0x7f00_0009), .loopback(.ipv4)])
        defer { fixture.close() }
        fixture.recorder.admits = { $0.ip == .loopback(.ipv4) }
        #expect(fixture.dial())
        #expect(fixture.recorder.stream?.remoteAddress?.ip == .loopback(.ipv4))
    }

    @Test("a name that does not exist, one without addresses, and one that nobody answers for")
    func resolutionFails() throws {
        let missing = try Fixture([])
        #expect(missing.dial("missing.example"))
        #expect(missing.recorder.error == .resolution(.nameNotFound("missing.example")))
        missing.close()
        let empty = try Fixture([])
        #expect(empty.dial())
        #expect(empty.recorder.error == .resolution(.nameNotFound("origin.example")))
        empty.close()
        let quiet = try Fixture([])
        #expect(quiet.dial("quiet.example", timeout: .milliseconds(50)))
        #expect(quiet.recorder.error == .timedOut(host: "quiet.example", port: quiet.port))
        quiet.close()
    }

    /// A listener that answers no further connection, since its queue is full, with the connections that fill it.
    func blackHole() throws -> (address: NetworkAddress, descriptors: [Int32]) {
        var address = gw_address(high: 0, low: 0x7f00_0001, scope: 0, port: 0, family: 4)
        let listener = unsafe gw_tcp_listen(&address, 0)
        try #require(listener >= 0)
        try #require(unsafe gw_local_address(listener, &address) >= 0)
        // A queue of length 0 holds one connection.
        let filler = unsafe gw_tcp_connect(&address)
        try #require(filler >= 0)
        return (loopback(port: address.port), [listener, filler])
    }

    @Test("silence ends with the time limit, and the attempt with it")
    func timesOut() throws {
        let fixture = try Fixture([.loopback(.ipv4)])
        defer { fixture.close() }
        let hole = try blackHole()
        defer { for descriptor in hole.descriptors { gw_close(descriptor) } }
        #expect(fixture.dial(port: hole.address.port, timeout: .milliseconds(60)))
        #expect(fixture.recorder.error == .timedOut(host: "origin.example", port: hole.address.port))
    }

    @Test("a silent address does not keep the next one waiting")
    func racesPastSilence() throws {
        let fixture = try Fixture([])
        defer { fixture.close() }
        let hole = try blackHole()
        defer { for descriptor in hole.descriptors { gw_close(descriptor) } }
        let listening = try #require(fixture.listener.localAddress)
        let dial = TCPDial(addresses: [hole.address, listening], on: fixture.loop, handler: fixture.recorder)
        #expect(fixture.recorder.outcomes == 0)
        #expect(fixture.loop.run { fixture.recorder.outcomes > 0 })
        #expect(fixture.recorder.stream?.remoteAddress == listening)
        #expect(fixture.recorder.offered.isEmpty, "known addresses were admitted before")
        dial.cancel()
    }

    @Test("a cancelled dial is heard of no more")
    func cancel() throws {
        let fixture = try Fixture([.loopback(.ipv4)])
        defer { fixture.close() }
        let dial = TCPDial(
            host: "origin.example", port: fixture.port, resolver: fixture.resolver, handler: fixture.recorder)
        dial.cancel()
        fixture.loop.settle()
        #expect(fixture.recorder.outcomes == 0)
        #expect(fixture.accepting.accepted.isEmpty)
    }

    @Test("an attempt to a network without a route says so")
    func unreachable() throws {
        let loop = try EventLoop()
        let recorder = DialRecorder()
        // RFC 4291 §2.5.2: the unspecified scope of a link-local address leads nowhere.
        let nowhere = NetworkAddress(IPAddress(ipv6High: 0xfe80_0000_0000_0000, low: 0x1234), port: 9)
        let dial = TCPDial(addresses: [nowhere], on: loop, handler: recorder)
        #expect(loop.run { recorder.outcomes > 0 })
        guard case .unreachable(let error) = recorder.error else {
            Issue.record("expected a missing route, not \(String(describing: recorder.error))")
            return
        }
        #expect(error.operation == .connect && error.subject == .address(nowhere))
        dial.cancel()
    }
}
