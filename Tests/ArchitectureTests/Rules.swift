/// A rule of the house that a file breaks: where, what, and what to do instead.
struct Violation: Hashable, Sendable, CustomStringConvertible {
    var path: String
    var line: Int
    var what: String

    var description: String { "\(path):\(line): \(what)" }
}

/// A rule that is checked file by file.
enum Rule: String, CaseIterable, Sendable {
    case imports
    case clock
    case randomness
    case unsafeCode
    case length
    case traps
    case concurrency
    case packageAccess
    case unfinished

    func violations(in file: SourceFile) -> [Violation] {
        switch self {
        case .imports: Self.imports(file)
        case .clock: Self.clock(file)
        case .randomness: Self.randomness(file)
        case .unsafeCode: Self.unsafeCode(file)
        case .length: Self.length(file)
        case .traps: Self.traps(file)
        case .concurrency: Self.concurrency(file)
        case .packageAccess: Self.packageAccess(file)
        case .unfinished: Self.unfinished(file)
        }
    }
}

extension SourceFile {
    fileprivate func violation(_ line: Int, _ what: String) -> Violation {
        Violation(path: path, line: line, what: what)
    }

    /// One violation for every use of one of `words` that `fault` finds fault with.
    fileprivate func violations(of words: Set<String>, _ fault: (Token) -> String?) -> [Violation] {
        guard !words.isDisjoint(with: text.vocabulary) else { return [] }
        return text.words.compactMap { word in
            words.contains(word.text) ? fault(word).map { violation(word.line, $0) } : nil
        }
    }
}

// MARK: - Who may know whom

extension Rule {
    private static func imports(_ file: SourceFile) -> [Violation] {
        guard file.isSource else { return [] }
        guard let room = House.rooms[file.room] else {
            return [
                file.violation(1, "the room \(file.room) is not in the plan; add it to House.swift with its imports")
            ]
        }
        let products = room.mayImport.flatMap { House.modulesOfProduct[$0] ?? [$0] }
        let allowed = room.systemModules.union(products)
        return file.imports.filter { !allowed.contains($0.module) }.map { found in
            let list = allowed.sorted().joined(separator: ", ")
            return file.violation(
                found.line,
                "\(file.room) must not import \(found.module); it may know: \(list.isEmpty ? "nothing" : list)")
        }
    }
}

extension SourceFile {
    /// The modules that the file imports.
    var imports: [(module: String, line: Int)] {
        zip(text.codeLines, 1...).compactMap { line, number in
            let words = line.split { $0 == " " }
            guard let keyword = words.firstIndex(of: "import"),
                words[..<keyword].allSatisfy({ $0.hasPrefix("@") || Self.importModifiers.contains(String($0)) })
            else { return nil }
            var rest = words[(keyword + 1)...]
            if let kind = rest.first, Self.importKinds.contains(String(kind)) { rest = rest.dropFirst() }
            guard let path = rest.first, let module = path.split(separator: ".").first else { return nil }
            return (String(module), number)
        }
    }

    private static let importModifiers: Set<String> = ["public", "package", "internal", "fileprivate", "private"]
    private static let importKinds: Set<String> = [
        "struct", "class", "enum", "protocol", "typealias", "func", "var", "let", "actor",
    ]
}

// MARK: - Time and chance are arguments

extension Rule {
    private static let clockWords: Set<String> = [
        "clock_gettime", "clock_gettime_nsec_np", "clock_nanosleep", "ContinuousClock", "SuspendingClock",
        "DispatchTime", "DispatchWallTime", "gettimeofday", "timespec_get", "nanosleep", "usleep", "UTCClock",
    ]
    /// Harmless words that read a clock when they are called.
    private static let clockCalls: Set<String> = ["Date", "time", "sleep"]

    private static func clock(_ file: SourceFile) -> [Violation] {
        guard file.room != House.clockRoom, file.room != "EventLoopTests" else { return [] }
        return file.violations(of: clockWords.union(clockCalls)) { word in
            guard clockWords.contains(word.text) || isClockCall(word, in: file.text) else { return nil }
            return
                "reads a clock or sleeps (\(word.text)); take `at now: Instant` as an argument, only \(House.clockRoom) reads the clock"
        }
    }

    /// `Date()`, `time(nil)`, `sleep(1)`; not a member or declaration of that name.
    private static func isClockCall(_ word: Token, in text: SourceText) -> Bool {
        guard let arguments = text.arguments(at: word.end)?.filter({ $0 != " " }) else { return false }
        let isMember = text.byte(before: word.start) == UInt8(ascii: ".")
        let isDeclared = text.words.last { $0.end <= word.start }.map { ["func", "case"].contains($0.text) } ?? false
        switch word.text {
        case "Date": return arguments.isEmpty
        case "time": return !isMember && !isDeclared && (arguments == "nil" || arguments == "NULL")
        default: return !isDeclared && !arguments.contains(":") && !arguments.isEmpty || isTaskSleep(word, in: text)
        }
    }

