public import Logging

/// How and from which level on the log is written.
public struct LogOptions: Hashable, Sendable {
    /// Events below this level are not written.
    public var level: Logger.Level
    /// Text or JSON.
    public var format: LogFormat

    /// Creates options; the default is text from `info` on.
    public init(level: Logger.Level = .info, format: LogFormat = .text) {
        self.level = level
        self.format = format
    }
}

/// A swift-log handler that writes one line an event to standard error.
///
/// Secrets do not get here: their types print without them (`Token`, `Invite`, `SecretBytes`), and payload is never logged.
public struct LineLogHandler: LogHandler {
    public var logLevel: Logger.Level
    public var metadata: Logger.Metadata = [:]
    public var metadataProvider: Logger.MetadataProvider?

    private let label: String
    private let format: LogFormat
    private let unixMilliseconds: @Sendable () -> Int64
    private let write: @Sendable (String) -> Void

    init(
        label: String, options: LogOptions, unixMilliseconds: @escaping @Sendable () -> Int64,
        write: @escaping @Sendable (String) -> Void
    ) {
        self.label = label
        logLevel = options.level
        format = options.format
        self.unixMilliseconds = unixMilliseconds
        self.write = write
    }

    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    public func log(event: LogEvent) {
        var merged = metadata
        if let provided = metadataProvider?.get() { merged.merge(provided) { $1 } }
        if let given = event.metadata { merged.merge(given) { $1 } }
        if let error = event.error { merged["error"] = "\(error)" }
        let fields = merged.sorted { $0.key < $1.key }.map { (key: $0.key, value: "\($0.value)") }
        let line = LogLine(
            milliseconds: unixMilliseconds(), level: event.level, label: label, message: "\(event.message)",
            fields: fields)
        write(line.text(format))
    }
}

extension Logger {
    /// A logger that writes to standard error.
    ///
    /// `unixMilliseconds` reads the wall clock; only the event loop's room may, so the caller hands the reading in.
    public init(_ label: String, options: LogOptions, unixMilliseconds: @escaping @Sendable () -> Int64) {
        self.init(label: label) { label in
            LineLogHandler(
                label: label, options: options, unixMilliseconds: unixMilliseconds, write: StandardError.write)
        }
    }
}
