import Primitives
import Testing

@testable import QUIC
@testable import Tunnel

private let wifi = PolicyBench.wifi
private let cellular = PolicyBench.cellular
private let wired = PolicyBench.wired

@Suite("The path policy believes what the system says of its links")
struct PathLinkTests {
    @Test("a new link is opened and validated at once, and nothing moves")
    func newLink() throws {
        var bench = PolicyBench.connected([wifi])
        bench.links([wifi, cellular])
        let local = try bench.local(cellular)
        #expect(bench.take() == [.openSocket(cellular), .add(local)])
        #expect(bench.place == "wlan0")
    }

    @Test(
        "when the address of the active path goes, the connection moves at once and the old socket is closed",
        arguments: [[cellular], [wifi.down, cellular]])
    func gone(left: [LinkAddress]) throws {
        var bench = PolicyBench.connected()
        let (old, new) = (try bench.local(wifi), try bench.local(cellular))
        bench.links(left)
        #expect(bench.take() == [.activate(new, .linkDown), .closeSocket(old)])
        bench.pass(60)
        bench.hear(bytes: 1_200)
        #expect(bench.take().contains(.remove(old)), "what was acknowledged here need not be sent again")
    }

    @Test("a validated standby comes before a better one that is not")
    func validatedFirst() throws {
        var bench = PolicyBench.connected([wifi, cellular], validating: [wired])
        bench.links([wired, cellular])
        #expect(bench.takeMoves() == [Move("wwan0", .linkDown)])
    }

    @Test("among validated standbys the rank decides")
    func rank() {
        var bench = PolicyBench.connected([wifi, cellular, wired]) { $0.returnAfter = .seconds(1_000) }
        bench.links([wired, cellular])
        #expect(bench.takeMoves() == [Move("eth0", .linkDown)])
    }

    @Test("without a validated one an unvalidated standby has to do")
    func unvalidated() {
        var bench = PolicyBench.connected([wifi], validating: [cellular])
        bench.links([cellular])
        #expect(bench.takeMoves() == [Move("wwan0", .linkDown)])
    }

    @Test("without any other link the next one that comes is used at once")
    func stranded() throws {
        var bench = PolicyBench.connected([wifi])
        let old = try bench.local(wifi)
        bench.links([])
        #expect(bench.take() == [.closeSocket(old)])
        bench.pass(2_000)
        _ = bench.take()
        bench.links([cellular])
        let new = try bench.local(cellular)
        #expect(bench.take() == [.openSocket(cellular), .add(new), .activate(new, .linkDown)])
    }

