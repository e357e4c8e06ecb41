import Configuration
import EventLoop
import Primitives
import Testing
import Tunnel

@testable import Gateway
@testable import LocalEndpoint

@Suite("Local ports")
struct LocalListenerTests {
    static func forward(to port: UInt16) -> LocalConfiguration.Forward {
        .init(listen: .anyLoopbackPort, destination: Destination(.address(.loopback(.ipv4)), port: port))
    }

    static func connect(to port: UInt16) -> [UInt8] {
        [5, 1, 0] + [5, 1, 0, 1, 127, 0, 0, 1, UInt8(port >> 8), UInt8(port & 0xff)]
    }

    @Test("a forwarded port carries bytes both ways and ends in order, one direction after the other")
    func forward() throws {
        let bench = try Bench()
        bench.links.start()
        let echo = try bench.echo()
        let listener = try ForwardListener(
            Self.forward(to: echo.port), links: bench.links, sockets: bench.sockets)
        let program = try bench.program(to: listener.localAddress, sends: bytes("over the sea"))
        #expect(bench.run { program.text == "over the sea" })
        try program.stream?.shutdownWrite()
        #expect(bench.run { program.hasEnded })
        #expect(!program.isBroken)
        #expect(bench.run { bench.links.tunnelCount == 0 })
    }

    @Test("bytes keep coming while the local socket is replaced")
    func rebinding() throws {
        let bench = try Bench()
        bench.links.start()
        let echo = try bench.echo()
        let listener = try ForwardListener(
            Self.forward(to: echo.port), links: bench.links, sockets: bench.sockets)
        let program = try bench.program(to: listener.localAddress)
        for round in 1...3 {
            program.send([UInt8(round)])
            #expect(bench.run { program.received.count == round })
            try bench.link.rebind()
        }
        #expect(program.received == [1, 2, 3])
    }

    @Test("a destination that refuses is a reset, never an end")
    func refused() throws {
        let bench = try Bench()
        bench.links.start()
        let listener = try ForwardListener(
            Self.forward(to: try bench.deadPort()), links: bench.links, sockets: bench.sockets)
        let program = try bench.program(to: listener.localAddress, sends: bytes("x"))
        #expect(bench.run { program.isBroken || program.hasEnded })
        #expect(program.isBroken && !program.hasEnded)
    }

    @Test("a program's reset reaches the destination")
    func reset() throws {
        let bench = try Bench()
        bench.links.start()
        let echo = try bench.echo()
        let listener = try ForwardListener(
            Self.forward(to: echo.port), links: bench.links, sockets: bench.sockets)
        let program = try bench.program(to: listener.localAddress, sends: bytes("x"))
        #expect(bench.run { program.text == "x" })
        program.stream?.abort()
        #expect(bench.run { echo.resets == 1 })
    }

    @Test("SOCKS5 answers when the tunnel is up, and takes bytes that came with the request")
    func socks() throws {
        let bench = try Bench()
        bench.links.start()
        let echo = try bench.echo()
        let listener = try ProxyListener(
            .socks, .init(listen: .anyLoopbackPort), links: bench.links, sockets: bench.sockets)
        let program = try bench.program(to: listener.localAddress, sends: Self.connect(to: echo.port) + bytes("early"))
        #expect(bench.run { program.text.hasSuffix("early") })
        #expect(program.received.starts(with: [5, 0, 5, 0]))
    }

    @Test("SOCKS5 names the reason: connection refused is reply 5")
    func socksRefused() throws {
        let bench = try Bench()
        bench.links.start()
        let listener = try ProxyListener(
            .socks, .init(listen: .anyLoopbackPort), links: bench.links, sockets: bench.sockets)
        let program = try bench.program(to: listener.localAddress, sends: Self.connect(to: try bench.deadPort()))
        #expect(bench.run { program.hasEnded || program.isBroken })
        #expect(program.received.starts(with: [5, 0, 5, 5]))
        #expect(program.hasEnded)
    }

