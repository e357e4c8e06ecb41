import EventLoop
import Primitives
import Testing

/// Writes down what it hears.
final class LinkRecorder: LinkMonitorHandler {
    var told: [[LinkAddress]] = []
    func linksChanged(_ links: [LinkAddress]) { told.append(links) }
}

@Suite("Link monitor")
struct LinkMonitorTests {
    private static let near = IPAddress("192.0.2.1")

    /// What `change` makes of the address of `near`, and how often something was told.
    private struct Outcome {
        var before: LinkAddress?
        var after: LinkAddress?
        var all: [LinkAddress]
        var tellings: Int
    }

    /// Has `change` happen while a monitor watches, until `isDone` or five seconds are over.
    private static func watch(
        setUp: String = "link set lo up", _ change: @escaping () throws -> Void,
        until isDone: @escaping ([LinkAddress]) -> Bool
    ) throws -> Outcome {
        try NetworkNamespace.run {
            try NetworkNamespace.makeLinks()
            try NetworkNamespace.ip(setUp)
            let loop = try EventLoop()
            let recorder = LinkRecorder()
            let monitor = try LinkMonitor(on: loop, handler: recorder)
            defer { monitor.close() }
            // Carriers and duplicate address detection settle by themselves.
            _ = loop.run { monitor.links.contains { $0.address == near && $0.isUsable } }
            loop.settle()
            let before = monitor.links.first { $0.address == near }
            recorder.told = []
            try change()
            _ = loop.run { isDone(monitor.links) }
            loop.settle()
            return Outcome(
                before: before, after: monitor.links.first { $0.address == near }, all: monitor.links,
                tellings: recorder.told.count)
        }
    }

    @Test("what there is is known at once, without privilege")
    func known() throws {
        let loop = try EventLoop()
        let recorder = LinkRecorder()
        let monitor = try LinkMonitor(on: loop, handler: recorder)
        let loopback = try #require(monitor.links.first { $0.address == .loopback(.ipv4) })
        #expect(loopback.interface == "lo" && loopback.isUsable && loopback.mtu >= 16_384)
        let listed = Set(try NetworkInterface.all().map(\.address.ip))
        #expect(Set(monitor.links.map(\.address)) == listed)
        loop.settle()
        #expect(recorder.told.isEmpty)
        monitor.close()
        monitor.close()
    }

    @Test("a link that goes down is not usable", .enabled(if: NetworkNamespace.isPermitted, "\(NetworkNamespace.need)"))
    func linkDown() throws {
        let outcome = try Self.watch {
            try NetworkNamespace.ip("link set near down")
        } until: { links in
            links.contains { $0.address == Self.near && !$0.isUsable }
        }
        #expect(outcome.before?.isUsable == true && outcome.before?.interface == "near")
        #expect(outcome.before?.mtu == 1500)
        #expect(outcome.after?.isUsable == false)
    }

    @Test(
        "a link without a carrier is not usable", .enabled(if: NetworkNamespace.isPermitted, "\(NetworkNamespace.need)")
    )
    func carrierLost() throws {
        let outcome = try Self.watch {
            try NetworkNamespace.ip("link set far down")
        } until: { links in
            links.contains { $0.address == Self.near && !$0.isUsable }
        }
        #expect(outcome.after?.isUsable == false)
    }

    @Test(
        "removed addresses and links are gone, and routes with them",
        .enabled(if: NetworkNamespace.isPermitted, "\(NetworkNamespace.need)"),
        arguments: ["addr del 192.0.2.1/24 dev near", "link del near"])
    func removed(command: String) throws {
        let outcome = try Self.watch(setUp: "route add default via 192.0.2.254 metric 7") {
            try NetworkNamespace.ip(command)
        } until: { links in
            !links.contains { $0.address == Self.near }
        }
        #expect(outcome.before?.routeMetric == 7)
        #expect(outcome.after == nil)
    }

