public import Primitives

/// `godwit gateway drain`: asks a running gateway to take no more tunnels and to end with those that it has.
public final class DrainClient {
    private let control: String

    /// Creates the client for a gateway's control socket; nothing happens before `run`.
    public init(control: String) { self.control = control }

    /// Asks; `limit` is how long tunnels may go on.
    public func run(within limit: Interval) -> StatusClient.Outcome {
        switch ControlClient.answer(to: "drain \(limit.milliseconds)", at: control) {
        case .text: .answer("the gateway takes no more tunnels and ends with those that it has\n")
        case .error(let sentence): .failure(sentence)
        case .nobody: .failure("no gateway answers at \(control); is it running, and is this its configuration?")
        }
    }
}
