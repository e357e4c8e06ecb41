@testable import EventLoop
import Primitives
import Testing

/// Messages as a kernel of a little-endian machine wrote them, with the addresses of documentation in place of its own.
private enum Sample {
    static let newAddress4 =
        "5800000014000200070000006b3a0000" + "0218800004000000" + "08000100c0000202" + "08000200c0000202"
        + "08000400c00002ff" + "0900030065746830" + "00800800" + "08000800" + "80000000"
        + "14000600ffffffffffffffff1b0000001b000000"
    static let newAddress6 =
        "4800000014000200070000006b3a0000" + "0a40c00004000000" + "1400010020010db8000000000000000000000002"
        + "14000600ffffffffffffffff1b0000001b000000" + "08000800c0000000"
    static let defaultRoute =
        "3400000018000200070000006b3a0000" + "02000000fe03000100000000" + "08000f00fe000000" + "08000500c0000201"
        + "0800040004000000"
    static let ownNetworkRoute =
        "3c00000018000200070000006b3a0000" + "02180000fe02fd0100000000" + "08000f00fe000000" + "08000100c0000200"
        + "08000700c0000202" + "0800040004000000"
    static let localRoute =
        "3c00000018000200070000006b3a0000" + "02200000ff02fe0200000000" + "08000f00ff000000" + "080001007f000001"
        + "080007007f000001" + "0800040001000000"
    static let done = "1400000003000200070000006b3a0000" + "00000000"
    static let refused = "2400000002000000070000006b3a0000" + "ffffffff" + "1000000018000103070000006b3a0000"
    static let link =
        "3400000010000000000000006b3a0000" + "0000010004000000" + "4310010000000000" + "090003006574683000000000"
        + "0800040078050000"
    static let bridgePort =
        "3400000011000000000000006b3a0000" + "0700010004000000" + "4310010000000000" + "090003006574683000000000"
        + "0800040078050000"
    static let multipath =
        "4000000018000000000000006b3a0000" + "02000000fe03000100000000" + "0800060064000000"
        + "1c000900" + "08000000" + "04000000" + "10000100" + "05000000" + "08000500c0000201"

    static let all = [
        newAddress4, newAddress6, defaultRoute, ownNetworkRoute, localRoute, done, refused, link, bridgePort, multipath,
    ]

    static func bytes(_ hexadecimal: String) -> [UInt8] {
        let digits = Array(hexadecimal)
        return stride(from: 0, to: digits.count - 1, by: 2).compactMap { UInt8(String(digits[$0...$0 + 1]), radix: 16) }
    }
}

@Suite("Messages of the routing socket")
struct RoutingMessageTests {
    private func decode(_ bytes: [UInt8]) -> RoutingMessage? {
        NetlinkMessage(bytes.span, at: 0).flatMap { RoutingMessage($0, of: bytes.span) }
    }

    private func decode(_ hexadecimal: String) -> RoutingMessage? { decode(Sample.bytes(hexadecimal)) }

    private let address4 = RoutingMessage.Address(index: 4, ip: IPAddress(ipv4: 0xc000_0202), flags: 0x80)

    @Test("addresses")
    func addresses() throws {
        #expect(decode(Sample.newAddress4) == .address(address4))
        let address6 = try #require(IPAddress("2001:db8::2"))
        #expect(decode(Sample.newAddress6) == .address(.init(index: 4, ip: address6, flags: 0xc0)))
    }

    @Test("default routes count, networks keep their prefix, routes to this machine are left out")
    func routes() throws {
        let anything = try #require(IPPrefix("0.0.0.0/0"))
        let network = try #require(IPPrefix("192.0.2.0/24"))
        #expect(decode(Sample.defaultRoute) == .routes([.init(destination: anything, index: 4, metric: 0)]))
        #expect(decode(Sample.ownNetworkRoute) == .routes([.init(destination: network, index: 4, metric: 0)]))
        #expect(decode(Sample.localRoute) == .routes([]))
    }

