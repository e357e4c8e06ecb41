import CFaults
import EventLoop
import Glibc
import Primitives
import Testing

/// Counts what a descriptor is reported for, and does something each time.
private final class ReadinessRecorder: FileDescriptorHandler {
    private(set) var readable = 0
    private(set) var writable = 0
    private(set) var hungUp = 0
    var onReadable: () -> Void = {}

    func descriptorReadable() {
        readable += 1
        onReadable()
    }
    func descriptorWritable() { writable += 1 }
    func descriptorHungUp() { hungUp += 1 }
}

@Suite("Readiness of descriptors")
struct FileDescriptorEventsTests {
    /// Two connected Unix-domain sockets, both watched by one loop.
    private final class Fixture {
        let loop: EventLoop
        private(set) var sockets: [Int32]
        let recorders = [ReadinessRecorder(), ReadinessRecorder()]
        let events: [FileDescriptorEvents]

        init(on loop: EventLoop? = nil) throws {
            let loop = try loop ?? EventLoop()
            self.loop = loop
            var pair: [Int32] = [-1, -1]
            try #require(
                unsafe socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), 0, &pair) == 0)
            sockets = pair
            events = zip(pair, recorders).map { FileDescriptorEvents($0, on: loop, handler: $1) }
        }

        /// Makes the other end of `index` readable.
        func write(to index: Int) { #expect(unsafe Glibc.write(sockets[1 - index], [1], 1) == 1) }

        /// Closes the other end of `index` with a byte that was not read, which breaks the connection.
        func breakOff(_ index: Int) {
            write(to: 1 - index)
            Glibc.close(sockets.remove(at: 1 - index))
        }

        deinit {
            for descriptor in events { descriptor.cancel() }
            for socket in sockets { Glibc.close(socket) }
        }
    }

    @Test("what is wanted and not wanted again within a turn is no call of the system")
    func registeredOncePerTurn() throws {
        let fixture = try Fixture()
        let (first, second) = (fixture.events[0], fixture.events[1])
        first.watch(.read)
        fixture.recorders[0].onReadable = {
            first.watch([])
            second.watch(.hangUp)
            second.watch(also: .read)
            second.ignore(.read)
            second.watch(.read)
            first.watch(.read)
        }
        fixture.write(to: 0)
        _ = faults_take_registrations()
        #expect(fixture.loop.run { fixture.recorders[0].readable == 1 })
        #expect(faults_take_registrations() == 1, "the second one, for reading")
        fixture.write(to: 1)
        #expect(fixture.loop.run { fixture.recorders[1].readable > 0 })
    }

    @Test("what is no longer wanted is not reported in the same turn either")
    func withdrawnWithinTurn() throws {
        let fixture = try Fixture()
        for (index, recorder) in fixture.recorders.enumerated() {
            fixture.events[index].watch(.read)
            recorder.onReadable = { for other in fixture.events { other.watch([]) } }
            fixture.write(to: index)
        }
        #expect(fixture.loop.run { fixture.recorders[0].readable + fixture.recorders[1].readable > 0 })
        fixture.loop.settle(for: .milliseconds(2))
        #expect(fixture.recorders[0].readable + fixture.recorders[1].readable == 1)
    }

    @Test("outside of a turn the system hears at once, and of the end of the watching always")
    func atOnce() throws {
        let fixture = try Fixture()
        _ = faults_take_registrations()
        fixture.events[0].watch(.read)
        #expect(faults_take_registrations() == 1)
        fixture.recorders[0].onReadable = {
            fixture.events[0].cancel()
            #expect(faults_take_registrations() == 1, "before the descriptor is closed")
        }
        fixture.write(to: 0)
        #expect(fixture.loop.run { fixture.recorders[0].readable == 1 })
        #expect(faults_take_registrations() == 0)
    }

    @Test("a hang-up that is wanted alone for a moment only is no call of the system")
    func momentaryHangUp() throws {
        let fixture = try Fixture()
        let (first, second) = (fixture.events[0], fixture.events[1])
        first.watch(.read)
        fixture.recorders[0].onReadable = {
            second.watch(.hangUp)
            first.watch(.hangUp)
        }
        fixture.write(to: 0)
        _ = faults_take_registrations()
        #expect(fixture.loop.run { fixture.recorders[0].readable == 1 })
        #expect(faults_take_registrations() == 1, "reading is over")
        first.cancel()
        second.watch([])
        #expect(faults_take_registrations() == 0)
        second.watch(.hangUp)
        fixture.breakOff(1)
        #expect(fixture.loop.run { fixture.recorders[1].hungUp > 0 })
        #expect(fixture.recorders[0].hungUp == 0)
    }

    @Test("a hang-up that comes while more is wanted for a moment is reported when it is wanted alone")
    func hangUpAfterAll() throws {
        let fixture = try Fixture()
        let earlier = try Fixture(on: fixture.loop)
        let events = fixture.events[0]
        events.watch(.hangUp)
        earlier.events[0].watch(.read)
        _ = faults_take_registrations()
        #expect(fixture.loop.run { faults_take_registrations() == 1 }, "the hang-up, a little later")
        // Both are reported in one turn, in the order in which they came about.
        earlier.recorders[0].onReadable = {
            events.watch(also: .read)
            earlier.events[0].watch([])
        }
        earlier.write(to: 0)
        fixture.breakOff(0)
        #expect(
            fixture.loop.run {
                events.ignore(.read)
                return fixture.recorders[0].hungUp > 0
            })
    }
}
