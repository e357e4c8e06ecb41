import EventLoop
import Primitives

/// Ends a loop when a condition holds after a turn, or when a bound of real time has passed.
final class Bound: TurnHandler, TimerHandler {
    private let loop: EventLoop
    private let condition: () -> Bool
    private var timer: TimerHandle?
    private(set) var isMet = false

    init(_ loop: EventLoop, _ condition: @escaping () -> Bool) {
        self.loop = loop
        self.condition = condition
    }

    /// Runs the loop; tells whether the condition held within the bound.
    func run(atMost limit: Interval = .seconds(5)) -> Bool {
        loop.addTurnHandler(self)
        let timer = loop.addTimer(self)
        loop.arm(timer, at: loop.now + limit)
        loop.run()
        loop.removeTimer(timer)
        loop.removeTurnHandler(self)
        return isMet
    }

    func turnEnded(at now: Instant) {
        guard condition() else { return }
        isMet = true
        loop.stop()
    }

    func timerFired(_ timer: TimerHandle, at now: Instant) { loop.stop() }
}

extension EventLoop {
    /// Runs until `condition` holds after a turn, for five seconds at most; tells whether it did.
    func run(until condition: @escaping () -> Bool) -> Bool {
        turnSoon()
        return Bound(self, condition).run()
    }

    /// Runs for a short time, to see that something does not happen.
    func settle(for time: Interval = .milliseconds(30)) {
        _ = Bound(self, { false }).run(atMost: time)
    }
}

/// An address of this machine with a port that the system chooses.
func loopback(_ family: IPAddress.Family = .ipv4, port: UInt16 = 0) -> NetworkAddress {
    NetworkAddress(.loopback(family), port: port)
}

/// Bytes that differ from place to place and from seed to seed.
func pattern(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
    var generator = SeededGenerator(seed: seed)
    return (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
}
