import Logging
import Synchronization
import Testing

@testable import Telemetry

@Suite("Log lines")
struct LogLineTests {
    func line(_ message: String, _ fields: [(key: String, value: String)] = [], _ format: LogFormat = .text) -> String {
        LogLine(milliseconds: 1_795_230_245_007, level: .info, label: "gateway", message: message, fields: fields).text(
            format)
    }

    @Test("an event is one line of text")
    func text() {
        #expect(
            line("listening", [("address", "[::]:443")])
                == "2026-11-21T03:04:05.007Z info gateway: listening address=[::]:443\n")
    }

    @Test("an event is one JSON object a line")
    func json() {
        #expect(
            line("listening", [("address", "[::]:443"), ("port", "1")], .json)
                == "{\"time\":\"2026-11-21T03:04:05.007Z\",\"level\":\"info\",\"label\":\"gateway\",\"message\":\"listening\","
                + "\"fields\":{\"address\":\"[::]:443\",\"port\":\"1\"}}\n")
    }

    @Test(
        "no text of a peer ends the line, forges a field or steers the terminal",
        arguments: [
            "a\nb", "a\r\nb", "\u{1b}[2J", "a\u{0}b", "a\u{7f}", "a\u{85}b", "a\u{2028}b", "a\u{202e}b", "a\u{200b}b",
            "a\u{9b}31m", "\u{feff}",
        ])
    func injection(text: String) {
        for format in LogFormat.allCases {
            let written = line("m " + text, [("peer", text), (text, "x")], format)
            #expect(written.hasSuffix("\n"))
            for scalar in written.unicodeScalars.dropLast() {
                #expect(scalar.value >= 0x20 && !(0x7f...0x9f).contains(scalar.value))
                #expect(scalar.properties.generalCategory != .format)
                #expect(scalar != "\u{2028}")
            }
        }
    }

    @Test("a value that could be read as more than one field is quoted")
    func quoting() {
        #expect(line("m", [("a", "x y")]).hasSuffix(" a=\"x y\"\n"))
        #expect(line("m", [("a", "1 b=2")]).hasSuffix(" a=\"1 b=2\"\n"))
        #expect(line("m", [("a", "x\" b=\"y")]).hasSuffix(" a=\"x\\\" b=\\\"y\"\n"))
        #expect(line("m", [("a", "")]).hasSuffix(" a=\"\"\n"))
        #expect(line("m", [("a", "b\\")], .json).hasSuffix("\"a\":\"b\\\\\"}}\n"))
        #expect(line("m", [("a", "é…")]).hasSuffix(" a=é…\n"))
        #expect(LogLine.json("\u{1}\u{e0001}") == "\"\\u0001\\udb40\\udc01\"")
    }

    @Test("a text of any length is cut")
    func length() {
        for format in LogFormat.allCases {
            let long = String(repeating: "\u{1}", count: 100_000)
            #expect(line(long, [("a", long)], format).utf8.count < 50_000)
            let plain = String(repeating: "a", count: 100_000)
            #expect(line(plain, [("a", plain)], format).utf8.count < 10_000)
        }
    }

    @Test("the handler writes what is at its level, with all metadata in order")
    func handler() {
        let collector = Collector()
        var logger = Logger(label: "local") { label in
            LineLogHandler(
                label: label, options: LogOptions(level: .warning), unixMilliseconds: { 0 },
                write: { collector.add($0) })
        }
        logger[metadataKey: "worker"] = "1"
        logger.info("hidden")
        logger.warning("shown", metadata: ["path": "eth0", "attempt": "2"])
        #expect(collector.lines == ["1970-01-01T00:00:00.000Z warning local: shown attempt=2 path=eth0 worker=1\n"])
    }

    final class Collector: Sendable {
        private let stored = Mutex<[String]>([])
        var lines: [String] { stored.withLock { $0 } }
        func add(_ line: String) { stored.withLock { $0.append(line) } }
    }

    @Test("counters of workers add up, each under a name of its own")
    func counters() {
        var a = Counters()
        var b = Counters()
        for (index, counter) in Counters.all.enumerated() {
            a[keyPath: counter.path] = UInt64(index)
            b[keyPath: counter.path] = 100
        }
        let sum = a + b
        for (index, counter) in Counters.all.enumerated() { #expect(sum[keyPath: counter.path] == UInt64(index + 100)) }
        #expect(Set(Counters.all.map(\.name)).count == Counters.all.count)
    }
}
