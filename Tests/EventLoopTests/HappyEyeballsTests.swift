import EventLoop
import Primitives
import Testing

@Suite("Happy Eyeballs (RFC 8305)")
struct HappyEyeballsTests {
    typealias Action = HappyEyeballs.Action

    static func v4(_ host: UInt32) -> NetworkAddress { NetworkAddress(IPAddress(ipv4: 0xc000_0200 + host), port: 443) }
    static func v6(_ host: UInt64) -> NetworkAddress {
        NetworkAddress(IPAddress(ipv6High: 0x2001_0db8_0000_0000, low: host), port: 443)
    }
    static func connect(_ number: Int, _ address: NetworkAddress) -> Action { .connect(.init(number), address) }

    /// What happens to the machine, and when.
    enum Input: Sendable {
        case resolved(IPAddress.Family, [NetworkAddress])
        case succeeded(Int)
        case failed(Int)
        case time
    }

    struct Step: Sendable {
        var at: Int64
        var input: Input
        var actions: [Action]
        /// In milliseconds.
        var deadline: Int64?

        init(_ at: Int64, _ input: Input, _ actions: [Action], next deadline: Int64? = nil) {
            self.at = at
            self.input = input
            self.actions = actions
            self.deadline = deadline
        }
    }

    struct Scenario: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var persistence = HappyEyeballs.Persistence.once
        var steps: [Step]
    }

    static let scenarios: [Scenario] = [
        Scenario(
            testDescription:
                "§3: IPv6 first starts at once; §5: the other family after 250 ms; the winner cancels the rest",
            steps: [
                Step(0, .resolved(.ipv6, [v6(1), v6(2)]), [connect(0, v6(1))], next: 250),
                Step(10, .resolved(.ipv4, [v4(1)]), [], next: 250),
                Step(249, .time, [], next: 250),
                Step(250, .time, [connect(1, v4(1))], next: 500),
                Step(300, .succeeded(1), [.cancel(.init(0)), .succeeded(.init(1))]),
                Step(310, .failed(0), []),
                Step(320, .succeeded(0), []),
                Step(900, .time, []),
            ]),
        Scenario(
            testDescription: "§3: IPv4 first waits 50 ms for IPv6 and then starts without it",
            steps: [
                Step(5, .resolved(.ipv4, [v4(1), v4(2)]), [], next: 55),
                Step(54, .time, [], next: 55),
                Step(55, .time, [connect(0, v4(1))], next: 305),
                Step(60, .resolved(.ipv6, [v6(1)]), [], next: 305),
                Step(305, .time, [connect(1, v6(1))], next: 555),
                Step(555, .time, [connect(2, v4(2))]),
            ]),
        Scenario(
            testDescription: "§3: an IPv6 answer within the 50 ms starts with IPv6",
            steps: [
                Step(0, .resolved(.ipv4, [v4(1)]), [], next: 50),
                Step(20, .resolved(.ipv6, [v6(1)]), [connect(0, v6(1))], next: 270),
                Step(270, .time, [connect(1, v4(1))]),
            ]),
        Scenario(
            testDescription: "§3: a negative IPv6 answer ends the wait",
            steps: [
                Step(0, .resolved(.ipv4, [v4(1)]), [], next: 50),
                Step(20, .resolved(.ipv6, []), [connect(0, v4(1))]),
                Step(21, .succeeded(0), [.succeeded(.init(0))]),
            ]),
        Scenario(
            testDescription: "a failed attempt starts the next one without delay, and the last failure ends it",
            steps: [
                Step(0, .resolved(.ipv6, [v6(1), v6(2)]), [connect(0, v6(1))], next: 250),
                Step(1, .resolved(.ipv4, [v4(1)]), [], next: 250),
                Step(30, .failed(0), [connect(1, v4(1))], next: 280),
                Step(31, .failed(1), [connect(2, v6(2))]),
                Step(32, .failed(2), [.failed]),
                Step(33, .failed(2), []),
            ]),
        Scenario(
            testDescription: "a failure while an answer is awaited waits for it",
            steps: [
                Step(0, .resolved(.ipv6, [v6(1)]), [connect(0, v6(1))]),
                Step(30, .failed(0), []),
                Step(900, .resolved(.ipv4, [v4(1)]), [connect(1, v4(1))]),
                Step(901, .failed(1), [.failed]),
            ]),
        Scenario(
            testDescription: "a late answer that comes after the delay has passed starts at once",
            steps: [
                Step(0, .resolved(.ipv6, [v6(1)]), [connect(0, v6(1))]),
                Step(400, .resolved(.ipv4, [v4(1)]), [connect(1, v4(1))]),
            ]),
        Scenario(
            testDescription: "no address at all fails when the last answer is in",
            steps: [
                Step(0, .resolved(.ipv4, []), []),
                Step(9, .resolved(.ipv6, []), [.failed]),
                Step(10, .resolved(.ipv6, [v6(1)]), []),
            ]),
        Scenario(
            testDescription: "§4: the families take turns",
            steps: [
                Step(0, .resolved(.ipv6, [v6(1), v6(2), v6(3)]), [connect(0, v6(1))], next: 250),
                Step(0, .resolved(.ipv4, [v4(1), v4(2)]), [], next: 250),
                Step(250, .time, [connect(1, v4(1))], next: 500),
                Step(500, .time, [connect(2, v6(2))], next: 750),
                Step(750, .time, [connect(3, v4(2))], next: 1000),
                Step(1000, .time, [connect(4, v6(3))]),
            ]),
        Scenario(
            testDescription: "silent addresses are asked again in turns, and no more when one attempt has failed",
            persistence: .whileSilent,
            steps: [
                Step(0, .resolved(.ipv6, [v6(1), v6(2)]), [connect(0, v6(1))], next: 250),
                Step(0, .resolved(.ipv4, [v4(1)]), [], next: 250),
                Step(250, .time, [connect(1, v4(1))], next: 500),
                Step(500, .time, [connect(2, v6(2))], next: 625),
                Step(625, .time, [connect(3, v6(1))], next: 750),
                Step(750, .time, [connect(4, v4(1))], next: 875),
                Step(800, .failed(0), [.cancel(.init(3)), connect(5, v6(2))], next: 925),
                Step(850, .failed(2), [.cancel(.init(5)), connect(6, v4(1))], next: 975),
                Step(975, .time, [connect(7, v4(1))], next: 1100),
                Step(1000, .failed(1), [.cancel(.init(4)), .cancel(.init(6)), .cancel(.init(7)), .failed]),
                Step(1100, .time, []),
            ]),
        Scenario(
            testDescription: "a repetition that is answered wins over the attempt that it repeats",
            persistence: .whileSilent,
            steps: [
                Step(0, .resolved(.ipv6, []), []),
                Step(0, .resolved(.ipv4, [v4(1)]), [connect(0, v4(1))], next: 125),
                Step(125, .time, [connect(1, v4(1))], next: 250),
                Step(170, .succeeded(1), [.cancel(.init(0)), .succeeded(.init(1))]),
            ]),
    ]

    @Test("tables", arguments: scenarios)
    func table(scenario: Scenario) {
        var parameters = HappyEyeballs.Parameters()
        parameters.persistence = scenario.persistence
        var machine = HappyEyeballs(parameters: parameters)
        for (index, step) in scenario.steps.enumerated() {
            let now = Instant(nanoseconds: step.at * 1_000_000)
            switch step.input {
            case .resolved(let family, let addresses): machine.resolved(family, to: addresses, at: now)
            case .succeeded(let number): machine.attemptSucceeded(.init(number))
            case .failed(let number): machine.attemptFailed(.init(number), at: now)
            case .time: machine.deadlineReached(at: now)
            }
            var actions: [Action] = []
            while let action = machine.nextAction() { actions.append(action) }
            #expect(actions == step.actions, "step \(index)")
            #expect(machine.nextDeadline == step.deadline.map { Instant(nanoseconds: $0 * 1_000_000) }, "step \(index)")
        }
    }

    @Test("a name with very many addresses is not dialled without end")
    func bound() {
        var machine = HappyEyeballs()
        machine.resolved(.ipv6, to: (0..<1000).map { Self.v6($0) }, at: .origin)
        machine.resolved(.ipv4, to: (0..<1000).map { Self.v4($0) }, at: .origin)
        var attempts = 0
        var hasFailed = false
        while let action = machine.nextAction() {
            switch action {
            case .connect(let id, _):
                attempts += 1
                machine.attemptFailed(id, at: .origin)
            case .failed: hasFailed = true
            case .cancel, .succeeded: Issue.record("nothing succeeds here")
            }
        }
        #expect(attempts == HappyEyeballs.maximumAttempts)
        #expect(hasFailed)
    }

    @Test("silence is not asked without end")
    func silence() {
        var parameters = HappyEyeballs.Parameters()
        parameters.persistence = .whileSilent
        var machine = HappyEyeballs(parameters: parameters)
        machine.resolved(.ipv6, to: [], at: .origin)
        machine.resolved(.ipv4, to: [Self.v4(1)], at: .origin)
        var attempts: [HappyEyeballs.AttemptID] = []
        var now = Instant.origin
        while let deadline = machine.nextDeadline {
            now = deadline
            while case .connect(let id, _)? = machine.nextAction() { attempts.append(id) }
            machine.deadlineReached(at: now)
        }
        while case .connect(let id, _)? = machine.nextAction() { attempts.append(id) }
        #expect(attempts.count == HappyEyeballs.maximumAttempts)
        machine.attemptFailed(attempts[0], at: now)
        var actions: [Action] = []
        while let action = machine.nextAction() { actions.append(action) }
        #expect(actions.last == .failed)
        #expect(actions.count == HappyEyeballs.maximumAttempts)
    }

    @Test("with every order of events exactly one outcome comes out", arguments: 1...200 as ClosedRange<UInt64>)
    func oneOutcome(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var machine = HappyEyeballs()
        var underWay: Set<Int> = []
        var outcomes = 0
        var now = Instant.origin
        var answers: [IPAddress.Family] = [.ipv4, .ipv6].shuffled(using: &generator)
        var steps = 0
        while outcomes == 0, steps < 1000 {
            steps += 1
            now += .milliseconds(Int64.random(in: 0...120, using: &generator))
            let attempt = underWay.sorted().randomElement(using: &generator)
            switch (Int.random(in: 0..<8, using: &generator), attempt) {
            case (0, _):
                guard let family = answers.popLast() else { break }
                let count = UInt64.random(in: 0...3, using: &generator)
                let addresses = (0..<count).map { family == .ipv4 ? Self.v4(UInt32($0)) : Self.v6($0) }
                machine.resolved(family, to: addresses, at: now)
            case (1, let attempt?): machine.attemptSucceeded(.init(attempt))
            case (2...4, let attempt?):
                machine.attemptFailed(.init(attempt), at: now)
                underWay.remove(attempt)
            default: machine.deadlineReached(at: now)
            }
            while let action = machine.nextAction() {
                switch action {
                case .connect(let id, _): #expect(underWay.insert(id.number).inserted)
                case .cancel(let id): #expect(underWay.remove(id.number) != nil)
                case .succeeded(let id):
                    outcomes += 1
                    #expect(underWay == [id.number], "all others are cancelled")
                case .failed:
                    outcomes += 1
                    #expect(underWay.isEmpty && answers.isEmpty)
                }
            }
        }
        #expect(outcomes == 1)
        #expect(machine.nextDeadline == nil)
    }
}
