import Configuration
import EventLoop
import Primitives
import Telemetry
import Testing

@testable import Gateway

/// Answers at once.
private final class Numbers: MetricsSource {
    func metricsWanted(by request: MetricsRequest) { request.reply("godwit_tunnels 3\n") }
}

@Suite("Metrics")
struct MetricsTests {
    @Test(
        "the first line says what is asked for",
        arguments: [
            ("GET /metrics HTTP/1.1\r\n\r\n", .metrics), ("GET /metrics?x=1 HTTP/1.0\r\n\r\n", .metrics),
            ("GET / HTTP/1.1\r\n\r\n", .otherPath), ("GET /metricsx HTTP/1.1\r\n\r\n", .otherPath),
            ("POST /metrics HTTP/1.1\r\n\r\n", .otherMethod), ("GET /metrics HTTP/2.0\r\n\r\n", .malformed),
            ("GET /metrics\r\n\r\n", .malformed), ("\r\n\r\n", .malformed),
            ("GET  /metrics HTTP/1.1\r\n\r\n", .malformed),
        ] as [(String, MetricsRequest.Wish)])
    func wishes(head: String, wish: MetricsRequest.Wish) {
        #expect(MetricsRequest.Wish(bytes(head)) == wish)
    }

    @Test("a request is answered and its connection closed; a head without end is not waited for beyond its bound")
    func answers() throws {
        let bench = try Bench()
        let numbers = Numbers()
        let server = try MetricsServer(.anyLoopbackPort, on: bench.loop, source: numbers)
        defer { server.close() }
        let asker = try bench.program(to: server.address, sends: bytes("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"))
        #expect(bench.run { asker.hasEnded || asker.isBroken })
        #expect(asker.text.hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(asker.text.hasSuffix("\r\nConnection: close\r\n\r\ngodwit_tunnels 3\n"))
        let other = try bench.program(to: server.address, sends: bytes("GET / HTTP/1.1\r\n\r\n"))
        #expect(bench.run { other.hasEnded || other.isBroken })
        #expect(other.text.hasPrefix("HTTP/1.1 404 "))
        let endless = try bench.program(
            to: server.address, sends: [UInt8](repeating: UInt8(ascii: "a"), count: MetricsRequest.longestHead))
        #expect(bench.run { endless.hasEnded || endless.isBroken })
        #expect(endless.received.isEmpty)
    }

    @Test("every counter has its line, and so has every replica")
    func lines() throws {
        let name = try #require(HostPort("mirror.test:80"))
        let groups = OriginGroups()
        groups.configure([.init(name: name, replicas: [try #require(HostPort("10.0.0.5:80"))])], at: .origin)
        let status = GatewayStatus(listen: [], reports: [], replicas: groups.replicas)
        let lines = status.metrics.split(separator: "\n").map(String.init)
        for (counter, _) in Counters.all { #expect(lines.contains("godwit_\(counter)_total 0")) }
        #expect(lines.contains("godwit_replica_usable{name=\"mirror.test:80\",replica=\"10.0.0.5:80\"} 1"))
        #expect(lines.contains("godwit_replica_connections{name=\"mirror.test:80\",replica=\"10.0.0.5:80\"} 0"))
        #expect(lines.contains("# TYPE godwit_tunnels gauge"))
        #expect(lines.contains("godwit_tunnels 0"))
    }
}
