import Primitives

/// What the policy thinks of the active path.
///
/// ```
///             silent for too long         no answer                     nobody answers
///   healthy ─────────────────────► asking ─────────► suspect ──────────────────────────► outage
///      ▲  ▲                          │                 │  │ a standby answers, or is known      │
///      │  └────── anything heard ────┴─────────────────┘  │ to work                             │ first answer
///      │                                                  ▼                                     │
///      └───────────────── heard on the new path ──── settling ◄─────────────────────────────────┘
///                                                       └──► suspect: no answer on the new path
/// ```
enum PathHealth: Equatable {
    /// Nothing is amiss.
    case healthy
    /// It is silent, and was asked for a sign of life.
    case asking(Question)
    /// It gave none: every path is challenged.
    case suspect(Suspicion)
    /// It was just activated and has not been heard on yet.
    case settling(Settling)
    /// No path answers.
    case outage(Outage)

    /// What raised a question.
    enum Cause: Equatable {
        /// A flow stopped.
        case flow
        /// A message of an exchange is not answered as soon as usual.
        case exchange
        /// What was sent is not answered.
        case unanswered
        /// Things arrive, but what leaves does not.
        case deaf
        /// The path was activated and never answered.
        case unsettled
        /// The machine slept.
        case wake

        var reason: Handover.Reason {
            switch self {
            case .flow, .exchange, .unanswered, .deaf, .unsettled: .silence
            case .wake: .wake
            }
        }
    }

    struct Question: Equatable {
        var cause: Cause
        /// When an answer should have come.
        var answerDue: Instant
        /// When the application began to wait.
        var silentSince: Instant
    }

    struct Suspicion: Equatable {
        var cause: Cause
        var since: Instant
        var silentSince: Instant
        /// From then on a standby that has answered takes over.
        var raceFrom: Instant
        /// Then a standby that is known to work takes over unasked, or else it is an outage.
        var decideAt: Instant
    }

    /// A challenge on the active path that is not answered yet. What arrives otherwise says nothing of the way out.
    struct OpenChallenge: Equatable {
        var count = 1
        var nextStep: Instant
        var silentSince: Instant
    }

    struct Settling: Equatable {
        var since: Instant
        var answerDue: Instant
        var silentSince: Instant
    }

    struct Outage: Equatable {
        var reason: Handover.Reason
        var since: Instant
        var silentSince: Instant
        var nextProbe: Instant
        var nextRace: Instant
        var raceWait: Interval
    }

    /// When the application began to wait, as far as the health tells.
    var silentSince: Instant? {
        switch self {
        case .healthy: nil
        case .asking(let question): question.silentSince
        case .suspect(let suspicion): suspicion.silentSince
        case .settling(let settling): settling.silentSince
        case .outage(let outage): outage.silentSince
        }
    }

    /// Whether an answer on the active path is awaited.
    var question: ReceiptRhythm.Question {
        switch self {
        case .healthy: .none
        case .asking, .suspect, .settling, .outage: .open
        }
    }
}
