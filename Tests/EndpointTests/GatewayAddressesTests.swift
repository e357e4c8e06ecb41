import EventLoop
import Primitives
import Testing

@testable import Gateway

@Suite("Where a gateway says that it is")
struct GatewayAddressesTests {
    private func address(_ text: String) throws -> NetworkAddress { try #require(NetworkAddress(text)) }

    private let own = ["127.0.0.1", "10.0.0.5", "9.9.9.9", "fe80::1", "2620:fe::fe", "2620:fe::9"].compactMap {
        IPAddress($0)
    }

    @Test("what the configuration says holds")
    func configured() throws {
        let addresses = GatewayAddresses(
            configured: [try address("10.1.1.1:4")], listen: [try address("[::]:5")], own: own)
        #expect(addresses.ipv4 == (try address("10.1.1.1:4")))
        #expect(addresses.ipv6 == nil)
    }

    @Test("without it, the first global address of each family that is listened on")
    func global() throws {
        let both = GatewayAddresses(
            configured: nil, listen: [try address("0.0.0.0:443"), try address("[::]:444")], own: own)
        #expect(both.ipv4 == (try address("9.9.9.9:443")))
        #expect(both.ipv6 == (try address("[2620:fe::fe]:444")))
        let one = GatewayAddresses(configured: nil, listen: [try address("[2620:fe::9]:443")], own: own)
        #expect(one.ipv4 == nil)
        #expect(one.ipv6 == (try address("[2620:fe::9]:443")))
    }

    @Test("what cannot be reached from everywhere is not told unless it is configured")
    func privateNetwork() throws {
        let addresses = GatewayAddresses(
            configured: nil, listen: [try address("10.0.0.5:443"), try address("[::1]:443")], own: own)
        #expect(addresses.ipv4 == nil && addresses.ipv6 == nil)
    }
}
