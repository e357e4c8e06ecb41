import CSockets
import Glibc
import Primitives
import Testing

@testable import Keeper

@Suite("A keeper", .serialized)
struct KeeperProcessTests {
    /// Bytes of a transfer, and about the steps that a worker takes for it.
    static let bytes = 9000
    static let steps = 90

    @Test(arguments: 1...steps)
    func `loses no byte when its worker is killed at any step`(step: Int) throws {
        let service = try EchoService(steps: "\(step)")
        #expect(service.transfer(Self.bytes) == .complete)
    }

    @Test func `has a worker that takes fewer steps than are tried`() throws {
        let service = try EchoService(steps: "\(Self.steps)")
        #expect(service.transfer(Self.bytes) == .complete)
        #expect(service.transfer(Self.bytes) == .complete)
        #expect(service.workers <= 2)
    }

    @Test(arguments: [14, 19, 22, 31], [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 14, 20])
    func `loses no byte when the next worker is killed as well, at any step of taking over`(first: Int, second: Int)
        throws
    {
        let service = try EchoService(steps: "\(first),\(second),3")
        #expect(service.transfer(Self.bytes) == .complete)
    }

    @Test func `keeps half-closed and idle streams`() throws {
        let service = try EchoService()
        let idle = try #require(service.connect())
        #expect(idle.transfer(upTo: 100) == .complete)
        let busy = try (0..<20).map { _ in try #require(service.connect()) }
        for (number, call) in busy.enumerated() { #expect(call.transfer(upTo: 2000 * number + 1) == .complete) }
        for round in 1...3 {
            killWorker(of: service)
            #expect(eventually(true) { service.workers > round })
            for (number, call) in busy.enumerated() {
                #expect(call.transfer(upTo: 2000 * number + 1 + 5000 * round) == .complete)
            }
        }
        #expect(idle.transfer(upTo: 200) == .complete)
        #expect(idle.finish())
        for call in busy { #expect(call.finish()) }
    }

    @Test func `replaces its worker on SIGUSR2, and no stream ends`() throws {
        let service = try EchoService()
        let call = try #require(service.connect())
        for round in 1...5 {
            #expect(call.transfer(upTo: 20_000 * round) == .complete)
            service.program.signal(SIGUSR2)
            #expect(call.transfer(upTo: 20_000 * round + 10_000) == .complete)
            #expect(
                eventually(round) { occurrences(of: "the new worker has taken over", in: service.program.listen()) })
        }
        #expect(occurrences(of: "worker: let go", in: service.program.listen()) == 5)
        #expect(call.finish())
        #expect(service.workers == 6)
    }

    @Test(arguments: 1...3 as ClosedRange<UInt64>)
    func `loses nothing whatever is killed and replaced at any moment`(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let service = try EchoService()
        let calls = try (0..<4).map { _ in try #require(service.connect()) }
        for call in calls { #expect(call.transfer(upTo: 10) == .complete) }
        for round in 1...12 {
            // Some bytes are always on their way.
            for call in calls { call.push(upTo: 10 + 9000 * round) }
            switch Int.random(in: 0..<3, using: &generator) {
            case 0: killWorker(of: service)
            case 1: service.program.signal(SIGUSR2)
            default:
                service.program.signal(SIGUSR2)
                gw_wait_readable(-1, -1, Int32.random(in: 0...40, using: &generator))
                killWorker(of: service)
            }
            for call in calls { #expect(call.transfer(upTo: 10 + 9000 * round) == .complete) }
            gw_wait_readable(-1, -1, Int32.random(in: 0...300, using: &generator))
        }
        for call in calls { #expect(call.finish()) }
        #expect(service.workers > 5)
    }

    @Test(arguments: ["-,1", "-,3", "-,1,1"])
    func `loses nothing when a replacement goes wrong`(steps: String) throws {
        let service = try EchoService(steps: steps)
        let call = try #require(service.connect())
        #expect(call.transfer(upTo: 5000) == .complete)
        service.program.signal(SIGUSR2)
        #expect(call.transfer(upTo: 50_000) == .complete)
        #expect(service.program.hasSaid("was killed by signal 9"))
        #expect(call.transfer(upTo: 60_000) == .complete)
        #expect(call.finish())
    }

    @Test func `says that workers die in a loop, and never gives up`() throws {
        let service = try EchoService(steps: "40,1,1,1,1,1")
        #expect(service.transfer(Self.bytes) == .complete)
        #expect(service.program.hasSaid("5 workers in a row died right after their start"))
        #expect(service.workers == 7)
    }

    @Test func `ends as its worker does`() throws {
        let service = try EchoService()
        #expect(service.program.hasSaid("serving"))
        service.program.signal(SIGTERM)
        #expect(service.program.wait() == 0)
        let failing = try Program(["keep", "/nowhere/count", "-", "/nowhere/port"])
        #expect(failing.wait() == 1)
    }

    @Test func `takes its worker along when it is killed`() throws {
        let service = try EchoService()
        let call = try #require(service.connect())
        #expect(call.transfer(upTo: 10) == .complete)
        let port = try #require(service.port)
        service.program.signal(SIGKILL)
        #expect(service.program.wait() == -SIGKILL)
        #expect(eventually(true) { EchoCall(port: port) == nil })
    }

    private func killWorker(of service: EchoService) {
        // The keeper has one child.
        let file = unsafe open("/proc/\(service.program.process)/task/\(service.program.process)/children", O_RDONLY)
        defer { close(file) }
        let text = String(decoding: receive(64, from: file), as: UTF8.self)
        guard let worker = text.split(separator: " ").first.flatMap({ Int32($0) }) else { return }
        kill(worker, SIGKILL)
    }

    private func occurrences(of words: String, in text: String) -> Int {
        var count = 0
        var rest = Substring(text)
        while let range = rest.firstRange(of: words) {
            count += 1
            rest = rest[range.upperBound...]
        }
        return count
    }
}

@Suite("The pause before another worker")
struct RestartScheduleTests {
    @Test func `is none after a life, and doubles up to a bound when there was none`() {
        var schedule = RestartSchedule()
        for _ in 0..<100 { #expect(schedule.pause(afterServing: .seconds(2)) == .zero) }
        #expect(!schedule.isLoop)
        let pauses = (0..<12).map { _ in schedule.pause(afterServing: .milliseconds(10)).nanoseconds / 1_000_000 }
        #expect(pauses == [0, 0, 50, 100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000])
        #expect(schedule.isLoop)
        for _ in 0..<100 { _ = schedule.pause(afterServing: .zero) }
        #expect(schedule.pause(afterServing: .zero) == RestartSchedule.longestPause)
        #expect(schedule.pause(afterServing: .milliseconds(500)) == .zero)
        #expect(schedule.pause(afterServing: .zero) == .zero)
    }
}

@Suite("A worker that is killed")
struct TraceTests {
    @Test func `leaves a whole tunnel after every single instruction`() throws {
        let program = try Program(["trace"])
        #expect(eventually(true, atMost: 240) { program.listen().contains("\n") })
        #expect(program.text.contains("all of them whole"), "\(program.text)")
    }
}
