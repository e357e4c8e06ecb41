import HTTP3
import Primitives

/// The field `tunnel-resumption`: a structured item (RFC 9651), a boolean or the tunnel's id as a byte sequence.
enum ResumptionField {
    static let name = "tunnel-resumption"

    /// RFC 9651 §3.3.1: the largest integer. A tunnel beyond it, a petabyte, ends with its connection.
    static let largestInteger: UInt64 = 999_999_999_999_999

    /// What stands in the field of a successful answer.
    enum Offer: Hashable {
        /// Nothing that is understood.
        case none
        /// The new tunnel can be resumed.
        case granted(ResumptionGrant)
        /// The tunnel goes on.
        case resumed(ResumptionAnswer)
    }

    static let wanted = Field(name, "?1")

    static func field(_ request: ResumptionRequest) -> Field {
        let item = StructuredItem(
            .bytes(request.id.bytes),
            parameters: [
                ("delivered", .integer(Int64(clamping: request.delivered))),
                ("generation", .integer(Int64(clamping: request.generation))),
            ])
        return Field(name, item.serialized, .neverIndexed)
    }

    static func field(_ grant: ResumptionGrant) -> Field {
        let item = StructuredItem(
            .bytes(grant.id.bytes), parameters: [("linger", .integer(grant.linger.wholeSeconds))])
        return Field(name, item.serialized, .neverIndexed)
    }

    static func field(_ answer: ResumptionAnswer) -> Field {
        let item = StructuredItem(
            .bytes(answer.position.id.bytes),
            parameters: [
                ("delivered", .integer(Int64(clamping: answer.position.delivered))),
                ("generation", .integer(Int64(clamping: answer.position.generation))),
                ("linger", .integer(answer.linger.wholeSeconds)),
            ])
        return Field(name, item.serialized, .neverIndexed)
    }

    static func wish(in fields: FieldSection) -> ResumptionWish {
        guard let item = fields.onlyValue(of: name).flatMap(StructuredItem.init(parsing:)) else { return .none }
        switch item.value {
        case .boolean(true): return .wanted
        case .bytes:
            guard let position = position(in: item) else { return .malformed }
            return .resume(position)
        case .boolean(false), .integer, .decimal, .string, .token: return .none
        }
    }

    static func offer(in fields: FieldSection) -> Offer {
        guard let item = fields.onlyValue(of: name).flatMap(StructuredItem.init(parsing:)),
            case .bytes(let bytes) = item.value, let id = ResumptionID(bytes),
            let seconds = number("linger", in: item)
        else { return .none }
        let linger = Interval.seconds(Int64(clamping: min(seconds, longestLinger)))
        if let position = position(in: item) { return .resumed(ResumptionAnswer(position, linger: linger)) }
        guard item.parameters["delivered"] == nil, item.parameters["generation"] == nil else { return .none }
        return .granted(ResumptionGrant(id: id, linger: linger))
    }

    /// Longest time that is believed, in seconds: ten years. Keeps sums of times from overflowing.
    private static let longestLinger: UInt64 = 315_360_000

    private static func position(in item: StructuredItem) -> ResumptionRequest? {
        guard case .bytes(let bytes) = item.value, let id = ResumptionID(bytes),
            let delivered = number("delivered", in: item), let generation = number("generation", in: item)
        else { return nil }
        return ResumptionRequest(id: id, delivered: delivered, generation: generation)
    }

    private static func number(_ key: String, in item: StructuredItem) -> UInt64? {
        guard case .integer(let value) = item.parameters[key] else { return nil }
        return UInt64(exactly: value)
    }
}

extension Interval {
    /// The whole seconds in it; 0 for a negative one.
    fileprivate var wholeSeconds: Int64 { Swift.max(0, nanoseconds / 1_000_000_000) }
}