    @Test("HTTP CONNECT is answered by 200, and by 502 with a sentence when the destination refuses")
    func httpConnect() throws {
        let bench = try Bench()
        bench.links.start()
        let (echo, dead) = (try bench.echo(), try bench.deadPort())
        let listener = try ProxyListener(
            .http, .init(listen: .anyLoopbackPort), links: bench.links, sockets: bench.sockets)
        func request(_ port: UInt16) -> [UInt8] {
            bytes("CONNECT 127.0.0.1:\(port) HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\n\r\n")
        }
        let good = try bench.program(to: listener.localAddress, sends: request(echo.port))
        #expect(bench.run { good.text.hasSuffix("\r\n\r\n") })
        #expect(good.text.hasPrefix("HTTP/1.1 200 "))
        good.send(bytes("hello"))
        #expect(bench.run { good.text.hasSuffix("hello") })
        let bad = try bench.program(to: listener.localAddress, sends: request(dead))
        #expect(bench.run { bad.hasEnded })
        #expect(bad.text.hasPrefix("HTTP/1.1 502 "))
        #expect(bad.text.contains("connection refused by 127.0.0.1:\(dead)"))
    }

    @Test("of what follows a forwarded request only its body reaches the origin")
    func httpForward() throws {
        let bench = try Bench()
        bench.links.start()
        let echo = try bench.echo()
        let listener = try ProxyListener(
            .http, .init(listen: .anyLoopbackPort), links: bench.links, sockets: bench.sockets)
        let address = "127.0.0.1:\(echo.port)"
        let head = "POST http://\(address)/a HTTP/1.1\r\nHost: \(address)\r\nContent-Length: 6\r\n\r\n"
        let program = try bench.program(to: listener.localAddress, sends: bytes(head + "abc"))
        #expect(bench.run { program.text.hasSuffix("abc") })
        program.send(bytes("defGET http://other/ HTTP/1.1\r\nProxy-Authorization: secret\r\n\r\n"))
        #expect(bench.run { program.text.hasSuffix("abcdef") })
        try program.stream?.shutdownWrite()
        #expect(bench.run { program.hasEnded })
        let origin = String(decoding: echo.received, as: UTF8.self)
        #expect(origin.hasPrefix("POST /a HTTP/1.1\r\n"))
        #expect(origin.hasSuffix("\r\n\r\nabcdef"))
    }

    @Test("a body that is no chunked coding resets the exchange")
    func brokenBody() throws {
        let bench = try Bench()
        bench.links.start()
        let echo = try bench.echo()
        let listener = try ProxyListener(
            .http, .init(listen: .anyLoopbackPort), links: bench.links, sockets: bench.sockets)
        let address = "127.0.0.1:\(echo.port)"
        let head = "POST http://\(address)/ HTTP/1.1\r\nHost: \(address)\r\nTransfer-Encoding: chunked\r\n\r\n"
        let program = try bench.program(to: listener.localAddress, sends: bytes(head))
        #expect(bench.run { program.text.hasSuffix("\r\n\r\n") })
        program.send(bytes("no chunk"))
        #expect(bench.run { program.isBroken })
    }

    @Test("a configuration that was read again closes and opens ports, and leaves the others and their tunnels alone")
    func reload() throws {
        let bench = try Bench()
        bench.links.start()
        let echo = try bench.echo()
        var configuration = LocalConfiguration(surroundings: Surroundings(variables: [:], userID: 1))
        configuration.forwards = [Self.forward(to: echo.port)]
        configuration.socks = [.init(listen: .anyLoopbackPort)]
        let listeners = LocalListeners(links: bench.links, sockets: bench.sockets)
        #expect(listeners.follow(configuration).isEmpty)
        let before = listeners.addresses
        #expect(before.count == 2)
        let program = try bench.program(to: before.first, sends: bytes("a"))
        #expect(bench.run { program.text == "a" })

        configuration.socks = []
        configuration.http = [.init(listen: .anyLoopbackPort)]
        #expect(listeners.follow(configuration).isEmpty)
        #expect(listeners.addresses.count == 2)
        #expect(listeners.addresses.first == before.first)
        #expect(listeners.addresses.last != before.last)

        configuration.forwards = []
        configuration.http.append(.init(listen: try #require(listeners.addresses.last)))
        // The port is taken: the rest is done all the same.
        #expect(listeners.follow(configuration).count == 1)
        #expect(listeners.addresses.count == 1)
        program.send(bytes("b"))
        #expect(bench.run { program.text == "ab" })
    }
}
