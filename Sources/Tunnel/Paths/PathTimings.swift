import Primitives

/// The times and bounds of the path policy.
enum PathTimings {
    // MARK: Silence

    /// The shortest silence in a flow that raises a question: what schedulers and radios take without anything being wrong.
    static let shortestQuestionableSilence = Interval.milliseconds(5)
    /// The share of the round-trip time that a flow may pause without a question, as a divisor.
    static let silenceDivisor: Int64 = 4
    /// The least that an answer on the active path may take beyond the smoothed round-trip time.
    static let answerSlack = Interval.milliseconds(5)
    /// The least that an answer in an exchange of messages may take beyond it.
    static let exchangeSlack = Interval.milliseconds(3)
    /// Challenges on a path whose data arrives, although it leaves them unanswered, before it is suspected to be deaf.
    static let challengesOfDeafness = 2
    /// The least silence after which a standby that answers takes over.
    static let raceSilence = Interval.milliseconds(100)
    /// The least silence after which a validated standby takes over unasked.
    static let unconditionalSilence = Interval.milliseconds(200)
    /// How long a path of unknown length may take to answer after it was activated (RFC 9002 §6.2.2: kInitialRtt, and half).
    static let settlingTime = Interval.milliseconds(500)
    /// What the gateway may hold an acknowledgement back for, unless it says otherwise (RFC 9000 §18.2: max_ack_delay).
    static let longestAcknowledgementDelay = Interval.milliseconds(25)
    /// The least that a path of known length may take.
    static let shortestSettlingTime = Interval.milliseconds(50)

    // MARK: Outage

    /// Between challenges on every path, by the age of the outage; the last one has no end.
    static let outageProbing: [(until: Interval, every: Interval)] = [
        (.seconds(10), .milliseconds(200)), (.seconds(120), .milliseconds(300)), (.seconds(600), .seconds(1)),
        (.max, .seconds(5)),
    ]
    /// The age of an outage at which a fresh connection is tried beside the old one.
    static let raceAfter = Interval.seconds(3)
    /// The longest time between two such attempts; each waits twice as long as the one before.
    static let longestRaceWait = Interval.seconds(60)

    // MARK: Sockets

    /// After a socket could not be opened: until the next try. Each waits twice as long as the one before.
    static let socketRetry = Interval.milliseconds(200)
    /// The longest such time.
    static let longestSocketRetry = Interval.seconds(30)

    // MARK: Standbys

    /// Between challenges on a standby while traffic flows.
    static let revalidation = Interval.seconds(20)
    /// The same on a metered one: two datagrams of 1,200 bytes each time are paid for.
    static let meteredRevalidation = Interval.seconds(300)
    /// Traffic flows when something arrived twice within this time.
    static let trafficGap = Interval.seconds(5)

    // MARK: Return

    /// How long after a connection has begun a better path needs no more than one answer to be used.
    static let firstChoice = Interval.seconds(1)
    /// Challenges while a better path proves itself.
    static let proofs: Int64 = 3
    /// The shortest time between two of them.
    static let shortestProofGap = Interval.milliseconds(100)
    /// The longest.
    static let longestProofGap = Interval.seconds(5)
    /// The shortest time that a challenge of a proof has to be answered in.
    static let proofPatience = Interval.milliseconds(400)
    /// A path that fails so soon after a return flaps.
    static let flapWindow = Interval.seconds(60)
    /// A path that works for so long after a return does not flap any more.
    static let flapMemory = Interval.seconds(300)
    /// The longest time of proof that flapping leads to.
    static let longestProof = Interval.seconds(300)

    // MARK: Degradation

    /// A path is degraded from this multiple of its shortest round-trip time of late …
    static let degradedRTTs: Int64 = 4
    /// … and this round-trip time on.
    static let degradedRTT = Interval.milliseconds(150)
    /// A path is degraded from this loss on, in thousandths, when its rate has fallen, too: queues that the connection fills
    /// itself lose packets at its best rate.
    static let degradedLoss: UInt64 = 40
    /// A path is degraded from this loss on, in thousandths, whatever its rate, when the loss goes on and on: a radio fades.
    static let lastingLoss: UInt64 = 30
    /// Another path is clearly better when its round-trip time is this many times shorter.
    static let clearlyBetter: Int64 = 2
    /// How long a path has to be degraded.
    static let degradedTime = Interval.seconds(1)
    /// For how long a round-trip time counts as one of late.
    static let minimumRTTMemory = Interval.seconds(60)
    /// A path that was suspected so often …
    static let suspicionsOfLoss = 3
    /// … in this time, and answered after all, loses packets.
    static let suspicionMemory = Interval.seconds(10)
    /// From this rate on, in bytes a second, a long round trip may be the queue that the connection itself fills.
    static let selfInducedRate = 125_000

    // MARK: Bounds

    /// Handovers that are remembered.
    static let handoversKept = 32
    /// Paths whose addresses are gone that the connection still knows.
    static let mostDeparted = 2
    /// Links that become paths: a connection knows few paths, and some of those are needed for changes of address.
    static let mostCandidates = 5
    /// Networks whose NAT's lifetime is remembered.
    static let mostNetworksLearned = 16
}
