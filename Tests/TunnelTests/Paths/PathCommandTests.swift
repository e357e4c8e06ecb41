import Primitives
import Testing

@testable import QUIC
@testable import Tunnel

private let wifi = PolicyBench.wifi
private let cellular = PolicyBench.cellular

@Suite("Commands of the user")
struct PathCommandTests {
    @Test("an address of an ignored interface can be added and used")
    func addIgnored() throws {
        let docker = PolicyBench.link("docker0", 40)
        var bench = PolicyBench.connected([wifi])
        bench.links([wifi, docker])
        #expect(bench.take() == [])
        try bench.command { try $0.add(docker.address, at: $1) }
        #expect(bench.take() == [.openSocket(docker), .add(try bench.local(docker))])
        #expect(bench.place == "wlan0")
    }

    @Test("a standby that is added again is challenged again")
    func addAgain() throws {
        var bench = PolicyBench.connected()
        try bench.command { try $0.add(cellular.address, at: $1) }
        #expect(bench.take() == [.probe(try bench.local(cellular))])
    }

    @Test("an address whose socket is not open yet is used as soon as it is")
    func useNew() throws {
        let docker = PolicyBench.link("docker0", 40)
        var bench = PolicyBench.connected([wifi])
        bench.links([wifi, docker])
        try bench.command { try $0.use(docker.address, at: $1) }
        #expect(bench.takeMoves() == [Move("docker0", .manual)])
    }

    @Test("an active path that is removed hands over first, and is not used again until it is added")
    func remove() throws {
        var bench = PolicyBench.connected()
        let (old, new) = (try bench.local(wifi), try bench.local(cellular))
        try bench.command { try $0.remove(wifi.address, at: $1) }
        #expect(bench.take() == [.activate(new, .manual), .remove(old), .closeSocket(old)])
        bench.links([wifi, cellular, PolicyBench.wired])
        #expect(!bench.take().contains(.openSocket(wifi)))
        try bench.command { try $0.add(wifi.address, at: $1) }
        #expect(bench.take().contains(.openSocket(wifi)))
    }

    @Test("what cannot be done is refused with a reason")
    func refused() {
        let unknown = IPAddress(ipv4: 0x0b00_0001)
        let six = LinkAddress(
            interface: "wlan0", index: 1, address: IPAddress(ipv6High: 0x2a00_0000_0000_0000, low: 1), mtu: 1_500,
            routeMetric: 100, isUsable: true)
        var idle = PolicyBench()
        #expect(throws: PathRequestError.notConnected) { try idle.command { try $0.use(wifi.address, at: $1) } }
        #expect(throws: PathRequestError.notConnected) { try idle.command { try $0.remove(wifi.address, at: $1) } }
        var bench = PolicyBench.connected([wifi])
        bench.links([wifi, cellular.down, six])
        #expect(throws: PathRequestError.unknownAddress(unknown)) { try bench.command { try $0.add(unknown, at: $1) } }
        #expect(throws: PathRequestError.unusable(cellular.address, interface: "wwan0")) {
            try bench.command { try $0.use(cellular.address, at: $1) }
        }
        #expect(throws: PathRequestError.unreachable(six.address)) {
            try bench.command { try $0.use(six.address, at: $1) }
        }
        #expect(throws: PathRequestError.lastPath(wifi.address)) {
            try bench.command { try $0.remove(wifi.address, at: $1) }
        }
        #expect(throws: PathRequestError.unknownAddress(unknown)) {
            try bench.command { try $0.remove(unknown, at: $1) }
        }
    }
}

@Suite("Records of handovers")
struct HandoverRecordTests {
    @Test("tell when, why, from, to and how long nothing came")
    func record() throws {
        var bench = PolicyBench.connected()
        bench.flow(milliseconds: 200)
        let places = [try bench.local(wifi), try bench.local(cellular)]
        bench.pass(30)
        let at = bench.now
        bench.pass(61)
        bench.hear(bytes: 1_200)
        let record = Handover(
            at: at, reason: .silence, from: .init(places[0], interface: "wlan0"),
            to: .init(places[1], interface: "wwan0"), stall: .milliseconds(91))
        #expect(bench.policy.handovers == [record])
        #expect(bench.take().last == .handedOver(record))
    }

    @Test("a connection that waited for nothing was not stalled before the switch")
    func idle() {
        var bench = PolicyBench.connected()
        bench.pass(.seconds(600))
        bench.links([cellular])
        bench.pass(60)
        bench.hear(bytes: 50)
        #expect(bench.policy.handovers.map(\.stall) == [.milliseconds(60)])
    }

    @Test("a handover that another one overtakes has no stall; the other's counts from the beginning")
    func overtaken() {
        var bench = PolicyBench.connected([wifi, cellular, PolicyBench.wired])
        bench.flow(milliseconds: 200)
        bench.links([cellular, PolicyBench.wired])
        bench.pass(20)
        bench.links([cellular])
        bench.pass(70)
        bench.hear(bytes: 1_200)
        #expect(bench.policy.handovers.map(\.stall) == [nil, .milliseconds(90)])
        #expect(bench.policy.handovers.map(\.to.interface) == ["eth0", "wwan0"])
    }

    @Test("the last 32 are kept")
    func bounded() {
        var bench = PolicyBench.connected()
        for index in 0..<40 {
            bench.links(index % 2 == 0 ? [wifi.down, cellular] : [wifi, cellular.down])
            bench.pass(60)
            bench.hear(bytes: 100)
            bench.links([wifi, cellular])
            bench.answer(index % 2 == 0 ? wifi : cellular)
        }
        #expect(bench.policy.handovers.count == 32)
        #expect(bench.policy.handovers.allSatisfy { $0.stall == .milliseconds(60) })
    }
}
