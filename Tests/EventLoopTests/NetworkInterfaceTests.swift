import EventLoop
import Primitives
import Testing

@Suite("Network interfaces")
struct NetworkInterfaceTests {
    @Test("loopback is listed with its address, prefix and MTU")
    func loopbackInterface() throws {
        let interface = try #require(
            try NetworkInterface.all().first { $0.address.ip == .loopback(.ipv4) })
        #expect(interface.isLoopback && interface.isUp)
        #expect(interface.prefixLength == 8)
        #expect(interface.index > 0)
        #expect(interface.mtu == NetworkInterface.mtu(of: .loopback(.ipv4)))
        #expect(interface.mtu >= 16_384)
    }

    @Test("an address that no interface has, has no MTU")
    func unknownAddress() {
        #expect(NetworkInterface.mtu(of: IPAddress(ipv4: 0xc633_6401)) == nil)
    }

    @Test("the route to this machine starts at this machine", arguments: [IPAddress.Family.ipv4, .ipv6])
    func route(family: IPAddress.Family) throws {
        let route = try NetworkInterface.route(to: loopback(family, port: 9))
        #expect(route.local == loopback(family))
        #expect(route.mtu >= 16_384)
    }
}
