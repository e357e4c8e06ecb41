import EventLoop
import FoundationEssentials
import Testing

@Suite("The pages of the program")
struct ProgramPagesTests {
    /// Pages of files that are in memory: the third number of `statm`.
    private static func filePages() throws -> Int {
        let words = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8).split(separator: " ")
        return try #require(words.count > 2 ? Int(words[2]) : nil)
    }

    @Test func areGivenBack() throws {
        let before = try Self.filePages()
        ProgramPages.release()
        // Other tests use some of them meanwhile; the program and its libraries have thousands.
        #expect(try Self.filePages() < before)
    }
}
