import Driver
import Testing

@Suite("The line that a control socket begins with")
struct ControlLineTests {
    @Test("a line may come in any pieces, and what comes behind it is passed over", arguments: 0...8)
    func pieces(cut: Int) {
        let bytes = Array("rebind\nab".utf8)
        var line = ControlLine(atMost: 6)
        var progress = line.take(bytes[..<cut])
        if progress == .incomplete { progress = line.take(bytes[cut...]) }
        #expect(progress == .line("rebind"))
    }

    @Test("a line beyond its bound is refused, with and without its end, also in pieces")
    func bound() {
        for text in ["rebind!", "rebind!\n"] {
            var whole = ControlLine(atMost: 6)
            #expect(whole.take(Array(text.utf8)) == .tooLong)
            var pieces = ControlLine(atMost: 6)
            #expect(pieces.take(Array(text.utf8.prefix(3))) == .incomplete)
            #expect(pieces.take(Array(text.utf8.dropFirst(3))) == .tooLong)
        }
    }
}
