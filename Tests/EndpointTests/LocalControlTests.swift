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

    static func bench() throws -> (Bench, LocalControl) {
        let bench = try Bench()
        bench.link.start()
        return (bench, try LocalControl(path: "\(bench.folder)/control", link: bench.link))
    }

    @Test("open turns the stream into a tunnel, whose outcome is told")
    func open() throws {
        let (bench, control) = try Self.bench()
        defer { control.close() }
        let echo = try bench.echo()
        let program = try Self.ask("open 127.0.0.1 \(echo.port)", bench)
        #expect(bench.run { program.text == "ok 1\n" })
        let outcome = try Self.ask("outcome 1", bench)
        program.send(bytes("there and back"))
        #expect(bench.run { program.text == "ok 1\nthere and back" })
        #expect(outcome.text.isEmpty)
        try program.stream?.shutdownWrite()
        #expect(bench.run { outcome.hasEnded && program.hasEnded })
        #expect(outcome.text == "finished\n")
        let again = try Self.ask("outcome 1", bench)
        #expect(bench.run { again.hasEnded })
        #expect(again.text.hasPrefix("error: "))
    }

    @Test("a tunnel that was cut off is told from one that has ended, also when asked later")
    func cutOff() throws {
        let (bench, control) = try Self.bench()
        defer { control.close() }
        let echo = try bench.echo()
        let program = try Self.ask("open 127.0.0.1 \(echo.port)", bench)
        #expect(bench.run { program.text == "ok 1\n" && !echo.streams.isEmpty })
        echo.streams.first?.abort()
        #expect(bench.run { program.isBroken || program.hasEnded })
        let outcome = try Self.ask("outcome 1", bench)
        #expect(bench.run { outcome.hasEnded })
        #expect(outcome.text == "reset\n")
    }

    @Test("a tunnel that cannot be opened is answered by the reason")
    func refused() throws {
        let (bench, control) = try Self.bench()
        defer { control.close() }
        let port = try bench.deadPort()
        let program = try Self.ask("open 127.0.0.1 \(port)", bench)
        #expect(bench.run { program.hasEnded })
        #expect(program.text == "error: connection refused by 127.0.0.1:\(port)\n")
    }

    @Test(
        "a command that is none is answered by an error",
        arguments: [
            "", "hello", "open", "open x", "open x 0", "open x 65536", "open x 1 2", "outcome", "outcome x", "status x",
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
        let tunnel = try Self.ask("open 127.0.0.1 \(echo.port)", bench)
        #expect(bench.run { tunnel.text == "ok 1\n" })
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
        let program = try Self.ask("open 127.0.0.1 \(echo.port)", bench)
        #expect(bench.run { program.text == "ok 1\n" })
        program.send([UInt8](repeating: 65, count: 4_000_000))
        var most = 0
        #expect(
            bench.run {
                most = max(most, bench.link.session?.tunnels.first?.memory ?? 0)
                return program.received.count == 4_000_005
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
            let junction = StreamJunction(first, second, received: bytes("first "), owner: owner)
            junction.start()
            far.send([UInt8](repeating: 65, count: 300_000))
            near.send(bytes("up"))
            #expect(bench.run { near.received.count == 300_006 && far.text == "up" })
            #expect(near.text.hasPrefix("first AAAA"))
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
