public import HTTP3

/// A gateway's answer to a request for a tunnel.
public enum TunnelResponse: Hashable, Sendable {
    /// The tunnel is up.
    case established
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
            var fields: FieldSection = [Field("proxy-status", Self.intermediary)]
            if form != .classic { fields.append(Field("capsule-protocol", "?1")) }
            return ResponseHead(status: 200, fields: fields)
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

    /// Reads the final answer to a request for a tunnel.
    public init(_ head: ResponseHead) {
        guard !head.isSuccessful else {
            self = .established
            return
        }
        self = .failed(TunnelFailure(status: head.status, proxyStatus: head.fields.combinedValue(of: "proxy-status")))
    }
}
