internal import Primitives

/// What a configuration may depend on outside of its file: environment variables and the user.
public struct Surroundings: Hashable, Sendable {
    /// The environment variables.
    public var variables: [String: String]
    /// The effective user; 0 is root.
    public var userID: UInt32

    /// Creates surroundings from their parts.
    public init(variables: [String: String], userID: UInt32) {
        self.variables = variables
        self.userID = userID
    }

    /// Where sockets of this user belong: `$XDG_RUNTIME_DIR`, else `/run` for root and a folder of one's own in `/tmp`.
    public var runtimeFolder: String {
        if let folder = variables["XDG_RUNTIME_DIR"], !folder.isEmpty { return folder }
        return userID == 0 ? "/run" : "/tmp/godwit-\(userID)"
    }

    /// The control socket of a local endpoint where nothing else is configured.
    public var localControlSocket: String { "\(runtimeFolder)/godwit.sock" }

    /// The control socket of a gateway where nothing else is configured.
    public var gatewayControlSocket: String {
        userID == 0 ? "/run/godwit/gateway.sock" : "\(runtimeFolder)/godwit-gateway.sock"
    }

    /// A path as a file wrote it, ready to open: `$NAME`, `${NAME}` and a leading `~/` replaced, relative to the file's folder.
    func path(_ text: Located<String>, key: String) throws(ConfigurationError) -> String {
        let expanded = try expand(text, key: key)
        guard !expanded.isEmpty else { throw text.error("\(key) is empty; write a path") }
        if expanded.hasPrefix("/") { return expanded }
        return Surroundings.folder(of: text.source) + expanded
    }

    /// The folder part of a path, with its slash; empty for a bare file name.
    static func folder(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "" }
        return String(path[...slash])
    }

    private func expand(_ text: Located<String>, key: String) throws(ConfigurationError) -> String {
        var result = ""
        var rest = text.value[...]
        if rest.hasPrefix("~/") {
            result = try variable("HOME", in: text, key: key)
            rest = rest.dropFirst()
        }
        while let dollar = rest.firstIndex(of: "$") {
            result += rest[..<dollar]
            rest = rest[dollar...].dropFirst()
            let name: Substring
            if rest.first == "{", let end = rest.firstIndex(of: "}") {
                name = rest[..<end].dropFirst()
                rest = rest[end...].dropFirst()
            } else {
                name = rest.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
                rest = rest.dropFirst(name.count)
            }
            result += try variable(String(name), in: text, key: key)
        }
        return result + rest
    }

    private func variable(_ name: String, in text: Located<String>, key: String) throws(ConfigurationError) -> String {
        if name == "XDG_RUNTIME_DIR" { return runtimeFolder }
        guard let value = variables[name], !value.isEmpty else {
            throw text.error("\(key) uses $\(name), which is not set; set it, or write the path out")
        }
        return value
    }
}
