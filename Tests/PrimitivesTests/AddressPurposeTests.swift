import Primitives
import Testing

@Suite("Address purposes")
struct AddressPurposeTests {
    @Test(
        "ranges start and end where the registries say",
        arguments: [
            (.unspecified, ["0.0.0.0", "0.255.255.255", "::"]), (.loopback, ["127.0.0.0", "127.255.255.255", "::1"]),
            (.linkLocal, ["169.254.0.0", "169.254.255.255", "fe80::", "febf:ffff::1"]),
            (
                .privateUse,
                ["10.0.0.0", "10.255.255.255", "172.16.0.0", "172.31.255.255", "192.168.0.0", "192.168.255.255"]
            ),
            (.uniqueLocal, ["fc00::", "fdff:ffff::1"]), (.carrierShared, ["100.64.0.0", "100.127.255.255"]),
            (.multicast, ["224.0.0.0", "239.255.255.255", "ff00::", "ff02::1"]), (.broadcast, ["255.255.255.255"]),
            (.documentation, ["192.0.2.0", "198.51.100.255", "203.0.113.7", "2001:db8::1", "3fff:fff::"]),
            (.benchmarking, ["198.18.0.0", "198.19.255.255", "2001:2::1"]),
            (
                .metadataService,
                ["169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16", "fd00:ec2::254"]
            ),
            (
                .reserved,
                [
                    "192.0.0.1", "240.0.0.0", "255.255.255.254", "192.88.99.1", "2001::1", "100::1", "fec0::1", "::2",
                    "4000::",
                ]
            ),
            (
                .global,
                [
                    "1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
                    "128.0.0.0", "169.253.255.255",
                    "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.167.255.255", "192.169.0.0", "198.17.255.255",
                    "198.20.0.0",
                    "223.255.255.255", "2001:200::1", "2606:4700::1111", "3ffe::1",
                ]
            ),
        ] as [(IPAddress.Purpose, [String])])
    func purposes(purpose: IPAddress.Purpose, addresses: [String]) throws {
        for text in addresses { #expect(try #require(IPAddress(text)).purpose == purpose, "\(text)") }
    }

    @Test(
        "an IPv4 address inside an IPv6 one is found",
        arguments: [
            ("::ffff:127.0.0.1", "127.0.0.1"), ("::ffff:0:10.0.0.1", "10.0.0.1"),
            ("::169.254.169.254", "169.254.169.254"),
            ("64:ff9b::192.168.1.1", "192.168.1.1"), ("64:ff9b:1::10.1.2.3", "10.1.2.3"),
            ("2002:7f00:1::", "127.0.0.1"),
            ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "192.0.2.45"),
        ])
    func embedded(outer: String, inner: String) throws {
        let address = try #require(IPAddress(outer))
        #expect(address.embeddedIPv4 == IPAddress(inner))
        #expect(address.effective == IPAddress(inner))
        #expect(!address.isGlobal)
    }

    @Test(
        "other addresses carry none",
        arguments: ["::", "::1", "2001:db8::1", "64:ff9b:0:0:1::1", "fe80::1", "1.2.3.4", "2003::1"])
    func notEmbedded(text: String) throws {
        let address = try #require(IPAddress(text))
        #expect(address.embeddedIPv4 == nil)
        #expect(address.effective == address)
    }

    @Test("questions about one address")
    func questions() throws {
        #expect(IPAddress("64:ff9b::1.1.1.1")?.isGlobal == true)
        #expect(IPAddress("0.0.0.0")?.isUnspecified == true)
        #expect(IPAddress("0.0.0.1")?.isUnspecified == false)
        #expect(IPAddress("169.254.169.254")?.isLinkLocal == true)
        #expect(IPAddress("fec0::1")?.isLinkLocal == false)
        #expect(IPAddress("::ffff:1.2.3.4")?.isIPv4Mapped == true)
        #expect(IPAddress("::1.2.3.4")?.isIPv4Mapped == false)
    }
}
