/// One field of a message: a lower-case name and its value (RFC 9110 §5).
public struct Field: Hashable, Sendable {
    /// Whether compression may remember the field.
    public enum Sensitivity: UInt8, Hashable, Sendable {
        /// Anything.
        case ordinary
        /// A secret: sent as a literal that no intermediary may index either (RFC 9204 §7.1.3).
        case neverIndexed
    }

    /// The name, in lower case.
    public let name: String
    /// The value, without leading and trailing white space.
    public let value: String
    /// Whether compression may remember the field.
    public let sensitivity: Sensitivity

    /// Creates a field of which the caller knows that name and value are valid.
    public init(_ name: String, _ value: String, _ sensitivity: Sensitivity = .ordinary) {
        self.name = name
        self.value = value
        self.sensitivity = sensitivity
    }
}

/// The fields of a message in order, without pseudo-header fields; names and values are valid.
public struct FieldSection: Hashable, Sendable, ExpressibleByArrayLiteral {
    /// The fields in order.
    public private(set) var fields: [Field]

    /// Creates a section.
    public init(_ fields: [Field] = []) { self.fields = fields }

    /// Creates a section.
    public init(arrayLiteral fields: Field...) { self.fields = fields }

    /// Appends a field.
    public mutating func append(_ field: Field) { fields.append(field) }

    /// The value of the only field of this name; nil when there is none or more than one.
    public func onlyValue(of name: String) -> String? {
        var found: String?
        for field in fields where field.name == name {
            guard found == nil else { return nil }
            found = field.value
        }
        return found
    }

    /// The values of all fields of this name as one list (RFC 9110 §5.3); nil when there is none.
    public func combinedValue(of name: String) -> String? {
        let values = fields.filter { $0.name == name }.map(\.value)
        return values.isEmpty ? nil : values.joined(separator: ", ")
    }

    /// What the section measures in bytes (RFC 9114 §4.2.2).
    public var size: Int {
        fields.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count + FieldLine.overhead }
    }
}
