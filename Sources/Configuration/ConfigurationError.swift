/// Something in a configuration that cannot be used, as one line for the person who wrote it.
///
/// It names the file, the line where one is to blame, what is wrong and what to write instead.
public struct ConfigurationError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The file, variable or command-line argument that is at fault.
    public let source: String
    /// The line in the file, counted from 1.
    public let line: Int?
    /// What is wrong and what to do.
    public let message: String

    /// Creates an error; control characters in the message are escaped, since parts of it come from the file.
    public init(source: String, line: Int? = nil, message: String) {
        self.source = escapingControlCharacters(source)
        self.line = line
        self.message = escapingControlCharacters(message)
    }

    /// `FILE:LINE: MESSAGE`.
    public var description: String {
        guard let line else { return "\(source): \(message)" }
        return "\(source):\(line): \(message)"
    }
}

/// A text with every control character written as an escape, so that it stays one line.
func escapingControlCharacters(_ text: String) -> String {
    func isControl(_ scalar: Unicode.Scalar) -> Bool { scalar.properties.generalCategory == .control }
    guard text.unicodeScalars.contains(where: isControl) else { return text }
    return text.unicodeScalars.map { isControl($0) ? $0.escaped(asASCII: true) : String($0) }.joined()
}

/// A value of a file together with the place it came from, for checks that can only be made later.
public struct Located<Value: Hashable & Sendable>: Hashable, Sendable {
    /// The value.
    public let value: Value
    /// The file it was read from.
    public let source: String
    /// Its line, counted from 1.
    public let line: Int

    /// Creates a located value.
    public init(_ value: Value, source: String, line: Int) {
        self.value = value
        self.source = source
        self.line = line
    }

    /// An error at this place.
    public func error(_ message: String) -> ConfigurationError {
        ConfigurationError(source: source, line: line, message: message)
    }
}
