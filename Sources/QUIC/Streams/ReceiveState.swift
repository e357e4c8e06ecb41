/// The states of a stream's receiving half (RFC 9000 §3.2).
///
/// ```
///        o
///        │ opened
///        ▼
///    ┌─────────┐  resetArrived
///    │ receive ├──────────────────────────┐
///    └───┬─────┘                          │
///        │ finArrived                     │
///        ▼                                ▼
///    ┌───────────┐  resetArrived   ┌───────────────┐
///    │ sizeKnown ├────────────────►│ resetReceived │
///    └───┬───────┘                 └──────┬────────┘
///        │ allArrived                     │ resetRead
///        ▼                                ▼
///    ┌──────────────┐              ┌───────────┐
///    │ dataReceived │              │ resetRead │
///    └───┬──────────┘              └───────────┘
///        │ allRead
///        ▼
///    ┌──────────┐
///    │ dataRead │
///    └──────────┘
/// ```
/// A reset that arrives after all data is ignored: what is complete is delivered (RFC 9000 §3.2 leaves the choice).
enum ReceiveState: Hashable {
    case receive
    case sizeKnown(finalSize: UInt64)
    case dataReceived(finalSize: UInt64)
    case dataRead(finalSize: UInt64)
    case resetReceived(finalSize: UInt64, errorCode: UInt64)
    case resetRead(finalSize: UInt64)

    enum Event: Hashable {
        /// A STREAM frame with FIN arrived; the final size agrees with all that came before.
        case finArrived(finalSize: UInt64)
        /// A RESET_STREAM frame arrived; the final size agrees with all that came before.
        case resetArrived(finalSize: UInt64, errorCode: UInt64)
        /// No byte below the final size is missing, or none is wanted.
        case allArrived
        /// The application has consumed every byte.
        case allRead
        /// The application is told of the reset.
        case resetRead
    }

    enum Action: Hashable {
        /// Carry on.
        case proceed
        /// Drop the unread bytes and tell the application of the reset.
        case dropContent
        /// The half is over.
        case complete
        /// The event comes too late to matter.
        case ignore
        /// This end made a mistake: the event cannot happen here.
        case illegal
    }

    /// Applies an event.
    mutating func handle(_ event: Event) -> Action {
        switch (self, event) {
        case (.receive, .finArrived(let finalSize)):
            self = .sizeKnown(finalSize: finalSize)
            return .proceed
        case (.receive, .resetArrived(let finalSize, let errorCode)),
            (.sizeKnown, .resetArrived(let finalSize, let errorCode)):
            self = .resetReceived(finalSize: finalSize, errorCode: errorCode)
            return .dropContent
        case (.sizeKnown(let finalSize), .allArrived):
            self = .dataReceived(finalSize: finalSize)
            return .proceed
        case (.dataReceived(let finalSize), .allRead):
            self = .dataRead(finalSize: finalSize)
            return .complete
        case (.resetReceived(let finalSize, _), .resetRead):
            self = .resetRead(finalSize: finalSize)
            return .complete
        case (.sizeKnown, .finArrived), (.dataReceived, .finArrived), (.dataRead, .finArrived),
            (.resetReceived, .finArrived), (.resetRead, .finArrived):
            return .ignore
        case (.dataReceived, .resetArrived), (.dataRead, .resetArrived), (.resetReceived, .resetArrived),
            (.resetRead, .resetArrived):
            return .ignore
        case (.receive, .allArrived), (.dataReceived, .allArrived), (.dataRead, .allArrived),
            (.resetReceived, .allArrived), (.resetRead, .allArrived):
            return .illegal
        case (.receive, .allRead), (.sizeKnown, .allRead), (.dataRead, .allRead), (.resetReceived, .allRead),
            (.resetRead, .allRead):
            return .illegal
        case (.receive, .resetRead), (.sizeKnown, .resetRead), (.dataReceived, .resetRead), (.dataRead, .resetRead),
            (.resetRead, .resetRead):
            return .illegal
        }
    }

    /// The stream's length, once the peer has told it.
    var finalSize: UInt64? {
        switch self {
        case .receive: nil
        case .sizeKnown(let finalSize), .dataReceived(let finalSize), .dataRead(let finalSize),
            .resetReceived(let finalSize, _), .resetRead(let finalSize):
            finalSize
        }
    }

    /// Whether bytes of the stream may still be missing and wanted.
    var awaitsData: Bool {
        switch self {
        case .receive, .sizeKnown: true
        case .dataReceived, .dataRead, .resetReceived, .resetRead: false
        }
    }

    /// Whether nothing more can happen in this half.
    var isTerminal: Bool {
        switch self {
        case .receive, .sizeKnown, .dataReceived, .resetReceived: false
        case .dataRead, .resetRead: true
        }
    }
}
