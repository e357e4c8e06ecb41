import Cryptography
import Testing

struct KeyedGeneratorTests {
    @Test func sameSeedGivesSameNumbersAndAnotherSeedOthers() {
        var first = KeyedGenerator(simulationSeed: 42)
        var second = KeyedGenerator(simulationSeed: 42)
        var other = KeyedGenerator(simulationSeed: 43)
        let numbers = (0..<200).map { _ in first.next() }
        #expect(numbers == (0..<200).map { _ in second.next() })
        #expect(numbers != (0..<200).map { _ in other.next() })
        #expect(Set(numbers).count == 200)
    }

    @Test func numbersAreTheKeystreamOfRFC8439() {
        // RFC 8439 §A.1, test vectors 1 and 2: key, nonce and counter zero, then counter one.
        var generator = KeyedGenerator(seed: [UInt8](repeating: 0, count: 32))
        let stream = generator.bytes(count: 128)
        #expect(
            stream[..<64]
                == hex(
                    """
                    76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7da41597c5157488d7724e03fb8d84a37
                    6a43b8f41518a11cc387b669b2ee6586
                    """)[...])
        #expect(stream[64..<72] == hex("9f07e7be5551387a")[...])
    }

    @Test func keystreamGoesOnOverItsBatches() {
        var whole = KeyedGenerator(simulationSeed: 1)
        var pieces = KeyedGenerator(simulationSeed: 1)
        let expected = whole.bytes(count: 3000)
        var collected: [UInt8] = []
        while collected.count < 3000 {
            var piece = [UInt8](repeating: 0, count: min(7, 3000 - collected.count))
            var span = piece.mutableSpan
            pieces.fill(&span)
            collected += piece
        }
        #expect(collected == expected)
    }

    @Test func copiesNeverGiveTheSameNumber() {
        var original = KeyedGenerator(simulationSeed: 7)
        var copy = original
        let first = original.next()
        let second = copy.next()
        #expect(first != second)
    }

    @Test func systemGeneratorsDiffer() {
        var first = KeyedGenerator.system()
        var second = KeyedGenerator.system()
        let a = first.bytes(count: 32)
        let b = second.bytes(count: 32)
        #expect(a != b)
    }
}
