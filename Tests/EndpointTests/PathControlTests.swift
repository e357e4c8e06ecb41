import Configuration
import Driver
import EventLoop
import Glibc
import Primitives
import QUIC
import Telemetry
import Testing
import Tunnel

@testable import Gateway
@testable import LocalEndpoint

@Suite("The paths of a link")
struct PathControlTests {
    /// A link whose connection can migrate, with its control socket.
    private static func bench() throws -> (Bench, LocalControl) {
        let (bench, control) = try LocalControlTests.bench()
        #expect(bench.run { bench.link.session?.paths != nil })
        return (bench, control)
    }

    private static func answer(_ command: String, _ bench: Bench) throws -> String {
        let program = try LocalControlTests.ask(command, bench)
        #expect(bench.run { program.hasEnded })
        return program.text
    }

    @Test("the first socket is bound to the address that the route starts from")
    func firstSocket() throws {
        let (bench, control) = try Self.bench()
        defer { control.close() }
        let path = try #require(bench.link.session?.driven.connection.networkPaths.first)
        #expect(path.path.local.ip == .loopback(.ipv4))
        let text = try Self.answer("paths", bench)
        #expect(text.hasPrefix("path lo \(path.path.local) -> \(bench.gatewayAddress) active, "))
        let json = try Self.answer("paths json", bench)
        #expect(json.contains("\"interface\":\"lo\"") && json.contains("\"handovers\":[]"))
    }

    @Test("a new socket takes the connection over and leaves no other behind, again and again")
    func rebind() throws {
        let (bench, control) = try Self.bench()
        defer { control.close() }
        let echo = try bench.echo()
        let program = try LocalControlTests.tunnel(to: echo.port, bench)
        var seen: Set<NetworkAddress> = []
        for round in 1...6 {
            #expect(try Self.answer("rebind", bench) == "ok\n")
            program.send(bytes("."))
            #expect(bench.run { program.received.count == round })
            let session = try #require(bench.link.session)
            #expect(bench.run { session.driver.localAddresses.count == 1 })
            let local = session.driven.connection.activeLocalAddress
            #expect(session.driver.localAddresses == [local])
            #expect(local.ip == .loopback(.ipv4))
            #expect(seen.insert(local).inserted)
        }
        #expect(bench.link.reconnects == 0)
    }

    @Test("what cannot be done with a path is told in a sentence")
    func faults() throws {
        let (bench, control) = try Self.bench()
        defer { control.close() }
        #expect(try Self.answer("paths use 192.0.2.77", bench).hasPrefix("error: no interface has the address"))
        #expect(try Self.answer("paths remove 127.0.0.1", bench).hasPrefix("error: 127.0.0.1 is the only path"))
        for command in ["paths x", "paths use", "paths use x", "paths use 127.0.0.1 2", "paths json x"] {
            #expect(try Self.answer(command, bench).hasPrefix("error: not of the form"))
        }
        #expect(try Self.answer("paths use 127.0.0.1", bench) == "ok\n")
    }

    @Test("a connection over IPv4 goes on over IPv6, and comes back")
    func otherFamily() throws {
        let (bench, control) = try Self.bench()
        defer { control.close() }
        let echo = try bench.echo()
        let program = try LocalControlTests.tunnel(to: echo.port, bench)
        let connection = try #require(bench.link.session?.driven.connection)
        #expect(connection.networkPaths.map(\.path.remote) == [bench.gatewayAddress])
        for (round, address) in ["::1", "127.0.0.1", "::1"].enumerated() {
            #expect(try Self.answer("paths use \(address)", bench) == "ok\n")
            #expect(bench.run { connection.activeLocalAddress.ip == IPAddress(address) })
            program.send(bytes("."))
            #expect(bench.run { program.received.count == 1 + round })
            let remote = connection.networkPaths.first?.path.remote
            #expect(remote == (address == "::1" ? bench.gatewayAddress6 : bench.gatewayAddress))
        }
        #expect(bench.run { bench.link.paths.handovers.count == 3 })
        #expect(bench.link.paths.handovers.allSatisfy { $0.handover.reason == .manual && $0.handover.stall != nil })
        let text = try Self.answer("status", bench)
        #expect(text.contains("handover ") && text.contains("lo 127.0.0.1 -> lo ::1, asked for, stall "))
        #expect(bench.link.reconnects == 0)
    }

    @Test("without a connection there are no paths to change")
    func notConnected() throws {
        let bench = try Bench()
        let control = try LocalControl(path: "\(bench.folder)/control", links: bench.links)
        defer { control.close() }
        #expect(try Self.answer("paths use 127.0.0.1", bench).hasPrefix("error: there is no connection"))
        #expect(try Self.answer("rebind", bench).hasPrefix("error: there is no connection"))
        #expect(try Self.answer("paths", bench).hasPrefix("no connection to the gateway\n"))
    }

    @Test("keep-alives are sent while tunnels are open; of the network's errors only refusals are told")
    func established() throws {
        let (bench, control) = try Self.bench()
        defer { control.close() }
        let session = try #require(bench.link.session)
        #expect(session.driver.networkErrors == .refusalsTold)
        // RFC 9000 §14.2.1: a made-up refusal ends nothing.
        session.sendFailed(
            from: session.driven.connection.activeLocalAddress,
            SystemError(.connect, .address(bench.gatewayAddress), code: ECONNREFUSED), at: bench.loop.now)
        let echo = try bench.echo()
        _ = try LocalControlTests.tunnel(to: echo.port, bench)
        #expect(bench.link.session === session)
    }

    @Test("a fresh connection that wins against a silent one takes the tunnels, old and new")
    func raceWon() throws {
        let (bench, control) = try Self.bench()
        defer { control.close() }
        let echo = try bench.echo()
        let program = try LocalControlTests.tunnel(to: echo.port, bench)
        let old = try #require(bench.link.session)
        // Nothing is heard of the old one meanwhile.
        let local = old.driven.connection.activeLocalAddress
        old.driver.removeSocket(local)
        bench.link.raceWanted(by: old, .silence)
        #expect(bench.link.racing != nil)
        #expect(bench.run { bench.link.session !== old })
        #expect(bench.link.racing == nil)
        let later = try LocalControlTests.tunnel(to: echo.port, bench)
        program.send(bytes("old"))
        later.send(bytes("new"))
        #expect(bench.run { program.text == "old" && later.text == "new" })
        #expect(bench.link.leaving.isEmpty)
        #expect(bench.gateway.counters.tunnelsResumed == 1)
    }

    @Test("a connection that is heard of again wins its race")
    func raceLost() throws {
        let (bench, control) = try Self.bench()
        defer { control.close() }
        let old = try #require(bench.link.session)
        bench.link.raceWanted(by: old, .silence)
        old.driven.connection.ping(at: bench.loop.now)
        old.driven.needsService()
        #expect(bench.run { bench.link.racing == nil })
        bench.link.heard(from: old, at: bench.loop.now)
        #expect(bench.link.session === old || bench.link.leaving.isEmpty)
    }

    @Test("the paths of the configuration hold at once")
    func configuration() throws {
        let (bench, control) = try Self.bench()
        defer { control.close() }
        var paths = LocalConfiguration.Paths()
        paths.prefer = ["wl*"]
        paths.returnAfter = .seconds(7)
        bench.link.paths.follow(paths)
        #expect(bench.link.paths.configuration.prefer == ["wl*"])
        #expect(bench.link.paths.configuration.returnAfter == .seconds(7))
        let echo = try bench.echo()
        _ = try LocalControlTests.tunnel(to: echo.port, bench)
    }
}
