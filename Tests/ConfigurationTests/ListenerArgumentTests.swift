import Configuration
import Primitives
import Testing

@Suite("Listeners on the command line")
struct ListenerArgumentTests {
    @Test(
        "a listener is a port, with an address before it where it is not loopback",
        arguments: [
            ("1080", "127.0.0.1:1080"), ("0", "127.0.0.1:0"), ("localhost:1", "127.0.0.1:1"),
            ("*:1080", "0.0.0.0:1080"),
            ("10.0.0.1:65535", "10.0.0.1:65535"), ("[::1]:1080", "[::1]:1080"),
        ])
    func listener(text: String, address: String) throws {
        #expect(try ListenSpec(text).listen.description == address)
    }

    @Test(
        "an unclear listener is refused",
        arguments: [
            "", ":1080", "a", "65536", "-1", "::1:1080", "[::1]", "host:1080", "1:2:3", "1080 ", "[::1:1080", "+1",
            "[1080]",
        ])
    func noListener(text: String) {
        #expect(throws: ListenerArgumentError.self) { try ListenSpec(text) }
    }

    @Test(
        "a forwarding is a listener and a destination, as in ssh",
        arguments: [
            ("2222:build.internal:22", "127.0.0.1:2222", "build.internal:22"), ("0:a:1", "127.0.0.1:0", "a:1"),
            ("*:80:[2001:db8::1]:443", "0.0.0.0:80", "[2001:db8::1]:443"),
            ("[::1]:1:192.0.2.1:2", "[::1]:1", "192.0.2.1:2"),
            ("localhost:1:[::1]:2", "127.0.0.1:1", "[::1]:2"),
        ])
    func forwarding(text: String, listen: String, destination: String) throws {
        let spec = try ForwardSpec(text)
        #expect(spec.listen.description == listen)
        #expect(spec.destination.description == destination)
    }

    @Test(
        "an unclear forwarding is refused",
        arguments: [
            "", "1", "1:2", "a:b:1", "1::2", "1:a:0", "1:a:65536", "1:a:b", "1:2:3:4:5", "1:::1:2", ":1:a:2",
            "1:[::1:2", "x:1:a:2", "1:127.1:2",
        ])
    func noForwarding(text: String) {
        let error = #expect(throws: ListenerArgumentError.self) { try ForwardSpec(text) }
        #expect(error.map { !"\($0)".contains("\n") } == true)
    }
}
