import EventLoop
import Primitives
import Testing

@Suite("Timer queue")
struct TimerQueueTests {
    @Test("equal deadlines come out in the order of arming")
    func equalDeadlines() {
        var queue = TimerQueue()
        let timers = (0..<20).map { _ in queue.add() }
        for timer in timers { queue.arm(timer, at: Instant(nanoseconds: 5)) }
        queue.arm(timers[0], at: Instant(nanoseconds: 5))
        var order: [TimerHandle] = []
        while let timer = queue.takeDue(at: Instant(nanoseconds: 5), armedBefore: .max) { order.append(timer) }
        #expect(order == Array(timers[1...]) + [timers[0]])
    }

    @Test("nothing comes out before its deadline, nor what was armed too late for this turn")
    func notBefore() {
        var queue = TimerQueue()
        let timer = queue.add()
        queue.arm(timer, at: Instant(nanoseconds: 10))
        #expect(queue.takeDue(at: Instant(nanoseconds: 9), armedBefore: .max) == nil)
        let turn = queue.nextSequence
        queue.arm(timer, at: Instant(nanoseconds: 9))
        #expect(queue.takeDue(at: Instant(nanoseconds: 9), armedBefore: turn) == nil)
        #expect(queue.takeDue(at: Instant(nanoseconds: 9), armedBefore: turn + 1) == timer)
    }

    @Test("the handle of a removed timer is not obeyed, even when its slot is used again")
    func staleHandle() {
        var queue = TimerQueue()
        let old = queue.add()
        let wasThere = queue.remove(old)
        #expect(wasThere)
        let new = queue.add()
        #expect(new != old)
        queue.arm(old, at: .origin)
        #expect(queue.armedCount == 0)
        queue.arm(new, at: .origin)
        queue.disarm(old)
        let removedAgain = queue.remove(old)
        #expect(!removedAgain)
        #expect(queue.deadline(of: new) == .origin)
        #expect(queue.deadline(of: old) == nil)
    }

    @Test("it behaves as a sorted list does", arguments: [1, 2, 3, 4] as [UInt64])
    func model(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var queue = TimerQueue()
        var handles: [TimerHandle] = []
        // handle → (deadline, order of arming)
        var model: [TimerHandle: (Int64, Int)] = [:]
        var order = 0
        for _ in 0..<4000 {
            switch Int.random(in: 0..<10, using: &generator) {
            case 0:
                handles.append(queue.add())
            case 1...5:
                guard let handle = handles.randomElement(using: &generator) else { continue }
                let deadline = Int64.random(in: 0..<500, using: &generator)
                queue.arm(handle, at: Instant(nanoseconds: deadline))
                model[handle] = (deadline, order)
                order += 1
            case 6:
                guard let handle = handles.randomElement(using: &generator) else { continue }
                queue.disarm(handle)
                model[handle] = nil
            case 7:
                guard handles.count > 30, let index = handles.indices.randomElement(using: &generator) else { continue }
                let handle = handles.remove(at: index)
                let wasThere = queue.remove(handle)
                #expect(wasThere)
                model[handle] = nil
            default:
                let now = Int64.random(in: 0..<500, using: &generator)
                let expected = model.filter { $0.value.0 <= now }.min { $0.value < $1.value }?.key
                #expect(queue.takeDue(at: Instant(nanoseconds: now), armedBefore: .max) == expected)
                if let expected { model[expected] = nil }
            }
            #expect(queue.nextDeadline?.nanoseconds == model.values.map(\.0).min())
            #expect(queue.armedCount == model.count)
        }
    }
}
