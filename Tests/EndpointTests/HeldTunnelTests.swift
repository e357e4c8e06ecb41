import Configuration
import Driver
import EventLoop
import Primitives
import Telemetry
import Testing
import Tunnel

@testable import Gateway
@testable import LocalEndpoint

/// Tunnels between two connections, with the roles at both ends, over real sockets.
@Suite("Tunnels that lose their connection")
struct HeldTunnelTests {
    /// A program with a tunnel to an echo, which is up.
    private struct Scene {
        let bench: Bench
        let control: LocalControl
        let echo: Echo
        let program: Program

        init(_ change: (inout GatewayState.Policy) -> Void = { _ in }) throws {
            bench = try Bench()
            var policy = bench.state.policy
            change(&policy)
            bench.state.replace(policy)
            bench.links.start()
            control = try LocalControl(path: "\(bench.folder)/control", links: bench.links)
            let echo = try bench.echo()
            program = try LocalControlTests.tunnel(to: echo.port, bench)
            self.echo = echo
            #expect(bench.run { !echo.streams.isEmpty })
        }

        /// Both ends lose the connection, and the local endpoint does not get another one.
        func disconnect() {
            let bench = bench
            // A gateway that restarts says so; what comes next is nothing, until `reconnect`.
            bench.link.replace(LocalLinkTests.withWrongPin(bench.invite))
            bench.gateway.close(.restart)
            #expect(bench.run { bench.link.held.count == 1 && bench.gateway.held.count == 1 })
        }

        func reconnect() { bench.link.replace(bench.invite) }
    }

