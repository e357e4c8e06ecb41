public import Primitives

/// How long a group of gateways waits for what.
public struct GatewayTimings: Hashable, Sendable {
    /// What is kept of the gateway that would be next.
    public enum Standby: String, Hashable, Sendable, CaseIterable {
        /// A ticket of an earlier connection, fetched anew from time to time.
        case ticket
        /// A connection.
        case connected
    }

    /// How long a gateway that nobody has a connection to may take before the next one is tried beside it.
    public var patience = Interval.milliseconds(400)
    /// How long a gateway may be silent while another one answers before that one is used: a process that is started again, and a
    /// network that comes back, take less.
    public var switchAfter = Interval.milliseconds(500)
    /// How long it may be silent while another one answers before it is declared dead, and its tunnels with it.
    public var giveUpAfter = Interval.seconds(10)
    /// How long a preferred gateway has to be connected before it is returned to.
    public var returnAfter = Interval.seconds(10)
    /// What is kept of the gateway that would be next.
    public var standby = Standby.ticket

    /// The defaults.
    public init() {}

    /// A gateway that fails so soon after it was returned to flaps: it has to prove itself for twice as long the next time.
    static let flapWindow = Interval.seconds(60)
    /// The longest time of proof that flapping leads to.
    static let longestProof = Interval.seconds(300)
    /// How often a machine has to say that nothing listens before its gateway is declared dead: anybody can make one such message up.
    static let refusalsOfDeath = 2
    /// Between such a message and the next question.
    static let refusalPause = Interval.milliseconds(50)
    /// Between questions to the other gateways while one does not answer: are they there themselves?
    static let witnessInterval = Interval.seconds(1)
    /// From the first connection to the fetching of a ticket of the standby.
    static let standbyDelay = Interval.seconds(1)
    /// How long the standby has to answer.
    static let standbyPatience = Interval.seconds(5)
    /// How long its connection stays for the ticket, which follows the handshake.
    static let ticketTime = Interval.milliseconds(500)
    /// Between two visits to a standby: a ticket lives for hours.
    static let standbyInterval = Interval.seconds(1_200)
    /// The same when it did not answer.
    static let standbyRetry = Interval.seconds(60)

    // MARK: Health

    /// Attempts to connect of which a share can speak against a gateway; of fewer it is chance, or a single absence.
    static let attemptsOfVerdict = 5
    /// The share of failed attempts, in percent, from which a gateway stands behind the others.
    static let illFailures = 50
    /// The share, in percent, down to which it goes on to stand there.
    static let wellFailures = 25
    /// Failures in a row that count.
    static let failuresOfAnAbsence = 2
    /// Handshakes of which the shortest is compared; a gateway that is used is not left for fewer slow ones.
    static let handshakesCompared = 3
    /// A handshake is slow that takes more than so many times what another gateway needs, and more than `illHandshake`.
    static let illRatio: Int64 = 4
    /// Nobody notices anything below.
    static let illHandshake = Interval.milliseconds(500)
    /// What a gateway has to come down to, the one or the other, to count as fast again.
    static let wellRatio: Int64 = 2
    /// The same as a time.
    static let wellHandshake = Interval.milliseconds(250)
    /// After that an attempt does not speak against a gateway any more.
    static let evidenceLife = Interval.seconds(600)
    /// Between two handshakes with a gateway that stands behind the others for its health.
    static let checkInterval = Interval.seconds(60)
}