    @Test("a new address of the same link is used at once, whatever other links there are")
    func renewed() throws {
        var bench = PolicyBench.connected()
        let old = try bench.local(wifi)
        let renewed = PolicyBench.link("wlan0", 11)
        bench.links([renewed, cellular])
        let new = try bench.local(renewed)
        #expect(
            bench.take() == [
                .openSocket(renewed), .closeSocket(old), .add(new), .activate(new, .addressChanged),
            ])
    }

    @Test("where the new address cannot be bound, a standby is used")
    func renewedButRefused() {
        var bench = PolicyBench.connected()
        let renewed = PolicyBench.link("wlan0", 11)
        bench.refused = [renewed]
        bench.links([renewed, cellular])
        #expect(bench.takeMoves() == [Move("wwan0", .addressChanged)])
    }

    @Test("an address that comes before the old one goes is validated, and then used")
    func renewedInTime() {
        var bench = PolicyBench.connected()
        let renewed = PolicyBench.link("wlan0", 11)
        bench.links([wifi, renewed, cellular])
        bench.answer(renewed, roundTrip: .milliseconds(20))
        _ = bench.take()
        bench.links([renewed, cellular])
        #expect(bench.takeMoves() == [Move("wlan0", .addressChanged)])
    }

    @Test("a standby whose address goes is forgotten")
    func standbyGone() throws {
        var bench = PolicyBench.connected()
        let local = try bench.local(cellular)
        bench.links([wifi])
        #expect(bench.take() == [.remove(local), .closeSocket(local)])
    }

    @Test("a socket that opens after its link went is closed")
    func late() {
        var bench = PolicyBench.connected()
        let local = wired.networkAddress(port: 7)
        bench.policy.socketOpened(wired, as: local, at: bench.now)
        bench.drain()
        #expect(bench.take() == [.closeSocket(local)])
    }

    @Test("a write error moves the connection and replaces the socket")
    func writeError() throws {
        var bench = PolicyBench.connected()
        let (old, new) = (try bench.local(wifi), try bench.local(cellular))
        bench.refuseWrites(on: wifi)
        #expect(bench.take() == [.activate(new, .writeError), .closeSocket(old)])
        bench.hear(bytes: 100)
        bench.pass(200)
        #expect(bench.take().contains(.openSocket(wifi)))
    }

    @Test("a write error on the only path never ends the connection: its socket is opened again")
    func writeErrorOnOnlyPath() throws {
        var bench = PolicyBench.connected([wifi])
        let old = try bench.local(wifi)
        bench.refuseWrites(on: wifi)
        #expect(bench.take() == [.closeSocket(old)])
        bench.pass(200)
        #expect(bench.takeMoves() == [Move("wlan0", .writeError)])
        #expect(bench.policy.nextDeadline != nil)
    }

    @Test("a refused socket is tried again, less and less often, and at once when the links change")
    func refusedSocket() {
        var bench = PolicyBench.connected([wifi])
        bench.refused = [cellular]
        let start = bench.now
        bench.links([wifi, cellular])
        bench.pass(.seconds(10))
        let tries = bench.takeTimes(of: { $0 == .openSocket(cellular) }, since: start)
        #expect(tries == [0, 200, 600, 1_400, 3_000, 6_200])
        bench.refused = []
        bench.links([wifi, cellular, wired])
        #expect(bench.take().contains(.openSocket(cellular)))
    }

    @Test(
        "what cannot lead to the gateway, or is ignored, is no path",
        arguments: [
            PolicyBench.link("docker0", 40), PolicyBench.link("lo", 41), PolicyBench.link("wlan1", 42, isUsable: false),
            LinkAddress(
                interface: "lo1", index: 1, address: IPAddress(ipv4: 0x7f00_0001), mtu: 65_536, routeMetric: nil,
                isUsable: true),
            LinkAddress(
                interface: "wlan1", index: 1, address: IPAddress(ipv6High: 0x2001_0db8_0000_0000, low: 1), mtu: 1_500,
                routeMetric: 100, isUsable: true),
            LinkAddress(
                interface: "wlan1", index: 1, address: IPAddress(ipv4: 0xa9fe_0101), mtu: 1_500, routeMetric: nil,
                isUsable: true),
        ])
    func unfit(link: LinkAddress) {
        var bench = PolicyBench.connected([wifi])
        bench.links([wifi, link])
        #expect(bench.take() == [])
    }

    /// mosh#855.
    @Test("a link of the other family is a path where the gateway has an address of that family")
    func otherFamily() {
        let link = LinkAddress(
            interface: "wlan1", index: 1, address: IPAddress(ipv6High: 0x2a00_0000_0000_0000, low: 1), mtu: 1_500,
            routeMetric: 100, isUsable: true)
        var bench = PolicyBench()
        bench.policy.linksChanged([wifi, link], at: bench.now)
        bench.policy.connected(
            local: bench.active, remote: PolicyBench.gateway,
            alternatives: [NetworkAddress(IPAddress(ipv6High: 0x2a01_0000_0000_0000, low: 1), port: 4_433)],
            at: bench.now)
        bench.drain()
        #expect(bench.take().contains(.openSocket(link)))
    }

    @Test("of many links the best few become paths")
    func many() {
        var bench = PolicyBench.connected([wifi])
        bench.links([wifi] + (0..<20).map { PolicyBench.link("tun\($0)", 100 + UInt32($0)) } + [wired])
        let sockets = bench.take().filter { if case .openSocket = $0 { true } else { false } }
        #expect(sockets.count == PathTimings.mostCandidates - 1)
        #expect(sockets.first == .openSocket(wired))
    }

    @Test("a socket that is bound to nothing says something when the links change")
    func unbound() {
        var bench = PolicyBench()
        let local = NetworkAddress(IPAddress(ipv4: 0), port: 4_000)
        bench.policy.connected(local: local, remote: PolicyBench.gateway, at: bench.now)
        bench.drain()
        _ = bench.take()
        bench.refused = [wifi]
        bench.links([wifi])
        #expect(bench.take() == [.openSocket(wifi), .ping])
    }

    @Test("the sockets are given back when the connection ends, and nothing is wanted any more")
    func disconnected() throws {
        var bench = PolicyBench.connected()
        let sockets = [try bench.local(wifi), try bench.local(cellular)]
        bench.policy.disconnected(at: bench.now)
        bench.drain()
        #expect(bench.take() == sockets.map { .closeSocket($0) })
        #expect(bench.policy.nextDeadline == nil)
        bench.links([wired])
        #expect(bench.take() == [])
    }
}

@Suite("The rank of a path")
struct PathRankTests {
    @Test(
        "patterns stand for any characters or for one",
        arguments: [
            ("*", "anything", true), ("*", "", true), ("eth*", "eth0", true), ("eth*", "eth", true),
            ("eth*", "veth0", false), ("wl?n0", "wlan0", true), ("wl?n0", "wln0", false), ("wlan0", "wlan0", true),
            ("wlan0", "wlan01", false), ("*0", "wlan0", true), ("*0", "wlan01", false), ("w*n*0", "wlannn10", true),
            ("**", "x", true), ("", "", true), ("", "x", false), ("?", "", false), ("*a*b", "aab", true),
            ("*a*b", "aba", false),
        ])
    func patterns(pattern: String, name: String, fits: Bool) {
        #expect(InterfacePattern(pattern).matches(name) == fits)
    }

    @Test(
        "first the user's order, then the metric of the route, then what costs nothing",
        arguments: [
            (PolicyBench.link("eth0", 1, metric: 900), PolicyBench.link("wlan0", 2, metric: 1)),
            (PolicyBench.link("wlan0", 1, metric: 900), PolicyBench.link("usb0", 2, metric: 1)),
            (PolicyBench.link("usb0", 1, metric: 10), PolicyBench.link("usb1", 2, metric: 11)),
            (PolicyBench.link("usb0", 1, metric: 10), PolicyBench.link("usb1", 2, metric: nil)),
            (PolicyBench.link("usb0", 1, metric: 10), PolicyBench.link("wwan0", 2, metric: 10)),
            (PolicyBench.link("wwan0", 1, metric: 10), PolicyBench.link("docker0", 2, metric: 1)),
        ])
    func order(better: LinkAddress, worse: LinkAddress) {
        let configuration = PathPolicy.Configuration()
        #expect(PathRank(better, configuration) < PathRank(worse, configuration))
        #expect(PathRank(worse, configuration) < PathRank(nil, configuration))
    }
}
