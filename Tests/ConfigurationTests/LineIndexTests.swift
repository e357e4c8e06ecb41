import Primitives
import Testing

@testable import Configuration

@Suite("Lines of keys")
struct LineIndexTests {
    let index = TOMLLineIndex(
        #"""
        # a comment = 1
        a = 1
        "b c".d = [ # comment ]
          "x # no comment ]", 'y"',
          [ 1,
            2 ],
        ]
        text = """
        fake = 1
        [fake]
        \""" still""""
        raw = '''
        fake2 = 1'''
        e = { f = 1, g = [3,
           4] }

        [h.i]
        j = 1
        [[k]]
        l = 1
        [[k]]
        l = 2
        [k.m]
        n = true
        [[k.o]]
        p = 1979-05-27T07:32:00Z
        """#)

    @Test(
        "keys and elements have the line they start on",
        arguments: [
            (["a"], 2), (["b c", "d"], 3), (["b c", "d", "0"], 4), (["b c", "d", "1"], 4), (["b c", "d", "2"], 5),
            (["b c", "d", "2", "1"], 6),
            (["text"], 8), (["raw"], 12), (["e", "f"], 14), (["e", "g", "1"], 15), (["h", "i"], 17),
            (["h", "i", "j"], 18), (["k", "0", "l"], 20),
            (["k", "1"], 21), (["k", "1", "l"], 22), (["k", "1", "m", "n"], 24), (["k", "1", "o", "0", "p"], 26),
        ])
    func lines(path: [String], line: Int) {
        #expect(index.line(of: path) == line)
    }

    @Test("text in strings and comments is no key")
    func strings() {
        #expect(index.line(of: ["fake"]) == 1)
        #expect(index.line(of: ["fake2"]) == 1)
        #expect(index.line(of: ["comment"]) == 1)
    }

    @Test("any text ends the scan")
    func garbage() {
        var generator = SeededGenerator(seed: 5)
        let alphabet = Array("[]{}=\"'#.,\\\n ab\r\t")
        for _ in 0..<2_000 {
            let text = String(
                (0..<Int.random(in: 0...40, using: &generator)).map { _ in
                    alphabet[Int.random(in: 0..<alphabet.count, using: &generator)]
                })
            #expect(TOMLLineIndex(text).line(of: ["a"]) >= 1)
        }
    }
}
