import Lab
import Primitives
import Simulator
import Testing

@Suite("A command to emulated links")
struct LinkCommandTests {
    @Test(arguments: [
        ("down wifi", LinkCommand.state(link: "wifi", .down)),
        ("up wifi", .state(link: "wifi", .up)),
        ("heal wifi", .state(link: "wifi", .up)),
        ("blackhole cell", .state(link: "cell", .blackhole)),
        ("rebind wifi", .rebind(link: "wifi", .port)),
        ("rebind wifi address", .rebind(link: "wifi", .addressAndPort)),
        ("restore wifi", .restore(link: "wifi")),
        ("status", .status(link: nil)),
        ("status cell", .status(link: "cell")),
        (
            "set wifi loss 0.3 delay 150ms",
            .set(link: "wifi", [.outbound, .inbound], [.loss(.random(0.3)), .delay(.milliseconds(150))])
        ),
        ("set wifi up rate 2.5mbit", .set(link: "wifi", [.outbound], [.rate(BitRate(bitsPerSecond: 2_500_000))])),
        ("set wifi down queue 64kb", .set(link: "wifi", [.inbound], [.queue(.bytes(64_000))])),
        (
            "set a queue 50ms rate none mtu none",
            .set(link: "a", [.outbound, .inbound], [.queue(.time(.milliseconds(50))), .rate(nil), .mtu(nil)])
        ),
        (
            "set a burst 0.01/0.25 reorder 0.1/5ms",
            .set(
                link: "a", [.outbound, .inbound],
                [
                    .loss(.burst(GilbertElliott(onset: 0.01, recovery: 0.25))),
                    .reordering(Reordering(0.1, by: .milliseconds(5))),
                ])
        ),
        (
            "set a corrupt 0.0005 duplicate 0.5 jitter 10us mtu 1280 icmp on lifetime 30s",
            .set(
                link: "a", [.outbound, .inbound],
                [
                    .corruption(0.0005), .duplication(0.5), .jitter(.microseconds(10)), .mtu(1_280), .tellsMTU(true),
                    .mappingLifetime(.seconds(30)),
                ])
        ),
    ])
    func isRead(line: String, command: LinkCommand) throws {
        #expect(try LinkCommand(line) == command)
    }

    @Test(arguments: [
        "", "set", "set wifi", "set wifi delay", "set wifi delay 5", "set wifi delay -5ms", "set wifi loss 1.5",
        "set wifi rate 0mbit", "set wifi mtu 0", "set wifi burst 0.1", "set wifi colour red", "set wifi icmp maybe",
        "rebind wifi twice", "down", "up wifi now", "explode wifi", "set wifi delay 1e30s", "set wifi loss nan",
    ])
    func isRefusedWithASentence(line: String) {
        do {
            let command = try LinkCommand(line)
            Issue.record("`\(line)` was read as \(command)")
        } catch {
            #expect(!error.description.isEmpty)
        }
    }
}
