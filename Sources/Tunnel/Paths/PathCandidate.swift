import Primitives

/// A local address from which the gateway may be reached, and how far it is toward being a path.
struct PathCandidate: Equatable {
    /// ```
    ///             socketOpened               answer                 no answer
    ///   opening ───────────────► validating ────────► validated ◄─────────────► failed
    ///    │   ▲                        │        answer     │  ▲                    │
    ///    ▼   │ time                   └───────────────────┼──┴────────────────────┘
    ///   refused ◄── write error ──────────────────────────┘
    /// ```
    enum Stage: Equatable {
        /// Its socket is asked for.
        case opening
        /// The system gave no socket, or refused to send from it; tried again then.
        case refused(again: Instant)
        /// The gateway has not answered on it yet.
        case validating(NetworkAddress)
        /// The gateway answers on it.
        case validated(NetworkAddress)
        /// The gateway did not answer on it when it was asked last.
        case failed(NetworkAddress)
    }

    /// While a better-ranked path shows that it can be relied on.
    struct Proof: Equatable {
        /// Every challenge since then was answered.
        var since: Instant
        /// When the next challenge is due.
        var nextProbe: Instant
    }

    /// The address; nil for a socket that is bound to none.
    var link: LinkAddress?
    var stage: Stage
    var rank: PathRank
    /// Attempts at a socket that failed in a row.
    var refusals = 0
    /// When the gateway last answered a challenge here, or anything arrived while it was active.
    var lastAnswer: Instant?
    /// When it was last challenged.
    var lastProbe: Instant?
    /// How long the last challenge took to be answered.
    var roundTrip: Interval?
    var proof: Proof?

    /// Where its socket is bound.
    var local: NetworkAddress? {
        switch stage {
        case .opening, .refused: nil
        case .validating(let local), .validated(let local), .failed(let local): local
        }
    }

    var isValidated: Bool {
        if case .validated = stage { true } else { false }
    }

    /// The gateway answered.
    mutating func answered(roundTrip: Interval?, at now: Instant) {
        guard let local else { return }
        stage = .validated(local)
        lastAnswer = now
        refusals = 0
        self.roundTrip = roundTrip ?? self.roundTrip
    }

    /// The gateway did not answer.
    mutating func unanswered() {
        guard let local else { return }
        stage = .failed(local)
        proof = nil
    }

    /// Whether it was challenged, and has not answered although it had the time.
    func isOverdue(at now: Instant) -> Bool {
        guard let lastProbe, lastAnswer.map({ $0 < lastProbe }) ?? true else { return false }
        return now - lastProbe > max((roundTrip ?? .zero) * 2, PathTimings.raceSilence)
    }
}

/// How much a path is wanted: the lower, the more.
struct PathRank: Comparable {
    /// The first pattern of the user's list that fits the interface; its length if none does.
    var preference: Int
    /// What the system's route costs.
    var metric: UInt32
    /// Whether bytes cost money.
    var cost: Cost

    enum Cost: Int {
        case unmetered
        case metered
    }

    init(_ link: LinkAddress?, _ configuration: PathPolicy.Configuration) {
        guard let link else {
            // A socket that is bound to nothing moves when the system wishes: the last resort.
            (preference, metric, cost) = (.max, .max, .unmetered)
            return
        }
        let names = configuration.prefer
        preference = names.firstIndex { $0.matches(link.interface) } ?? names.count
        if configuration.ignore.contains(where: { $0.matches(link.interface) }) { preference = .max - 1 }
        metric = link.routeMetric ?? .max
        cost = configuration.metered.contains { $0.matches(link.interface) } ? .metered : .unmetered
    }

    static func < (a: PathRank, b: PathRank) -> Bool {
        (a.preference, a.metric, a.cost.rawValue) < (b.preference, b.metric, b.cost.rawValue)
    }
}
