import Glibc
import Primitives
import QUIC
import Simulator
import Testing

/// What BBR makes of the links that the project sets itself goals for; `CongestionTable` has more seeds and longer runs.
@Suite("BBR on its links (draft-ietf-ccwg-bbr)")
struct BBRScenarios {
    private func alone(_ link: LinkConditions, from: Interval, until: Interval) throws -> CongestionScene.Share {
        let shares = try CongestionScene(link: link, flows: [.bbr], from: from, until: until).run(seed: 1)
        return try #require(shares.first)
    }

    /// The first flow's part of what both get on a fifth of the cellular link's rate: fewer packets, the same shape.
    private func part(_ flows: [CongestionAlgorithm]) throws -> Double {
        let link = LinkConditions.cellular.with { $0.rate = .megabits(8) }
        let shares = try CongestionScene(link: link, flows: flows, from: .seconds(5), until: .seconds(15)).run(seed: 1)
        return shares[0].rate / (shares[0].rate + shares[1].rate)
    }

    @Test("uses 85 % of 100 Mbit/s at 20 ms where one packet in a hundred is lost, 60 % where five are")
    func randomLoss() throws {
        for (loss, goal) in [(0.01, 85e6), (0.05, 60e6)] {
            let link = LinkConditions.wifi.with { $0.loss = .random(Probability(floatLiteral: loss)) }
            let share = try alone(link, from: .milliseconds(500), until: .milliseconds(1_000))
            #expect(share.rate >= goal, "\(loss): \(share)")
        }
    }

    @Test("uses 85 % of a long link: 100 Mbit/s at 100 ms, a tenth of the goal's, whose bytes would take too long")
    func long() throws {
        let link = CongestionTable.longFat.with { $0.rate = .megabits(100) }
        let share = try alone(link, from: .milliseconds(1_500), until: .milliseconds(2_200))
        #expect(share.rate >= 85e6, "\(share)")
    }

    @Test("adds 30 ms at most where the queue holds 200 ms")
    func bloat() throws {
        let share = try alone(CongestionTable.bloated, from: .milliseconds(1_500), until: .seconds(3))
        #expect(share.addedDelay <= .milliseconds(30), "\(share)")
        #expect(share.rate >= 34e6, "\(share)")
    }

    @Test("shares with another of its kind within 60:40")
    func twins() throws { #expect((0.4...0.6).contains(try part([.bbr, .bbr]))) }

    @Test("takes between a third and two thirds beside CUBIC")
    func besideCubic() throws { #expect((1.0 / 3...2.0 / 3).contains(try part([.bbr, .cubic]))) }
}

/// What the controllers that answer losses make of a link that is full and has room in its queue.
@Suite("NewReno and CUBIC on a steady link")
struct LossBasedScenarios {
    @Test(
        "use 90 % of it: a slow start that round-trip times have rightly ended does not go on",
        arguments: [CongestionAlgorithm.newReno, .cubic])
    func steady(algorithm: CongestionAlgorithm) throws {
        let scene = CongestionScene(
            link: .cellular, flows: [algorithm], from: .seconds(1), until: .milliseconds(3_500))
        let share = try #require(try scene.run(seed: 1).first)
        #expect(share.rate >= 36e6, "\(share)")
        #expect(share.addedDelay <= .milliseconds(30), "\(share)")
    }
}

/// The three controllers on the same links, to decide by: `GODWIT_CONGESTION_TABLE=1 swift test --filter CongestionTable`.
@Suite("Congestion controllers compared", .enabled(if: isTableWanted))
struct CongestionTable {
    static let longFat = LinkConditions(
        delay: .milliseconds(50), rate: .megabits(1_000), queue: .time(.milliseconds(100)), mtu: 9_000)
    static let lan = LinkConditions(
        delay: .microseconds(500), rate: .megabits(1_000), queue: .time(.milliseconds(5)), mtu: 1_500)
    static let bloated = LinkConditions(
        delay: .milliseconds(30), rate: .megabits(40), queue: .time(.milliseconds(200)), mtu: 1_500)

    static let links: [(name: String, link: LinkConditions, from: Interval, until: Interval)] = [
        ("100 Mbit/s 20 ms", .wifi, .seconds(1), .seconds(5)),
        ("… 1 % loss", LinkConditions.wifi.with { $0.loss = .random(0.01) }, .seconds(1), .seconds(5)),
        ("… 5 % loss", LinkConditions.wifi.with { $0.loss = .random(0.05) }, .seconds(1), .seconds(5)),
        ("40 Mbit/s 60 ms", .cellular, .seconds(2), .seconds(8)),
        ("… 200 ms of queue", bloated, .seconds(2), .seconds(8)),
        (
            "… 5 ms of queue", LinkConditions.cellular.with { $0.queue = .time(.milliseconds(5)) }, .seconds(2),
            .seconds(8)
        ),
        ("1 Gbit/s 100 ms", longFat, .seconds(2), .seconds(3)),
        ("1 Gbit/s 1 ms", lan, .milliseconds(200), .milliseconds(500)),
    ]

    @Test func alone() throws {
        for (name, link, from, until) in Self.links {
            for algorithm in CongestionAlgorithm.allCases {
                let shares = try (1...3 as ClosedRange<UInt64>).compactMap { seed in
                    try CongestionScene(link: link, flows: [algorithm], from: from, until: until).run(seed: seed).first
                }
                let capacity = Double(try #require(link.rate).bitsPerSecond)
                let rates = shares.map { "\(Int($0.rate / capacity * 100)) %" }.joined(separator: " ")
                let delays = shares.map { "\($0.addedDelay.milliseconds)" }.joined(separator: " ")
                print("| \(name) | \(algorithm.rawValue) | \(rates) | +\(delays) ms |")
            }
        }
    }

    @Test func together() throws {
        let pairs: [[CongestionAlgorithm]] = [
            [.newReno, .newReno], [.cubic, .cubic], [.bbr, .bbr], [.bbr, .cubic], [.newReno, .cubic],
        ]
        for (name, link) in [("40 Mbit/s 60 ms", LinkConditions.cellular), ("… 200 ms of queue", Self.bloated)] {
            for pair in pairs {
                let parts = try (1...3 as ClosedRange<UInt64>).map { seed in
                    let shares = try CongestionScene(link: link, flows: pair, from: .seconds(5), until: .seconds(20))
                        .run(seed: seed)
                    let sum = shares[0].rate + shares[1].rate
                    return "\(Int(shares[0].rate / sum * 100)):\(Int(shares[1].rate / sum * 100)) of \(Int(sum / 1e6))"
                }
                let names = pair.map(\.rawValue).joined(separator: ", ")
                print("| \(name) | \(names) | \(parts.joined(separator: ", ")) Mbit/s |")
            }
        }
    }
}

// The environment is not changed while tests run.
private let isTableWanted = unsafe getenv("GODWIT_CONGESTION_TABLE") != nil
