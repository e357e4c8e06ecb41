import Glibc

/// A Swift file of this package.
struct SourceFile: Sendable {
    /// The path from the package's folder: `Sources/QUIC/Wire/Varint.swift`.
    let path: String
    let text: SourceText

    init(path: String, _ text: String) {
        self.path = path
        self.text = SourceText(text)
    }

    private var components: [Substring] { path.split(separator: "/") }

    /// Whether the file belongs to the program, not to its tests.
    var isSource: Bool { components.first == "Sources" }

    /// The target the file belongs to.
    var room: String { components.count > 1 ? String(components[1]) : "" }
}

/// The package's folder, read once.
struct SourceTree: Sendable {
    let files: [SourceFile]
    let manifest: Manifest
    /// The folders in `Sources` that hold Swift.
    let rooms: Set<String>

    static let package = SourceTree(root: packageRoot)

    /// The folder above `Tests/ArchitectureTests`.
    private static let packageRoot: String = {
        let parts = #filePath.split(separator: "/").dropLast(3)
        return "/" + parts.joined(separator: "/")
    }()

    private init(root: String) {
        let paths = ["Sources", "Tests"].flatMap { Self.swiftFiles(in: "\(root)/\($0)") }.sorted()
        files = paths.map { path in
            SourceFile(path: String(path.dropFirst(root.count + 1)), Self.read(path))
        }
        manifest = Manifest(Self.read("\(root)/Package.swift"))
        rooms = Set(files.filter(\.isSource).map(\.room))
    }

    private static func swiftFiles(in folder: String) -> [String] {
        // The C API of directories is the only one without Foundation; the handle is closed before the pointers end.
        guard let directory = unsafe opendir(folder) else { return [] }
        defer { unsafe closedir(directory) }
        var found: [String] = []
        while let entry = unsafe readdir(directory) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { field in
                unsafe field.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            if name.hasPrefix(".") { continue }
            let path = "\(folder)/\(name)"
            if name.hasSuffix(".swift") { found.append(path) } else { found += swiftFiles(in: path) }
        }
        return found
    }

    private static func read(_ path: String) -> String {
        // The string lives as long as the call.
        let descriptor = unsafe open(path, O_RDONLY)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            // `read` writes at most the count it is given into the array it is given.
            let count = unsafe Glibc.read(descriptor, &chunk, chunk.count)
            guard count > 0 else { break }
            bytes += chunk[..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
