public import HTTP3

/// A gateway's answer to a request for a tunnel.
public enum TunnelResponse: Hashable, Sendable {
    /// The tunnel is up.
    case established
    /// The tunnel is up, and can be resumed.
    case resumable(ResumptionGrant)
    /// The tunnel goes on.
    case resumed(ResumptionAnswer)
    /// There will be no tunnel.
    case failed(TunnelFailure)
}

extension TunnelResponse {
    /// The name of this intermediary in Proxy-Status (RFC 9209 §2).
    static let intermediary = "godwit"

    /// The head that says so, for a request of the given form.
    public func head(for form: TunnelForm) -> ResponseHead {
        switch self {
        case .established:
            return Self.success(for: form, nil)
        case .resumable(let grant):
            return Self.success(for: form, ResumptionField.field(grant))
        case .resumed(let answer):
            return Self.success(for: form, ResumptionField.field(answer))
        case .failed(.unauthorized):
            // Nothing more is revealed to who may not use the gateway.
            return ResponseHead(
                status: form.unauthorizedStatus, fields: [Field(form.challengeField, "Bearer")])
        case .failed(let failure):
            let row = failure.row
            var fields = FieldSection()
            if let error = row.proxyStatus {
                let item = StructuredItem(.token(Self.intermediary), parameters: [("error", .token(error))])
                fields.append(Field("proxy-status", item.serialized))
            }
            return ResponseHead(status: row.status, fields: fields)
        }
    }

    private static func success(for form: TunnelForm, _ resumption: Field?) -> ResponseHead {
        var fields: FieldSection = [Field("proxy-status", intermediary)]
        if form != .classic { fields.append(Field("capsule-protocol", "?1")) }
        if let resumption { fields.append(resumption) }
        return ResponseHead(status: 200, fields: fields)
    }

    /// Reads the final answer to a request for a tunnel.
    public init(_ head: ResponseHead) {
        guard !head.isSuccessful else {
            switch ResumptionField.offer(in: head.fields) {
            case .none: self = .established
            case .granted(let grant): self = .resumable(grant)
            case .resumed(let answer): self = .resumed(answer)
            }
            return
        }
        self = .failed(TunnelFailure(status: head.status, proxyStatus: head.fields.combinedValue(of: "proxy-status")))
    }
}
