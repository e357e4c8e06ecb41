import EventLoop
public import Primitives
import Telemetry
import Tunnel

/// What `godwit paths` asks of a running local endpoint.
public enum PathCommand: Hashable, Sendable {
    /// Show paths, other addresses and handovers.
    case list(StatusOptions.Format)
    /// Make an address a standby, or validate it again.
    case add(IPAddress)
    /// Move the connection to an address.
    case use(IPAddress)
    /// Give the path from an address up.
    case remove(IPAddress)

    /// As it goes over the control socket.
    var line: String {
        switch self {
        case .list(.table): "paths"
        case .list(.json): "paths json"
        case .add(let address): "paths add \(address)"
        case .use(let address): "paths use \(address)"
        case .remove(let address): "paths remove \(address)"
        }
    }

    /// Reads what follows "paths" on the control socket.
    init?(words: ArraySlice<Substring>) {
        switch words.first {
        case nil: self = .list(.table)
        case "json" where words.count == 1: self = .list(.json)
        case let verb?:
            guard words.count == 2, let address = words.last.flatMap({ IPAddress($0) }) else { return nil }
            switch verb {
            case "add": self = .add(address)
            case "use": self = .use(address)
            case "remove": self = .remove(address)
            default: return nil
            }
        }
    }
}

extension GatewayLink {
    /// Carries a command out; the answer is text, or a failure's sentence.
    func perform(_ command: PathCommand) -> Result<String, PathRequestError> {
        do throws(PathRequestError) {
            switch command {
            case .list(.table): return .success(PathListing(self).text)
            case .list(.json): return .success(PathListing(self).json.text + "\n")
            case .add(let address): try control().add(address)
            case .use(let address): try control().use(address)
            case .remove(let address): try control().remove(address)
            }
            // What the policy decided is carried out at the end of a turn.
            loop.turnSoon()
            return .success("ok\n")
        } catch {
            return .failure(error)
        }
    }

    private func control() throws(PathRequestError) -> PathControl {
        guard let control = session?.paths else { throw .notConnected }
        return control
    }
}

/// `godwit paths`: asks a running local endpoint.
public final class PathClient {
    private let control: String

    /// Creates the client for a control socket; nothing happens before `run`.
    public init(control: String) { self.control = control }

    /// Asks, and gives what is to be printed; nothing after a change that was made.
    public func run(_ command: PathCommand) -> StatusClient.Outcome {
        switch ControlClient.answer(to: command.line, at: control) {
        case .text("ok\n"): .answer("")
        case .text(let text): .answer(text)
        case .error(let sentence): .failure(sentence)
        case .nobody:
            .failure(
                "no local endpoint answers at \(control); start `godwit connect`, or name the socket with --control")
        }
    }
}
