public import HTTP3
public import Primitives

/// A request for a tunnel.
public struct TunnelRequest: Hashable, Sendable {
    /// How it is asked for.
    public var form: TunnelForm
    /// Where it leads.
    public var destination: Destination
    /// Who asks.
    public var credentials: Credentials
    /// Whether it goes on with a tunnel, or asks for one that can be resumed; connect-tcp only.
    public var resumption: ResumptionWish

    /// Creates a request.
    public init(
        _ form: TunnelForm, to destination: Destination, credentials: Credentials, resumption: ResumptionWish = .none
    ) {
        self.resumption = resumption
        self.form = form
        self.destination = destination
        self.credentials = credentials
    }

    /// The head that asks `gateway`, the authority of the proxy, for this tunnel.
    public func head(gateway: String) -> RequestHead {
        var fields = FieldSection()
        if let value = credentials.fieldValue {
            fields.append(Field(form.credentialsField, value, .neverIndexed))
        }
        switch form {
        case .classic:
            return RequestHead(.connect(authority: destination.description), fields: fields)
        case .connectTCP:
            fields.append(Field("capsule-protocol", "?1"))
            switch resumption {
            case .none, .malformed: break
            case .wanted: fields.append(ResumptionField.wanted)
            case .resume(let request): fields.append(ResumptionField.field(request))
            }
            let target = RequestHead.Target.extendedConnect(
                protocol: ConnectTCPDraft.upgradeToken, scheme: "https", authority: gateway,
                path: ConnectTCPTemplate.path(to: destination))
            return RequestHead(target, fields: fields)
        }
    }
}

/// What a gateway makes of a request.
public enum RequestReading: Hashable, Sendable {
    /// A tunnel is asked for. The destination is nil when it cannot be understood, which only who may use the gateway is told.
    case tunnel(TunnelForm, Destination?, Credentials, Expectation)
    /// Something that this gateway does not have: a status is the whole answer.
    case unavailable(status: Int)

    /// Whether the client wants to hear that its request arrived (RFC 9110 §10.1.1).
    public enum Expectation: Hashable, Sendable {
        /// It does not.
        case none
        /// It waits for 100 (Continue).
        case toContinue
    }

    /// Reads a request head.
    public init(_ head: RequestHead) {
        switch head.target {
        case .resource:
            self = .unavailable(status: 404)
        case .connect(let authority):
            self = Self.tunnel(.classic, to: Destination(authority), head)
        case .extendedConnect(let token, let scheme, _, let path):
            // RFC 9220 §3: 501 for a protocol that is not supported.
            guard let draft = ConnectTCPDraft(upgradeToken: token) else {
                self = .unavailable(status: 501)
                return
            }
            let destination = scheme == "https" ? ConnectTCPTemplate.destination(ofPath: path) : nil
            self = Self.tunnel(.connectTCP(draft), to: destination, head)
        }
    }

    private static func tunnel(_ form: TunnelForm, to destination: Destination?, _ head: RequestHead) -> RequestReading
    {
        let credentials = Credentials(fieldValue: head.fields.onlyValue(of: form.credentialsField))
        let expects = head.fields.onlyValue(of: "expect")?.lowercased() == "100-continue"
        return .tunnel(form, destination, credentials, expects ? .toContinue : .none)
    }
}
