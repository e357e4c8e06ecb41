/// `godwit gateway --replace`: asks the keeper of a running gateway to have a new process take over.
public final class ReplacementClient {
    private let control: String

    /// Creates the client for a gateway's control socket; nothing happens before `run`.
    public init(control: String) { self.control = control }

    /// Asks; the gateway's log tells how it went.
    public func run() -> StatusClient.Outcome {
        switch ControlClient.answer(to: "replace", at: control) {
        case .text: .answer("a new process takes over; the gateway's log tells how it went\n")
        case .error(let sentence): .failure(sentence)
        case .nobody: .failure("no gateway answers at \(control); is it running, and is this its configuration?")
        }
    }
}
