import FoundationEssentials

/// What processes and all that they started have used, by /proc.
struct ProcessFigures {
    /// Seconds of processor time.
    private(set) var processorTime = 0.0
    /// Bytes of resident memory, as each process counts them.
    private(set) var residentMemory = 0

    /// Ticks of processor time in a second; the same on every Linux that Swift runs on.
    private static let ticks = 100.0
    /// Where utime, stime, cutime and cstime stand, of the fields behind the program's name (proc(5) counts two more).
    private static let times = 11...14
    /// Where the parent stands there.
    private static let parent = 1

    /// Reads the figures of these processes and their descendants as they are now.
    init(of roots: [Int32]) {
        var stats: [Int32: [Substring]] = [:]
        for name in (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? [] {
            if let pid = Int32(name), let fields = Self.fields(of: pid) { stats[pid] = fields }
        }
        var wanted = roots
        while let pid = wanted.popLast() {
            guard let fields = stats[pid], fields.count > Self.times.upperBound else { continue }
            processorTime += fields[Self.times].compactMap { Double($0) }.reduce(0, +) / Self.ticks
            residentMemory += Self.residentMemory(of: pid)
            wanted += stats.filter { $0.value.count > Self.parent && $0.value[Self.parent] == "\(pid)" }.map(\.key)
        }
    }

    /// Whether a process is there and has not ended.
    static func isRunning(_ pid: Int32) -> Bool { fields(of: pid).map { $0.first != "Z" } ?? false }

    /// What stands behind the program's name in `stat`.
    private static func fields(of pid: Int32) -> [Substring]? {
        guard let text = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
            let nameEnd = text.lastIndex(of: ")")
        else { return nil }
        return text[text.index(after: nameEnd)...].split(separator: " ")
    }

    private static func residentMemory(of pid: Int32) -> Int {
        let text = (try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)) ?? ""
        let line = text.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
        return (line?.split(whereSeparator: \.isWhitespace).dropFirst().first).flatMap { Int($0) }.map { $0 * 1024 }
            ?? 0
    }
}