    @Test("a tunnel goes on with the next connection, byte for byte, as often as need be")
    func goesOn() throws {
        let scene = try Scene()
        defer { scene.control.close() }
        let (bench, program, echo) = (scene.bench, scene.program, scene.echo)
        var expected = ""
        for round in 0..<5 {
            let text = "round \(round), there and back\n"
            program.send(bytes(text))
            expected += text
            // In every other round the answer is under way, or not yet, when the connection goes.
            if round.isMultiple(of: 2) { #expect(bench.run { program.text == expected }) }
            bench.gateway.close(.restart)
            #expect(bench.run { bench.link.reconnects == round + 1 })
        }
        #expect(bench.run { program.text == expected })
        #expect(echo.streams.count == 1)
        // Connections that went before the gateway's answer have resumed nothing.
        #expect((2...5).contains(bench.gateway.counters.tunnelsResumed))
        try program.stream?.shutdownWrite()
        #expect(bench.run { program.hasEnded && bench.links.tunnelCount == 0 })
        #expect(bench.run { bench.gateway.carriers.isEmpty })
    }

    @Test("what programs send meanwhile, and their end, arrive when there is a connection again")
    func sentMeanwhile() throws {
        let scene = try Scene()
        defer { scene.control.close() }
        let (bench, program, echo) = (scene.bench, scene.program, scene.echo)
        scene.disconnect()
        program.send(bytes("nobody hears this yet"))
        try program.stream?.shutdownWrite()
        _ = echo.streams.first?.write(bytes("nor that").span)
        #expect(bench.run { bench.gateway.held.memory > 0 && bench.link.held.memory > 0 })
        scene.reconnect()
        #expect(bench.run { program.hasEnded })
        #expect(program.text == "nor thatnobody hears this yet")
        #expect(bench.run { bench.links.tunnelCount == 0 && bench.gateway.carriers.isEmpty })
    }

    @Test("a reset on either side reaches the other one when there is a connection again", arguments: [true, false])
    func resetMeanwhile(ofProgram: Bool) throws {
        let scene = try Scene()
        defer { scene.control.close() }
        let (bench, program, echo) = (scene.bench, scene.program, scene.echo)
        scene.disconnect()
        if ofProgram {
            program.stream?.abort()
        } else {
            echo.streams.first?.abort()
            #expect(bench.run { bench.gateway.held.count == 0 })
        }
        scene.reconnect()
        if ofProgram {
            #expect(bench.run { bench.links.tunnelCount == 0 && bench.gateway.held.count == 0 })
        } else {
            #expect(bench.run { program.isBroken })
            #expect(bench.gateway.counters.resumptionsRefused == 1)
        }
        if !ofProgram { #expect(program.isBroken) }
    }

    @Test("tunnels of a user who is removed end at once")
    func removedUser() throws {
        let scene = try Scene()
        defer { scene.control.close() }
        let (bench, echo) = (scene.bench, scene.echo)
        scene.disconnect()
        var policy = bench.state.policy
        try policy.users.remove("me")
        bench.state.replace(policy)
        bench.gateway.receive(.policyChanged)
        #expect(bench.gateway.held.count == 0)
        #expect(bench.run { echo.resets == 1 })
    }

    @Test("nobody comes: the gateway resets the tunnel after its linger, and its user may open another one")
    func expiry() throws {
        let scene = try Scene {
            $0.resumption.linger = .seconds(1)
            $0.limits.tunnelsPerUser = 1
        }
        defer { scene.control.close() }
        let (bench, program, echo) = (scene.bench, scene.program, scene.echo)
        scene.disconnect()
        #expect(bench.run { echo.resets == 1 })
        #expect(bench.run { program.hasEnded || program.isBroken })
        scene.reconnect()
        _ = try LocalControlTests.tunnel(to: echo.port, bench)
    }

    @Test("where nothing may linger, a tunnel ends with its connection")
    func noLinger() throws {
        let scene = try Scene { $0.resumption.linger = .zero }
        defer { scene.control.close() }
        let (bench, program, echo) = (scene.bench, scene.program, scene.echo)
        bench.gateway.close(.restart)
        #expect(bench.run { echo.resets == 1 && (program.hasEnded || program.isBroken) })
        #expect(bench.link.held.count == 0 && bench.gateway.held.count == 0)
    }

    @Test("too many held tunnels: those that are held longest are reset")
    func noRoom() throws {
        let scene = try Scene()
        defer { scene.control.close() }
        let (bench, echo) = (scene.bench, scene.echo)
        _ = try LocalControlTests.tunnel(to: echo.port, bench)
        bench.link.replace(LocalLinkTests.withWrongPin(bench.invite))
        bench.gateway.close(.restart)
        #expect(bench.run { bench.gateway.held.count == 2 })
        bench.gateway.held.limits.count = 1
        #expect(bench.run { bench.gateway.held.count == 1 && echo.resets == 1 })
        scene.reconnect()
        #expect(bench.run { bench.link.held.count == 0 && bench.links.tunnelCount == 1 })
    }

    @Test("what a destination sends before it closes is read while the tunnel is held, as far as there is room")
    func readsAhead() throws {
        let scene = try Scene()
        defer { scene.control.close() }
        let (bench, program, echo) = (scene.bench, scene.program, scene.echo)
        scene.disconnect()
        let held = try #require(bench.gateway.held.all.first?.tunnel)
        let first = held.ring.limit
        let origin = try #require(echo.streams.first)
        let content = [UInt8](repeating: 7, count: 900_000)
        var sent = 0
        let isRead = bench.run {
            let rest = content.span.extracting(sent..<content.count)
            if !rest.isEmpty, case .bytes(let count) = origin.write(rest) { sent += count }
            return held.ring.count == content.count
        }
        #expect(isRead && held.ring.limit > first)
        try origin.shutdownWrite()
        #expect(bench.run { held.outgoing == .ended })
        scene.reconnect()
        #expect(bench.run { program.received.count == content.count && program.hasEnded })
    }

    @Test("a gateway that stops for good ends the tunnels")
    func stopsForGood() throws {
        let scene = try Scene()
        defer { scene.control.close() }
        let (bench, program, echo) = (scene.bench, scene.program, scene.echo)
        bench.gateway.receive(.close(.stop))
        #expect(bench.run { echo.resets == 1 && (program.hasEnded || program.isBroken) })
        #expect(bench.link.held.count == 0 && bench.gateway.held.count == 0)
    }
}
