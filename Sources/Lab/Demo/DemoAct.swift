import EventLoop
import Primitives
import Simulator

/// One thing that happens to the network during the demonstration.
struct DemoAct {
    /// What is done to the stage, with what was to be said about it before.
    enum Step {
        /// Words for the audience.
        case say(String)
        /// A command to the local endpoint, as a user would type it behind `godwit`.
        case command([String])
        /// Changes a link.
        case link(DemoLink, LinkState)
        /// Makes the translator behind a link forget, and use another outer address where one is given.
        case rebind(DemoLink, outer: IPAddress?)
        /// What a client sends from an address goes nowhere from now on.
        case detach(IPAddress)
        /// Nothing, for so long.
        case pause(Interval)
    }

    /// The first column of the table.
    var title: String
    /// Whether this machine's loopback must speak IPv6 for it.
    var family = IPAddress.Family.ipv4
    /// The longest stall that counts as held, without the outage.
    var allowed: Interval
    /// How long nothing can get through at all.
    var outage = Interval.zero
    /// What happens, in order.
    var steps: [Step]
}

/// The links of the demonstration.
enum DemoLink: Int, CaseIterable {
    case wifi
    case cellular
    /// Wi-Fi again, where it speaks IPv6.
    case wifi6

    var name: String {
        switch self {
        case .wifi: "Wi-Fi"
        case .cellular: "cellular"
        case .wifi6: "Wi-Fi (IPv6)"
        }
    }

    /// One direction: 20 ms and 60 ms of round trip.
    var conditions: LinkConditions {
        switch self {
        case .wifi, .wifi6: .wifi
        case .cellular: .cellular
        }
    }
}

/// The addresses of the demonstration; loopback has them all.
enum DemoAddress {
    /// The relay, as the gateway's address, and the machine's on Wi-Fi, which the routing table picks.
    static let wifi = IPAddress(ipv4: 0x7F00_0001)
    /// The machine's on cellular.
    static let cellular = IPAddress(ipv4: 0x7F00_0002)
    /// The machine's on Wi-Fi after the network gave it another.
    static let wifiAgain = IPAddress(ipv4: 0x7F00_0003)
    /// The Wi-Fi router's outer one after it got another.
    static let outer = IPAddress(ipv4: 0x7F00_0064)
}

extension DemoAct {
    /// The programme. What is allowed is what a person hardly notices on a machine that does other things too.
    static let all: [DemoAct] = [
        DemoAct(
            title: "NAT rebinding, port", allowed: .milliseconds(400),
            steps: [
                .say("The Wi-Fi router forgets its mappings, as they do: the gateway will see another port."),
                .rebind(.wifi, outer: nil),
            ]),
        DemoAct(
            title: "NAT rebinding, address", allowed: .milliseconds(400),
            steps: [
                .say(
                    "The Wi-Fi router gets another address from its provider, and everything that is open another port."
                ),
                .rebind(.wifi, outer: DemoAddress.outer),
            ]),
        DemoAct(
            title: "switch to cellular", allowed: .milliseconds(400),
            steps: [
                .say("A second network: cellular, 127.0.0.2. It is tried before it is needed (`godwit paths add`)."),
                .command(["paths", "add", "\(DemoAddress.cellular)"]),
                .pause(.seconds(1)),
                .say("Now everything is to go over it (`godwit paths use`)."),
                .command(["paths", "use", "\(DemoAddress.cellular)"]),
            ]),
        DemoAct(
            title: "back to Wi-Fi", allowed: .milliseconds(400),
            steps: [
                .say("Back to Wi-Fi."),
                .command(["paths", "use", "\(DemoAddress.wifi)"]),
            ]),
        DemoAct(
            title: "preferred address", family: .ipv6, allowed: .milliseconds(400),
            steps: [
                .say("The gateway told in the handshake that it would rather be spoken to at an address of IPv6."),
                .command(["paths", "use", "\(IPAddress.loopback(.ipv6))"]),
            ]),
        DemoAct(
            title: "another address", allowed: .milliseconds(400),
            steps: [
                .say(
                    "The Wi-Fi gives this machine another address, 127.0.0.3; what it sends from the old one is lost."),
                .command(["paths", "use", "\(DemoAddress.wifiAgain)"]),
                .pause(.milliseconds(100)),
                .detach(DemoAddress.wifi),
                .command(["paths", "remove", "\(DemoAddress.wifi)"]),
            ]),
        DemoAct(
            title: "silent death of Wi-Fi", allowed: .milliseconds(800),
            steps: [
                .say("The Wi-Fi swallows everything from now on, and nobody tells. Cellular is there."),
                .link(.wifi, .blackhole),
                .link(.wifi6, .blackhole),
            ]),
        DemoAct(
            title: "outage of 2 s", allowed: .milliseconds(800), outage: .seconds(2),
            steps: [
                .say("Into a tunnel: cellular dies too, and for two seconds nothing gets through at all."),
                .link(.cellular, .blackhole),
                .pause(.seconds(2)),
                .say("There is light."),
                .link(.cellular, .up),
                .link(.wifi, .up),
                .link(.wifi6, .up),
            ]),
    ]
}
