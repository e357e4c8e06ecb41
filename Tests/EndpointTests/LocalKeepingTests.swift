import CSockets
import Configuration
import EventLoop
import Glibc
import Primitives
import Telemetry
import Testing
import Tunnel

@testable import Driver
@testable import Gateway
@testable import Keeper
@testable import LocalEndpoint

/// What a keeper holds of a process, without the keeper.
private final class FakeKeeper {
    let access: KeeperLink.Access
    private let ends: [Int32]
    private(set) var held: [DescriptorKey: Int32] = [:]

    init() throws {
        var ends: [Int32] = [-1, -1]
        try #require(unsafe gw_channel_open(&ends) == 0)
        self.ends = ends
        access = KeeperLink.Access(descriptor: ends[1])
    }

    deinit { for descriptor in ends + held.values { gw_close(descriptor) } }

    /// Takes what was told by now.
    func listen() {
        while case .message(let message, let descriptors) = DescriptorChannel.receive(from: ends[0]) {
            switch message {
            case .protect(let keys):
                for (key, descriptor) in zip(keys, descriptors) {
                    if let old = held.updateValue(descriptor, forKey: key) { gw_close(old) }
                }
            case .release(let keys): for key in keys { held.removeValue(forKey: key).map { _ = gw_close($0) } }
            default: Issue.record("\(message)")
            }
        }
    }

    func count(_ kind: DescriptorKey.Kind) -> Int {
        listen()
        return held.keys.count { $0.kind == kind }
    }

    /// What the next process gets.
    func inheritance() -> Inheritance {
        listen()
        return Inheritance(held.mapValues { dup($0) })
    }
}

/// Reads up to the end, and says nothing by itself.
private final class Silent: StreamListenerHandler, ByteStreamHandler, AddressDialHandler {
    private let loop: EventLoop
    private var listener: StreamListener?
    private(set) var streams: [ByteStream] = []
    private(set) var hasEnded = false

    init(on loop: EventLoop) throws {
        self.loop = loop
        listener = try StreamListener(tcp: .anyLoopbackPort, on: loop, handler: self)
    }

    var port: UInt16 { listener?.localAddress?.port ?? 0 }

    /// A connection to it.
    func connect() throws -> ByteStream {
        let address = NetworkAddress(.loopback(.ipv4), port: port)
        switch try AddressDial.begin(to: address, on: loop, handler: self) {
        case .connected(let stream): return stream
        case .underWay(let dial):
            dial.cancel()
            throw DialError.timedOut(host: "loopback", port: port)
        }
    }

    func listener(_ listener: StreamListener, accepted stream: ByteStream) {
        streams.append(stream)
        stream.setHandler(self)
        stream.isReading = true
    }

    func listener(_ listener: StreamListener, pausedBy error: SystemError) {}

    func streamReadable(_ stream: ByteStream) {
        var buffer = [UInt8](repeating: 0, count: 4096)
        var region = buffer.mutableSpan
        if stream.read(into: &region) == .endOfStream { hasEnded = true }
    }

    func streamWritable(_ stream: ByteStream) {}
    func streamBroken(_ stream: ByteStream) {}

    // Within this machine a dial is over at once.
    func dial(_ dial: AddressDial, connected stream: ByteStream) {}
    func dial(_ dial: AddressDial, failed error: DialError) {}
}

@Suite("A local endpoint after which another process comes")
struct LocalKeepingTests {
    /// A process's share of a local endpoint.
    private struct Process {
        let links: GatewayLinks
        let sockets: ListeningSockets
        let listener: ForwardListener

        init(_ links: GatewayLinks, _ keeper: FakeKeeper, _ inheritance: Inheritance, to port: UInt16) throws {
            var inheritance = inheritance
            let kept = try LoopKeeper(
                keeper.access, loop: 0, inheritance.takeLoop(0), opening: .accepted, on: links.loop)
            sockets = ListeningSockets(kept.client, &inheritance, on: links.loop)
            links.keep(kept)
            listener = try ForwardListener(
                .init(listen: .anyLoopbackPort, destination: Destination(.address(.loopback(.ipv4)), port: port)),
                links: links, sockets: sockets)
            sockets.closeRest()
            self.links = links
        }
    }

