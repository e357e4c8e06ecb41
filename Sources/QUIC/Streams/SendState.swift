/// The states of a stream's sending half (RFC 9000 §3.1).
///
/// ```
///        o
///        │ created
///        ▼
///    ┌───────┐  reset
///    │ ready ├──────────────────────────┐
///    └───┬───┘                          │
///        │ dataSent                     │
///        ▼                              │
///    ┌───────┐  reset                   │
///    │ send  ├─────────────────────────►│
///    └───┬───┘                          ▼
///        │ finSent                ┌───────────┐
///        ▼                        │ resetSent │
///    ┌──────────┐  reset          └─────┬─────┘
///    │ dataSent ├──────────────────────►│
///    └───┬──────┘                       │ resetAcknowledged
///        │ allAcknowledged              ▼
///        ▼                        ┌───────────────┐
///    ┌──────────────┐             │ resetReceived │
///    │ dataReceived │             └───────────────┘
///    └──────────────┘
/// ```
/// `resetSent` is entered when the reset is decided; its frame leaves with the next packet that has room.
enum SendState: Hashable {
    case ready
    case send
    case dataSent(finalSize: UInt64)
    case resetSent(finalSize: UInt64, errorCode: UInt64)
    case dataReceived
    case resetReceived

    enum Event: Hashable {
        /// A STREAM frame without FIN was sent.
        case dataSent
        /// A STREAM frame with FIN was sent.
        case finSent(finalSize: UInt64)
        /// The application gives up, or the peer sent STOP_SENDING.
        case reset(finalSize: UInt64, errorCode: UInt64)
        /// Every byte and the FIN are acknowledged.
        case allAcknowledged
        /// The RESET_STREAM frame is acknowledged.
        case resetAcknowledged
    }

    enum Action: Hashable {
        /// Carry on.
        case proceed
        /// The content will never be needed again; send RESET_STREAM.
        case abandonContent
        /// The half is over: tell the application.
        case complete
        /// The event comes too late to matter.
        case ignore
        /// This end made a mistake: the event cannot happen here.
        case illegal
    }

    /// Applies an event.
    mutating func handle(_ event: Event) -> Action {
        switch (self, event) {
        case (.ready, .dataSent):
            self = .send
            return .proceed
        case (.send, .dataSent), (.dataSent, .dataSent):
            // In dataSent these are retransmissions.
            return .proceed
        case (.ready, .finSent(let finalSize)), (.send, .finSent(let finalSize)):
            self = .dataSent(finalSize: finalSize)
            return .proceed
        case (.dataSent(let known), .finSent(let finalSize)):
            return known == finalSize ? .proceed : .illegal
        case (.ready, .reset(let finalSize, let errorCode)), (.send, .reset(let finalSize, let errorCode)),
            (.dataSent, .reset(let finalSize, let errorCode)):
            self = .resetSent(finalSize: finalSize, errorCode: errorCode)
            return .abandonContent
        case (.dataSent, .allAcknowledged):
            self = .dataReceived
            return .complete
        case (.resetSent, .resetAcknowledged):
            self = .resetReceived
            return .complete
        case (.resetSent, .reset), (.dataReceived, .reset), (.resetReceived, .reset):
            return .ignore
        case (.resetSent, .allAcknowledged), (.resetReceived, .allAcknowledged), (.dataReceived, .allAcknowledged),
            (.resetReceived, .resetAcknowledged):
            return .ignore
        case (.resetSent, .dataSent), (.resetSent, .finSent), (.dataReceived, .dataSent), (.dataReceived, .finSent),
            (.resetReceived, .dataSent), (.resetReceived, .finSent):
            return .illegal
        case (.ready, .allAcknowledged), (.send, .allAcknowledged):
            return .illegal
        case (.ready, .resetAcknowledged), (.send, .resetAcknowledged), (.dataSent, .resetAcknowledged),
            (.dataReceived, .resetAcknowledged):
            return .illegal
        }
    }

    /// Whether STREAM frames may still be sent, new or again.
    var maySendData: Bool {
        switch self {
        case .ready, .send, .dataSent: true
        case .resetSent, .dataReceived, .resetReceived: false
        }
    }

    /// Whether nothing more can happen in this half.
    var isTerminal: Bool {
        switch self {
        case .ready, .send, .dataSent, .resetSent: false
        case .dataReceived, .resetReceived: true
        }
    }
}
