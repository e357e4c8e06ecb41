import Driver
import EventLoop
import Lab
import Primitives
import Simulator

/// Carries packets between the two interfaces of each link, and does what the control socket says.
final class Forwarder: TunnelInterfaceOwner, TimerHandler, TurnHandler, ControlResponder, SignalHandler {
    /// How much earlier than due a packet is handed on: it saves a wake-up for each packet of a fast link.
    static let earliness = Interval.microseconds(100)

    private struct Carried {
        var link: EmulatedLink<IPPacket>
        var inner: TunnelInterface
        var outer: TunnelInterface
    }

    private let loop: EventLoop
    private var links: [Carried] = []
    private var timer: TimerHandle?

    init(_ loop: EventLoop) {
        self.loop = loop
        timer = loop.addTimer(self)
        loop.addTurnHandler(self)
    }

    /// Makes the interfaces of a link.
    func add(_ arguments: LinkArguments, seed: UInt64) throws {
        links.append(
            Carried(
                link: EmulatedLink(
                    arguments.name, arguments.conditions, outside: arguments.outside,
                    seed: seed &+ UInt64(links.count)),
                inner: try TunnelInterface(
                    arguments.inner.interface, in: arguments.inner.namespace, on: loop, owner: self),
                outer: try TunnelInterface(
                    arguments.outer.interface, in: arguments.outer.namespace, on: loop, owner: self)))
    }

    func sent(_ packet: IPPacket, into interface: TunnelInterface) {
        // A packet that came while this turn went on is under way from then on: links are never shorter than they are said to be.
        loop.readClock()
        for index in links.indices {
            if interface === links[index].inner {
                enter(packet, .outbound, index, from: interface)
            } else if interface === links[index].outer {
                enter(packet, .inbound, index, from: interface)
            }
        }
    }

    private func enter(_ packet: IPPacket, _ direction: Direction, _ index: Int, from interface: TunnelInterface) {
        guard let refusal = links[index].link.enter(packet, direction, at: loop.now) else { return }
        if let answer = packet.refusal(mtu: refusal.mtu) { interface.deliver(answer) }
    }

    func timerFired(_ timer: TimerHandle, at now: Instant) {}

    func turnEnded(at now: Instant) {
        var next: Instant?
        for index in links.indices {
            while let delivery = links[index].link.nextDelivery(at: now, dueBy: now + Self.earliness) {
                switch delivery {
                case .outbound(let packet): links[index].outer.deliver(packet)
                case .inbound(let packet): links[index].inner.deliver(packet)
                }
            }
            if let due = links[index].link.nextDeadline { next = min(next ?? due, due) }
        }
        if let timer { loop.arm(timer, at: next) }
    }

    func signalReceived(_ signal: ProcessSignal) { loop.stop() }

    // MARK: - Commands

    func command(_ line: String, on request: ControlRequest) {
        do throws(LinkCommandError) {
            request.reply(perform(try LinkCommand(line)))
        } catch {
            request.reply("error: \(error)\n")
        }
    }

    private func perform(_ command: LinkCommand) -> String {
        switch command {
        case .set(let name, let directions, let changes):
            change(name) { $0.link.apply(changes, to: directions) }
        case .state(let name, let state):
            change(name) { carried in
                carried.link.state = state
                carried.inner.setCarrier(state == .down ? .absent : .present)
            }
        case .rebind(let name, let rebinding):
            change(name) { $0.link.rebind(rebinding) }
        case .restore(let name):
            change(name) { carried in
                carried.link.restore()
                carried.inner.setCarrier(.present)
            }
        case .status(let name):
            status(name)
        }
    }

    private func change(_ name: String, _ body: (inout Carried) -> Void) -> String {
        guard let index = links.firstIndex(where: { $0.link.name == name }) else {
            return "error: there is no link \(name)\n"
        }
        body(&links[index])
        return "ok\n"
    }

    private func status(_ name: String?) -> String {
        var text = ""
        for index in links.indices where name == nil || links[index].link.name == name {
            let link = links[index].link
            for direction in Direction.allCases {
                let counts = link.statistics(direction)
                let label = direction == .outbound ? "up" : "down"
                text += "\(link.name) \(label) offered=\(counts.offered) delivered=\(counts.delivered)"
                text += " bytes=\(counts.deliveredBytes.bytes) corrupted=\(counts.corrupted)"
                for reason in [DropReason.lost, .queueFull, .aboveMTU, .linkDown, .blackholed] {
                    text += " \(reason)=\(counts.dropped(reason))"
                }
                text += "\n"
            }
            let late = links[index].link.takeLateness()
            text += "\(link.name) packets=\(late.count) late_mean_us=\(late.mean.microseconds)"
            text += " late_worst_us=\(late.worst.microseconds) late_above_1ms=\(late.aboveMillisecond)\n"
        }
        return text.isEmpty ? "error: there is no link \(name ?? "at all")\n" : text
    }
}
