import Configuration
import EventLoop
import Primitives
import Testing
import Tunnel

@testable import LocalEndpoint

/// Joins two streams and writes down how they ended.
private final class JunctionOwner: StreamJunctionOwner {
    private(set) var ending: TunnelEnding?
    func junctionEnded(_ ending: TunnelEnding) { self.ending = ending }
}

@Suite("The control socket")
struct LocalControlTests {
    static func ask(_ command: String, _ bench: Bench) throws -> Program {
        let program = Program(sends: bytes(command + "\n"))
        program.use(try ByteStream.connect(path: "\(bench.folder)/control", on: bench.loop, handler: program))
        return program
    }

    /// Asks for a tunnel; one end of a TCP connection goes along, the other one is the program's.
    static func open(_ port: UInt16, _ bench: Bench) throws -> (program: Program, answer: String) {
        let (stream, other) = try ByteStream.loopbackPair(on: bench.loop)
        let program = Program(sends: [])
        program.use(stream)
        let question = Program(sends: [])
        let control = try ByteStream.connect(path: "\(bench.folder)/control", on: bench.loop, handler: question)
        question.use(control)
        try control.write(bytes("open 127.0.0.1 \(port)\n"), passing: other)
        ByteStream.close(passed: other)
        #expect(bench.run { question.hasEnded })
        return (program, question.text)
    }

    /// A program with a tunnel that is up.
    static func tunnel(to port: UInt16, _ bench: Bench) throws -> Program {
        let (program, answer) = try open(port, bench)
        #expect(answer == "ok\n")
        return program
    }

    static func bench() throws -> (Bench, LocalControl) {
        let bench = try Bench()
        bench.links.start()
        return (bench, try LocalControl(path: "\(bench.folder)/control", links: bench.links))
    }

    @Test("open makes the socket that comes with it a tunnel, with half-close")
    func open() throws {
        let (bench, control) = try Self.bench()
        defer { control.close() }
        let echo = try bench.echo()
        let program = try Self.tunnel(to: echo.port, bench)
        program.send(bytes("there and back"))
        #expect(bench.run { program.text == "there and back" })
        try program.stream?.shutdownWrite()
        #expect(bench.run { program.hasEnded })
        #expect(!program.isBroken)
    }

    @Test("a tunnel that was cut off is told from one that has ended")
    func cutOff() throws {
        let (bench, control) = try Self.bench()
        defer { control.close() }
        let echo = try bench.echo()
        let program = try Self.tunnel(to: echo.port, bench)
        #expect(bench.run { !echo.streams.isEmpty })
        echo.streams.first?.abort()
        #expect(bench.run { program.isBroken })
        #expect(!program.hasEnded)
    }

    @Test("a tunnel that cannot be opened is answered by the reason")
    func refused() throws {
        let (bench, control) = try Self.bench()
        defer { control.close() }
        let port = try bench.deadPort()
        let (program, answer) = try Self.open(port, bench)
        #expect(answer == "error: connection refused by 127.0.0.1:\(port); is the service running there?\n")
        #expect(bench.run { program.isBroken })
    }

    @Test("without a socket, or with something else, there is no tunnel")
    func noSocket() throws {
        let (bench, control) = try Self.bench()
        defer { control.close() }
        let echo = try bench.echo()
        let without = try Self.ask("open 127.0.0.1 \(echo.port)", bench)
        let question = Program(sends: [])
        let stream = try ByteStream.connect(path: "\(bench.folder)/control", on: bench.loop, handler: question)
        question.use(stream)
        try stream.write(bytes("open 127.0.0.1 \(echo.port)\n"), passing: try #require(stream.socketDescriptor))
        #expect(bench.run { without.hasEnded && question.hasEnded })
        #expect(without.text.hasPrefix("error: ") && question.text.hasPrefix("error: "))
        #expect(bench.links.tunnelCount == 0)
    }

    @Test(
        "a command that is none is answered by an error",
        arguments: [
            "", "hello", "open", "open x", "open x 0", "open x 65536", "open x 1 2", "outcome 1", "status x",
        ])
    func faults(command: String) throws {
        let (bench, control) = try Self.bench()
        defer { control.close() }
        let program = try Self.ask(command, bench)
        #expect(bench.run { program.hasEnded })
        #expect(program.text.hasPrefix("error: "))
    }

    @Test("the status names the gateway, the paths and the tunnels")
    func status() throws {
        let (bench, control) = try Self.bench()
        defer { control.close() }
        let echo = try bench.echo()
        _ = try Self.tunnel(to: echo.port, bench)
        let people = try Self.ask("status", bench)
        let programs = try Self.ask("status json", bench)
        #expect(bench.run { people.hasEnded && programs.hasEnded })
        #expect(people.text.hasPrefix("gateway \(bench.gatewayAddress): connected, 1 tunnels\n"))
        #expect(people.text.contains("tunnel 127.0.0.1:\(echo.port), "))
        #expect(programs.text.contains("\"state\":\"connected\""))
        #expect(programs.text.contains("\"destination\":\"127.0.0.1:\(echo.port)\""))
        #expect(!people.text.contains(bench.invite.token.text) && !programs.text.contains(bench.invite.token.text))
    }

    @Test("a tunnel at rest gives the memory of its burst back")
    func memoryAtRest() throws {
        let (bench, control) = try Self.bench()
        defer { control.close() }
        let echo = try bench.echo()
        let program = try Self.tunnel(to: echo.port, bench)
        program.send([UInt8](repeating: 65, count: 4_000_000))
        var most = 0
        #expect(
            bench.run {
                most = max(most, bench.link.session?.tunnels.first?.memory ?? 0)
                return program.received.count == 4_000_000
            })
        #expect(most > 65_536)
        #expect(bench.run { bench.link.session?.tunnels.first.map { $0.memory <= 8192 } ?? false })
    }

    @Test("two streams that are joined end together: in order, or not")
    func junction() throws {
        for cutsOff in [false, true] {
            let bench = try Bench()
            let (left, right) = (try bench.echo(), try bench.echo())
            // Two programs that talk to each other through two accepted streams: their servers' handlers are replaced.
            let near = try bench.program(to: NetworkAddress(.loopback(.ipv4), port: left.port))
            let far = try bench.program(to: NetworkAddress(.loopback(.ipv4), port: right.port))
            #expect(bench.run { left.streams.count == 1 && right.streams.count == 1 })
            let owner = JunctionOwner()
            let (first, second) = (try #require(left.streams.first), try #require(right.streams.first))
            let junction = StreamJunction(first, second, owner: owner)
            junction.start()
            far.send([UInt8](repeating: 65, count: 300_000))
            near.send(bytes("up"))
            #expect(bench.run { near.received.count == 300_000 && far.text == "up" })
            #expect(near.text.hasPrefix("AAAA"))
            if cutsOff {
                far.stream?.abort()
                #expect(bench.run { owner.ending != nil })
                #expect(owner.ending == .reset)
            } else {
                try near.stream?.shutdownWrite()
                #expect(bench.run { far.hasEnded })
                #expect(owner.ending == nil)
                try far.stream?.shutdownWrite()
                #expect(bench.run { owner.ending == .finished && near.hasEnded })
            }
        }
    }
}