    @Test("tunnels go on byte for byte, and programs find the port open all the time")
    func takeOver() throws {
        let bench = try Bench()
        let keeper = try FakeKeeper()
        let echo = try bench.echo()
        let old = try Process(bench.links, keeper, Inheritance([:]), to: echo.port)
        let address = try #require(old.listener.localAddress)
        bench.links.start()
        let program = try bench.program(to: address)
        program.send(bytes("before, "))
        #expect(bench.run { program.text == "before, " && keeper.count(.tunnel) == 1 })
        #expect(keeper.count(.listener) == 1 && keeper.count(.vault) == 1)

        old.listener.leave()
        bench.links.letGo()
        program.send(bytes("between, "))
        let early = try bench.program(to: address)
        early.send(bytes("early"))

        let links = try bench.makeLinks([bench.invite])
        let new = try Process(links, keeper, keeper.inheritance(), to: echo.port)
        #expect(links.heldCount == 1 && links.current.wasEverEstablished)
        #expect(new.listener.localAddress == address)
        links.start()
        program.send(bytes("after"))
        #expect(bench.run { program.text == "before, between, after" && early.text == "early" })
        #expect(bench.gateway.counters.tunnelsResumed == 1)
        for each in [program, early] { try each.stream?.shutdownWrite() }
        #expect(bench.run { program.hasEnded && early.hasEnded && links.tunnelCount == 0 })
        #expect(bench.run { keeper.count(.tunnel) == 0 })
        withExtendedLifetime((old, new)) {}
    }

    @Test("a program that had nothing more to say from the start gets its answer from the next process")
    func halfClosed() throws {
        let bench = try Bench()
        let keeper = try FakeKeeper()
        let origin = try Silent(on: bench.loop)
        let old = try Process(bench.links, keeper, Inheritance([:]), to: origin.port)
        bench.links.start()
        #expect(bench.run { bench.link.session != nil })
        let program = try bench.program(to: old.listener.localAddress)
        program.send(bytes("question"))
        #expect(bench.run { program.stream != nil })
        try program.stream?.shutdownWrite()
        // Its end is read before the gateway has answered.
        #expect(bench.run { origin.streams.count == 1 && keeper.count(.tunnel) == 1 })
        #expect(bench.run { bench.gateway.held.count == 0 && origin.hasEnded })
        old.listener.leave()
        bench.links.letGo()
        let links = try bench.makeLinks([bench.invite])
        let new = try Process(links, keeper, keeper.inheritance(), to: origin.port)
        links.start()
        #expect(bench.run { bench.gateway.counters.tunnelsResumed == 1 })
        _ = origin.streams.first?.write(bytes("answer").span)
        origin.streams.first?.close()
        #expect(bench.run { program.hasEnded || program.isBroken })
        #expect(program.text == "answer" && !program.isBroken)
        withExtendedLifetime((old, new)) {}
    }