    @Test("a route over several links counts for each that has a carrier")
    func multipath() throws {
        let anything = try #require(IPPrefix("0.0.0.0/0"))
        let whole = Sample.bytes(Sample.multipath)
        #expect(
            decode(whole)
                == .routes([
                    .init(destination: anything, index: 4, metric: 100)
                ]))
        var revived = whole
        revived[50] = 0
        #expect(
            decode(revived)
                == .routes([
                    .init(destination: anything, index: 4, metric: 100),
                    .init(destination: anything, index: 5, metric: 100),
                ]))
    }

    @Test("links, and what only looks like one")
    func links() {
        #expect(decode(Sample.link) == .link(.init(index: 4, name: "eth0", mtu: 1400, isUp: true)))
        #expect(decode(Sample.bridgePort) == nil)
        var withoutCarrier = Sample.bytes(Sample.link)
        withoutCarrier[26] = 0
        #expect(decode(withoutCarrier) == .link(.init(index: 4, name: "eth0", mtu: 1400, isUp: false)))
    }

    @Test("ends of answers")
    func ends() {
        #expect(decode(Sample.done) == .done)
        #expect(decode(Sample.refused) == .failed(code: 1))
    }

    @Test("the states of an address", arguments: [(0x80, false, false), (0x40, true, false), (0x44, false, false)])
    func flags(flags: UInt32, isUnproven: Bool, isDeprecated: Bool) {
        let address = RoutingMessage.Address(index: 1, ip: IPAddress(ipv4: 1), flags: flags)
        #expect(address.isUnproven == isUnproven && address.isDeprecated == isDeprecated)
        let failed = RoutingMessage.Address(index: 1, ip: IPAddress(ipv4: 1), flags: flags | 0x28)
        #expect(failed.isUnproven && failed.isDeprecated)
    }

    @Test("no cut and no changed byte reads past the end")
    func robust() {
        var generator = SeededGenerator(seed: 11)
        for sample in Sample.all.map(Sample.bytes) {
            for length in 0..<sample.count { _ = decode(Array(sample.prefix(length))) }
            for _ in 0..<2000 {
                var changed = sample
                for _ in 0..<Int.random(in: 1...4, using: &generator) {
                    changed[Int.random(in: 0..<changed.count, using: &generator)] = UInt8.random(
                        in: 0...255, using: &generator)
                }
                _ = decode(changed)
            }
        }
        // A message whose length is its own: nothing stands behind the head.
        var short = Sample.bytes(Sample.newAddress4)
        short[0] = 16
        #expect(decode(short) == nil)
        short[0] = 15
        #expect(NetlinkMessage(short.span, at: 0) == nil)
        #expect(NetlinkMessage(short.span, at: 1000) == nil)
    }

    @Test("a table keeps what was told last, and a deprecated address steps back")
    func table() throws {
        var table = LinkTable()
        var changes = [table.apply(.link(.init(index: 4, name: "eth0", mtu: 1400, isUp: true)))]
        changes += [table.apply(.address(address4)), table.apply(.address(address4))]
        #expect(changes == [true, true, false])
        let anything = try #require(IPPrefix("0.0.0.0/0"))
        table.add([
            .init(destination: anything, index: 4, metric: 20), .init(destination: anything, index: 4, metric: 10),
        ])
        #expect(
            table.snapshot == [
                LinkAddress(
                    interface: "eth0", index: 4, address: address4.ip, mtu: 1400, routeMetric: 10, isUsable: true)
            ])
        var deprecated = address4
        deprecated.flags = 0xa0
        _ = table.apply(.address(deprecated))
        #expect(table.snapshot.map(\.isUsable) == [true])
        _ = table.apply(.address(.init(index: 4, ip: IPAddress(ipv4: 0xc000_0203), flags: 0x80)))
        #expect(table.snapshot.map(\.isUsable) == [false, true])
        // A message that tells neither name nor MTU changes neither.
        _ = table.apply(.link(.init(index: 4, name: nil, mtu: nil, isUp: false)))
        #expect(table.snapshot.first?.interface == "eth0" && table.snapshot.first?.mtu == 1400)
        _ = table.apply(.linkRemoved(index: 4))
        #expect(table.snapshot.isEmpty)
    }
}