    @Test(
        "the metric of default routes is followed, also where the system does not tell of their end",
        .enabled(if: NetworkNamespace.isPermitted, "\(NetworkNamespace.need)"))
    func metric() throws {
        let lowered = try Self.watch(setUp: "route add default via 192.0.2.254 metric 70") {
            try NetworkNamespace.ip("route add default via 192.0.2.253 metric 30")
        } until: { links in
            links.contains { $0.routeMetric == 30 }
        }
        #expect(lowered.before?.routeMetric == 70 && lowered.after?.routeMetric == 30)
        let gone = try Self.watch(setUp: "route add default via 192.0.2.254 metric 70") {
            try NetworkNamespace.ip("link set near down")
        } until: { links in
            links.contains { $0.address == Self.near && $0.routeMetric == nil }
        }
        #expect(gone.before?.routeMetric == 70 && gone.after?.routeMetric == nil)
        #expect(gone.after != nil)
    }

    @Test(
        "a route to what is to be reached counts like a default route",
        .enabled(if: NetworkNamespace.isPermitted, "\(NetworkNamespace.need)"))
    func routeToRemote() throws {
        let metrics = try NetworkNamespace.run {
            try NetworkNamespace.makeLinks()
            try NetworkNamespace.ip("route add 198.51.100.0/24 via 192.0.2.254 metric 9")
            let loop = try EventLoop()
            let recorder = LinkRecorder()
            let monitor = try LinkMonitor(on: loop, handler: recorder)
            defer { monitor.close() }
            var metrics: [UInt32?] = [monitor.links.first { $0.address == Self.near }?.routeMetric]
            for remote in ["198.51.100.77", "203.0.113.1"] {
                monitor.remote = IPAddress(remote)
                loop.turnSoon()
                loop.settle()
                metrics.append(monitor.links.first { $0.address == Self.near }?.routeMetric)
            }
            return metrics
        }
        #expect(metrics == [nil, 9, nil])
    }

    @Test(
        "what changes within one turn is told once",
        .enabled(if: NetworkNamespace.isPermitted, "\(NetworkNamespace.need)"))
    func coalesced() throws {
        let outcome = try Self.watch {
            try NetworkNamespace.ip(
                "addr add 192.0.2.2/24 dev near", "addr add 192.0.2.3/24 dev near", "addr del 192.0.2.2/24 dev near")
        } until: {
            $0.contains { $0.address == IPAddress("192.0.2.3") }
        }
        #expect(outcome.tellings == 1)
        #expect(!outcome.all.contains { $0.address == IPAddress("192.0.2.2") })
    }

    @Test(
        "after notifications were lost everything is read again",
        .enabled(if: NetworkNamespace.isPermitted, "\(NetworkNamespace.need)"))
    func overrun() throws {
        let outcome = try Self.watch {
            // Far more than the socket's buffer holds; the loop does not run meanwhile.
            var lines: [String] = []
            for round in 0..<60 {
                for host in 2..<100 { lines.append("addr add 198.51.\(round).\(host)/24 dev near") }
                lines.append("addr flush dev near to 198.51.\(round).0/24")
            }
            lines += ["addr add 203.0.113.7/32 dev near", "addr del 192.0.2.1/24 dev near"]
            try NetworkNamespace.ip(lines.joined(separator: "\n"))
        } until: { links in
            links.contains { $0.address == IPAddress("203.0.113.7") } && !links.contains { $0.address == Self.near }
        }
        let left = outcome.all.filter { $0.interface == "near" && $0.address.family == .ipv4 }
        #expect(left.map(\.address) == [IPAddress("203.0.113.7")])
    }

    @Test(
        "an IPv6 address serves once no other host is known to have it",
        .enabled(if: NetworkNamespace.isPermitted, "\(NetworkNamespace.need)"))
    func tentative() throws {
        let told = try NetworkNamespace.run {
            try NetworkNamespace.makeLinks()
            let loop = try EventLoop()
            let recorder = LinkRecorder()
            let monitor = try LinkMonitor(on: loop, handler: recorder)
            defer { monitor.close() }
            try NetworkNamespace.ip("addr add 2001:db8::1/64 dev near")
            let address = IPAddress("2001:db8::1")
            _ = loop.run { monitor.links.contains { $0.address == address && $0.isUsable } }
            return recorder.told.compactMap { $0.first { $0.address == address }?.isUsable }
        }
        #expect(told.first == false && told.last == true)
    }
}
