import Primitives

/// How often an idle connection with tunnels says something, so that the NATs on its way do not forget it.
///
/// A NAT that had forgotten gives the next keep-alive a new address, and the gateway challenges that: so the lifetime of a
/// mapping can be learned by waiting longer and longer. Each network (interface) has its own.
struct KeepAliveSchedule: Equatable {
    /// What every NAT is expected to keep: 144 packets an hour.
    static let first = Interval.seconds(25)
    /// Below the two minutes that RFC 4787 §4.3 (REQ-5) asks of NATs at least.
    static let longest = Interval.seconds(110)
    /// Shorter ones cost more battery than a lost mapping costs time.
    static let shortest = Interval.seconds(15)
    /// Keep-alives without a challenge before the next step.
    static let keptBeforeGrowth = 3
    /// No longer interval is tried for so long after a mapping was lost: each trial that fails costs packets of its own, so
    /// the time doubles with every one.
    static let rest = Interval.seconds(3_600)
    /// The longest such time.
    static let longestRest = Interval.seconds(86_400)
    /// Mappings lost in a row after which shorter intervals are seen not to help: some NATs end a mapping however often it
    /// is used (iroh#4424).
    static let fallsBeforeSurrender = 3
    /// Keep-alives without a challenge after which losses are not in a row.
    static let keptBeforePardon = 10
    /// A challenge comes so soon after the first answer.
    static let challengeDelay = Interval.seconds(2)

    /// What is known of one network.
    fileprivate struct Lesson: Equatable {
        var network: String?
        var interval = KeepAliveSchedule.first
        /// The longest interval that held, or is expected to.
        var proven = KeepAliveSchedule.first
        var kept = 0
        var falls = 0
        var restUntil: Instant?
        var rest = KeepAliveSchedule.rest
    }

    /// The last one is that of the present network.
    private var lessons: [Lesson] = [Lesson()]

    /// How long the connection may be silent at present.
    var interval: Interval { lessons.last?.interval ?? Self.first }

    /// The connection goes over another network from here on; nil: one that is not known by a name.
    mutating func networkChanged(to network: String?) {
        let known = lessons.firstIndex { $0.network == network }
        let lesson = known.map { lessons.remove(at: $0) } ?? Lesson(network: network)
        if lessons.count == PathTimings.mostNetworksLearned { lessons.removeFirst() }
        lessons.append(lesson)
        ended = nil
    }

    /// A silence that has ended, and may be found to have cost the mapping.
    private struct EndedSilence: Equatable {
        var length: Interval
        var end: Instant
    }

    private var ended: EndedSilence?

    /// Something arrived after the connection was silent for `silence`.
    mutating func arrived(after silence: Interval, at now: Instant) {
        guard silence > PathTimings.trafficGap, var lesson = lessons.popLast() else { return }
        // Nobody challenged the address after the silence before: the mapping held. A shorter one would test nothing.
        if let ended, ended.length >= lesson.interval * 9 / 10 { lesson.grow(at: now) }
        ended = EndedSilence(length: silence, end: now)
        lessons.append(lesson)
    }

    /// The gateway challenged the active path. Just after a silence that means that it saw another address.
    mutating func challenged(at now: Instant) {
        guard let silence = ended, now - silence.end <= Self.challengeDelay, var lesson = lessons.popLast() else {
            return
        }
        ended = nil
        // A mapping that was lost in a short silence says nothing about the interval.
        if silence.length >= lesson.interval / 2 { lesson.fall(at: now) }
        lessons.append(lesson)
    }
}

extension KeepAliveSchedule.Lesson {
    fileprivate mutating func grow(at now: Instant) {
        kept += 1
        if kept >= KeepAliveSchedule.keptBeforePardon { falls = 0 }
        guard kept >= KeepAliveSchedule.keptBeforeGrowth else { return }
        proven = interval
        guard restUntil.map({ now >= $0 }) ?? true, interval < KeepAliveSchedule.longest else { return }
        restUntil = nil
        interval = min(interval * 5 / 4, KeepAliveSchedule.longest)
        kept = 0
    }

    fileprivate mutating func fall(at now: Instant) {
        kept = 0
        if interval > proven {
            // What held before is known to hold: less would cost packets for nothing.
            interval = proven
        } else if restUntil.map({ now < $0 }) ?? false, falls == 0, interval == KeepAliveSchedule.first {
            // It was found that nothing helps.
            return
        } else {
            falls += 1
            interval = max(interval * 7 / 10, KeepAliveSchedule.shortest)
            if falls == KeepAliveSchedule.fallsBeforeSurrender {
                falls = 0
                interval = KeepAliveSchedule.first
            }
            proven = interval
        }
        restUntil = now + rest
        rest = min(rest * 2, KeepAliveSchedule.longestRest)
    }
}
