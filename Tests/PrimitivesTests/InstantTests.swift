import Primitives
import Testing

@Suite("Instants")
struct InstantTests {
    private let early = Instant(nanoseconds: 1)
    private let late = Instant(nanoseconds: 2)

    @Test("the sooner of two deadlines is the earlier one, and the other one where one is none")
    func sooner() {
        #expect(Instant?(late).sooner(early) == early)
        #expect(Instant?(early).sooner(late) == early)
        #expect(Instant?(early).sooner(nil) == early)
        #expect(Instant?.none.sooner(late) == late)
        #expect(Instant?.none.sooner(nil) == nil)
    }

    @Test("an instant comes after another one only when it is later")
    func after() {
        #expect(late.after(early) == late)
        #expect(early.after(early) == nil)
        #expect(early.after(late) == nil)
    }
}