    private static func isTaskSleep(_ word: Token, in text: SourceText) -> Bool {
        text.words.last { $0.end + 1 == word.start }?.text == "Task"
    }

    private static let randomWords: Set<String> = [
        "SystemRandomNumberGenerator", "arc4random", "arc4random_uniform", "arc4random_buf", "drand48", "getrandom",
        "getentropy", "srand", "rand", "hashValue",
    ]
    /// Calls that draw from the system unless they are told what to draw from.
    private static let drawingCalls: Set<String> = ["random", "randomElement", "shuffled", "shuffle"]

    private static func randomness(_ file: SourceFile) -> [Violation] {
        guard file.room != House.randomnessRoom, file.room != "CryptographyTests" else { return [] }
        let forbidden = randomWords.union(House.sansIO.contains(file.room) ? ["systemRandomBytes"] : [])
        return file.violations(of: forbidden.union(drawingCalls)) { word in
            guard forbidden.contains(word.text) || isUnseeded(word, in: file.text) else { return nil }
            return
                "draws unseeded randomness (\(word.text)); pass a generator with `using:`, secrets come from \(House.randomnessRoom)"
        }
    }

    private static func isUnseeded(_ word: Token, in text: SourceText) -> Bool {
        guard let arguments = text.arguments(at: word.end), !arguments.contains("using:") else { return false }
        let previous = text.words.last { $0.end <= word.start }
        if let previous, ["func", "case"].contains(previous.text) { return false }
        guard word.text == "random", text.byte(before: word.start) == UInt8(ascii: ".") else { return true }
        // A member `random` that takes no range is somebody's own, `Loss.random(0.1)`, unless it is that of Bool.
        return arguments.contains("in:") || previous?.text == "Bool"
    }
}

// MARK: - Nothing a peer sends may trap

extension Rule {
    private static func unsafeCode(_ file: SourceFile) -> [Violation] {
        guard file.isSource, !House.unsafePlaces.contains(where: { file.path.hasPrefix($0.place) }) else { return [] }
        return file.violations(of: ["unsafe"]) { _ in
            "`unsafe` stands outside the places of House.unsafePlaces; use Span, or move it behind one of them"
        }
    }

    private static func traps(_ file: SourceFile) -> [Violation] {
        guard file.isSource else { return [] }
        let code = file.text.code
        var line = 1
        var found: [Violation] = []
        for index in code.indices {
            if code[index] == UInt8(ascii: "\n") { line += 1 }
            guard code[index] == UInt8(ascii: "!"), let before = file.text.byte(before: index) else { continue }
            let isPostfix = before.isWordByte || ")]}>?\"".utf8.contains(before)
            guard isPostfix, file.text.byte(at: index + 1) != UInt8(ascii: "=") else { continue }
            found.append(
                file.violation(
                    line,
                    "traps on bad luck (`try!`, `as!` or a forced unwrap); handle the other case, a trap is a remote crash"
                ))
        }
        return found
    }
}

// MARK: - How the house is kept

extension Rule {
    private static func length(_ file: SourceFile) -> [Violation] {
        let lines = file.text.lineCount
        guard lines > House.mostLines else { return [] }
        return [
            file.violation(
                House.mostLines + 1, "has \(lines) lines, a file is one idea in at most \(House.mostLines); split it")
        ]
    }

    private static let concurrencyWords: Set<String> = [
        "async", "await", "actor", "Task", "TaskGroup", "AsyncStream", "DispatchQueue", "Thread", "pthread_create",
    ]

    private static func concurrency(_ file: SourceFile) -> [Violation] {
        guard file.isSource, House.sansIO.contains(file.room) else { return [] }
        return file.violations(of: concurrencyWords) { word in
            "`\(word.text)` in a room that is called and never calls; return an event or an instant instead"
        }
    }

    private static func packageAccess(_ file: SourceFile) -> [Violation] {
        guard file.isSource else { return [] }
        let declared: Set<String> = [
            "func", "var", "let", "struct", "class", "enum", "init", "static", "final", "import", "protocol",
            "mutating",
            "extension", "typealias",
        ]
        let words = file.text.words
        return zip(words, words.dropFirst()).compactMap { word, next in
            guard word.text == "package", declared.contains(next.text) else { return nil }
            return file.violation(word.line, "`package` access blocks inlining between modules; use `public`")
        }
    }

    private static func unfinished(_ file: SourceFile) -> [Violation] {
        let marks = ["TODO", "FIXME", "XXX", "HACK"]
        return zip(file.text.commentLines, 1...).compactMap { comment, line in
            let words = comment.split { !($0.isLetter || $0.isNumber) }
            guard let mark = marks.first(where: { words.contains(Substring($0)) }) else { return nil }
            return file.violation(line, "a comment says \(mark); finish it or write an issue")
        }
    }
}
