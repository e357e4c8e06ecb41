/// `godwit status`: asks a running local endpoint or gateway for its status.
public final class StatusClient {
    /// What came of asking.
    public enum Outcome: Hashable, Sendable {
        /// The answer, ready to print.
        case answer(String)
        /// Nobody answered: one line that says whom was asked and what to do.
        case failure(String)
    }

    private let options: StatusOptions

    /// Creates the client; nothing happens before `run`.
    public init(_ options: StatusOptions) { self.options = options }

    /// Asks one process after the other until one answers.
    public func run() -> Outcome {
        for path in options.controlSockets {
            if let text = ControlClient.ask(options.format == .json ? "status json" : "status", at: path) {
                return .answer(text)
            }
        }
        let asked = options.controlSockets.joined(separator: " and ")
        return .failure(
            "no local endpoint or gateway answers at \(asked); start `godwit connect`, or name the socket with --control"
        )
    }
}
