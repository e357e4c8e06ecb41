internal import Glibc
internal import Primitives

/// The names that a hosts file gives addresses to (hosts(5)).
struct HostsFile {
    /// Most bytes of a hosts file that are read; lines behind them are not known.
    static let maximumSize = 1 << 20

    private var addresses: [String: [IPAddress]] = [:]

    /// Reads the text of a hosts file. Lines that are not understood are passed over, as resolvers do.
    init(_ text: String) {
        for line in text.split(whereSeparator: \.isNewline) {
            let content = line.prefix { $0 != "#" }
            let words = content.split { $0 == " " || $0 == "\t" }
            guard let first = words.first, let address = IPAddress(first) else { continue }
            for name in words.dropFirst() { addresses[Self.key(name), default: []].append(address) }
        }
    }

    /// The addresses of a name in the order of their lines, or `nil` when the file does not have the name.
    ///
    /// RFC 6761 §6.3: names in "localhost." always stand for this machine, whatever the file and the name servers say.
    subscript(name: String) -> [IPAddress]? {
        let key = Self.key(name[...])
        if let found = addresses[key] { return found }
        guard key == "localhost" || key.hasSuffix(".localhost") else { return nil }
        return [.loopback(.ipv6), .loopback(.ipv4)]
    }

    private static func key(_ name: Substring) -> String {
        let lowercased = name.lowercased()
        return lowercased.hasSuffix(".") ? String(lowercased.dropLast()) : lowercased
    }
}

/// A small file that is read again when it has changed.
public struct WatchedFile {
    private struct Version: Equatable {
        var seconds: Int
        var nanoseconds: Int
        var size: Int
        var inode: UInt64
    }

    let path: String
    private var version: Version?
    private var wasChecked = false

    /// Watches a path, whether or not there is a file.
    public init(_ path: String) { self.path = path }

    /// Whether the file is another one than at the last call; at the first call it always is.
    public mutating func hasChanged() -> Bool {
        var status = stat()
        // Writes nothing but `status`; the path is used during the call only.
        let found = unsafe stat(path, &status) == 0
        let current =
            found
            ? Version(
                seconds: status.st_mtim.tv_sec, nanoseconds: status.st_mtim.tv_nsec, size: Int(status.st_size),
                inode: UInt64(status.st_ino)) : nil
        defer {
            version = current
            wasChecked = true
        }
        return !wasChecked || current != version
    }

    /// The file's text, up to a number of bytes; empty when it cannot be read.
    func read(atMost limit: Int) -> String {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)  // the path is used during the call only
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: limit)
        var count = 0
        while count < limit {
            // Writes at most what is left of the array.
            let result = unsafe bytes.withUnsafeMutableBytes { buffer in
                unsafe Glibc.read(descriptor, buffer.baseAddress.map { unsafe $0 + count }, limit - count)
            }
            guard result > 0 else { break }
            count += result
        }
        return String(decoding: bytes[..<count], as: UTF8.self)
    }
}
