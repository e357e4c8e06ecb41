import Primitives
import Testing
import Tunnel

@testable import LocalEndpoint

@Suite("Commands at the local endpoint's control socket")
struct LocalCommandTests {
    @Test(
        "each has one form",
        arguments: [
            ("status", .status), ("status json", .statusAsJSON), ("rebind", .rebind),
            ("open build.internal 22", .open(Destination(.name("build.internal"), port: 22))),
            ("paths", .paths(.list(.table))),
            ("paths add 10.0.0.1", .paths(.add(IPAddress(ipv4: 0x0a00_0001)))),
        ] as [(String, LocalCommand)])
    func forms(line: String, command: LocalCommand) {
        #expect(LocalCommand(line) == command)
    }

    @Test(
        "wrong words are told by the form they should have had",
        arguments: ["open", "open a", "open a 0", "open a 65536", "open a b 1", "open -a 1"])
    func malformed(line: String) {
        #expect(LocalCommand(line) == .malformed(form: "open HOST PORT"))
    }

    @Test("anything else is unknown", arguments: ["", " ", "Status", "status xml", "status json now", "reload", "\0"])
    func unknown(line: String) {
        #expect(LocalCommand(line) == .unknown)
    }
}