    @Test("a tunnel that is over soon is never protected; others are a little later, or when another process comes")
    func young() throws {
        let bench = try Bench()
        let keeper = try FakeKeeper()
        let origin = try Silent(on: bench.loop)
        let kept = try LoopKeeper(keeper.access, loop: 0, LoopInheritance(), opening: .dialled, on: bench.loop)
        var sides: [TunnelSide] = []
        func open(_ number: UInt64) throws -> ResumptionID {
            let side = TunnelSide(try origin.connect())
            sides.append(side)
            let id = ResumptionID(words: (number, number))
            kept.protection.open(id, to: nil, owner: [], ring: ByteRing(limit: 1024), side)
            return id
        }
        kept.protection.ended(try open(1))
        kept.protection.willClose(try open(2), readEnd: 0, written: 0)
        let broken = try open(3)
        sides[2].abort()
        let first = try open(4)
        #expect(kept.protection.count == 0 && keeper.count(.tunnel) == 0)
        #expect(bench.run { keeper.count(.tunnel) == 1 })
        #expect(kept.protection.count == 1 && sides[3].record != nil)
        let second = try open(5)
        kept.handOver()
        #expect(kept.protection.count == 2 && keeper.count(.tunnel) == 2)
        for id in [broken, first, second] { kept.protection.ended(id) }
        #expect(bench.run { keeper.count(.tunnel) == 0 })
        for side in sides { side.abort() }
    }

    @Test("a tunnel whose gateway is configured no more is reset")
    func otherGateway() throws {
        let bench = try Bench()
        let keeper = try FakeKeeper()
        let echo = try bench.echo()
        let old = try Process(bench.links, keeper, Inheritance([:]), to: echo.port)
        bench.links.start()
        let address = try #require(old.listener.localAddress)
        let program = try bench.program(to: address)
        program.send(bytes("x"))
        #expect(bench.run { program.text == "x" && keeper.count(.tunnel) == 1 })
        old.listener.leave()
        bench.links.letGo()
        let other = LocalLinkTests.withWrongPin(bench.invite)
        let links = try bench.makeLinks([other])
        let new = try Process(links, keeper, keeper.inheritance(), to: echo.port)
        #expect(links.heldCount == 0)
        // The process before has its copy here still; one that is dead has none.
        #expect(bench.run { keeper.count(.tunnel) == 0 })
        withExtendedLifetime((old, new)) {}
    }

    @Test("a listener that is configured no more is closed")
    func closedListener() throws {
        let bench = try Bench()
        let keeper = try FakeKeeper()
        let first = try LoopKeeper(keeper.access, loop: 0, LoopInheritance(), opening: .accepted, on: bench.loop)
        var inheritance = Inheritance([:])
        let sockets = ListeningSockets(first.client, &inheritance, on: bench.loop)
        let echo = try Echo(on: bench.loop)
        let listeners = try (0..<3).map { _ in try sockets.open(.anyLoopbackPort, handler: echo) }
        let addresses = listeners.compactMap(\.localAddress)
        #expect(bench.run { keeper.count(.listener) == 3 })
        for listener in listeners { sockets.leave(listener) }

        inheritance = keeper.inheritance()
        let next = ListeningSockets(first.client, &inheritance, on: bench.loop)
        let last = try next.open(addresses[2], handler: echo)
        let any = try next.open(.anyLoopbackPort, handler: echo)
        #expect(last.localAddress == addresses[2] && any.localAddress == addresses[0])
        next.closeRest()
        #expect(bench.run { keeper.count(.listener) == 2 })
        next.close(last)
        next.close(any)
        #expect(bench.run { keeper.count(.listener) == 0 })
    }

    @Test("what is noted of a tunnel names its gateway, whoever's invite it is, and how long that waits")
    func owner() throws {
        let bench = try Bench()
        let noted = TunnelOwner(bench.invite, .seconds(86_400)).bytes
        #expect(noted.count <= TunnelEntry.mostOwnerBytes)
        let owner = try #require(TunnelOwner(noted))
        #expect(owner.linger == .seconds(86_400))
        #expect(owner.isAt(bench.invite))
        #expect(!owner.isAt(LocalLinkTests.withWrongPin(bench.invite)))
        #expect(TunnelOwner([]) == nil && TunnelOwner(noted + [0]) == nil && TunnelOwner(noted.dropLast()) == nil)
        #expect(TunnelOwner([UInt8](repeating: 255, count: noted.count)) == nil)
    }
}

extension TunnelOwner {
    fileprivate init?(_ bytes: ArraySlice<UInt8>) { self.init(Array(bytes)) }
}
