internal import Primitives

/// The users of a gateway and the hashes of their tokens, as `users.toml` keeps them.
public struct UsersFile: Hashable, Sendable {
    /// Someone who may use the gateway.
    public struct User: Hashable, Sendable {
        /// The name in logs and lists.
        public var name: String
        /// The hash of the token.
        public var token: TokenHash
        /// When the user was added, as RFC 3339 text.
        public var created: String
    }

    /// The users in the order of the file.
    public private(set) var users: [User]
    /// Positions of users by the first bytes of their token's hash.
    private var positions: [[UInt8]: [Int]]

    /// A file without users.
    public init() {
        users = []
        positions = [:]
    }

    /// Reads the text of a `users.toml`; a name or token that is there twice is an error.
    public init(text: String, source: String) throws(ConfigurationError) {
        self.init()
        let root = try TableReader(TOMLNode.parse(text, source: source), name: "", source: source, keys: ["user"])
        for table in try root.tables("user", keys: ["name", "token", "created"]) {
            let name = try table.string("name")
            guard let name else { throw table.error("name", "is missing; add the user again with `godwit user add`") }
            guard UsersFile.isName(name.value) else { throw name.error("\(UsersFile.badName(name.value))") }
            guard let text = try table.string("token"), let token = TokenHash(text.value) else {
                throw table.error(
                    "token", "is no hash of a token; add the user again with `godwit user add \(name.value)`")
            }
            guard user(named: name.value) == nil, user(with: token) == nil else {
                throw name.error("user \"\(name.value)\" is there twice, or another has the same token; remove one")
            }
            insert(User(name: name.value, token: token, created: try table.string("created")?.value ?? ""))
        }
    }

    /// The user whom a token belongs to.
    ///
    /// The table is entered by bytes of the hash: how long that takes tells an attacker nothing about any token, since nobody
    /// can choose a token for the hash it has. The hashes themselves are compared in constant time.
    public func user(for token: Token) -> User? { user(with: token.hash) }

    /// The user whose token has that hash.
    public func user(with hash: TokenHash) -> User? {
        for position in positions[UsersFile.bucket(hash)] ?? [] where users[position].token == hash {
            return users[position]
        }
        return nil
    }

    /// The user of that name.
    public func user(named name: String) -> User? { users.first { $0.name == name } }

    /// Adds a user; a name that exists or cannot be used is an error.
    ///
    /// `created` is in seconds since 1970.
    public mutating func add(_ name: String, token: Token, created: Int64) throws(UsersError) {
        guard UsersFile.isName(name) else { throw .unusableName(name) }
        guard user(named: name) == nil else { throw .exists(name) }
        insert(User(name: name, token: token.hash, created: "\(CivilTime(unixTime: created))Z"))
    }

    /// Removes a user.
    public mutating func remove(_ name: String) throws(UsersError) {
        guard user(named: name) != nil else { throw .unknown(name) }
        let kept = users.filter { $0.name != name }
        self = UsersFile()
        for user in kept { insert(user) }
    }

    private mutating func insert(_ user: User) {
        positions[UsersFile.bucket(user.token), default: []].append(users.count)
        users.append(user)
    }

    private static func bucket(_ hash: TokenHash) -> [UInt8] { Array(hash.digest.prefix(8)) }

    /// The text of the file.
    public var text: String {
        // Names and hashes consist of characters that TOML strings hold as they are.
        let blocks = users.map {
            "\n[[user]]\nname    = \"\($0.name)\"\ntoken   = \"\($0.token)\"\ncreated = \"\(quotable($0.created))\"\n"
        }
        return "# Users of this gateway, written by `godwit user`. A token is stored as its SHA-256 only.\n"
            + blocks.joined()
    }

    private func quotable(_ text: String) -> String {
        text.filter { $0.isASCII && ($0.isLetter || $0.isNumber || "-:+.".contains($0)) }
    }

    /// Characters in the longest name of a user; longer ones are refused.
    public static let longestName = 64

    /// Whether a text can be a user's name.
    public static func isName(_ name: String) -> Bool {
        (1...longestName).contains(name.utf8.count)
            && name.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "._@-".contains($0)) }
    }

    static func badName(_ name: String) -> String {
        "\"\(name)\" is no user name; write 1 to \(longestName) letters, digits, dots, -, _ and @"
    }
}

/// Why a change of the users was refused.
public enum UsersError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The name has characters that names do not have.
    case unusableName(String)
    /// There is a user of that name.
    case exists(String)
    /// There is no user of that name.
    case unknown(String)

    /// One line: what is wrong and what to do.
    public var description: String {
        switch self {
        case .unusableName(let name): escapingControlCharacters(UsersFile.badName(name))
        case .exists(let name): "user \"\(name)\" exists; choose another name, or `godwit user remove \(name)` first"
        case .unknown(let name):
            escapingControlCharacters("there is no user \"\(name)\"; `godwit user list` shows who there is")
        }
    }
}
