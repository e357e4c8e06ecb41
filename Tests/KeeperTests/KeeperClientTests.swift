import CSockets
import EventLoop
import Glibc
import Primitives
import Testing

@testable import Keeper

@Suite("A keeper of many", .serialized)
struct ManyDescriptorsTests {
    /// More than go into one message, twice.
    static let count = 600

    @Test func `hands over more descriptors than one message holds`() throws {
        DescriptorLimit.raise()
        let service = try EchoService()
        let calls = try (0..<Self.count).map { _ in try #require(service.connect()) }
        for call in calls { #expect(call.transfer(upTo: 50) == .complete) }
        service.program.signal(SIGUSR2)
        #expect(service.program.hasSaid("the new worker has taken over"))
        #expect(service.program.hasSaid("serving, \(Self.count) tunnels"))
        for call in calls { #expect(call.transfer(upTo: 100) == .complete) }
        for call in calls { #expect(call.finish()) }
    }
}

@Suite("What a worker has protected")
struct KeeperClientTests {
    /// A worker's end and the keeper's, in one process.
    private struct Scene {
        let loop: EventLoop
        let keeper: Int32
        private let worker: Int32
        let client: KeeperClient

        init(inherited: [DescriptorKey] = []) throws {
            var ends: [Int32] = [0, 0]
            #expect(unsafe gw_channel_open(&ends) == 0)
            (keeper, worker) = (ends[0], ends[1])
            loop = try EventLoop()
            client = try KeeperClient(KeeperLink.Access(descriptor: ends[1]), on: loop, inherited: inherited)
        }

        /// Closes the worker's end, as its death does.
        func die() {
            client.close()
            gw_close(worker)
        }

        /// Runs the loop for a while and takes what arrived, in order.
        func run(for time: Interval) -> [KeeperMessage] {
            let stop = Stop(loop)
            let timer = loop.addTimer(stop)
            loop.arm(timer, at: loop.now + time)
            loop.run()
            loop.removeTimer(timer)
            var messages: [KeeperMessage] = []
            while case .message(let message, let descriptors) = DescriptorChannel.receive(from: keeper) {
                messages.append(message)
                for descriptor in descriptors { gw_close(descriptor) }
            }
            return messages
        }
    }

    private final class Stop: TimerHandler {
        private let loop: EventLoop
        init(_ loop: EventLoop) { self.loop = loop }
        func timerFired(_ timer: TimerHandle, at now: Instant) { loop.stop() }
    }

    private func key(_ number: Int) -> DescriptorKey { DescriptorKey(.tunnel, number: UInt64(number)) }

    @Test func `goes in one message within the time that is promised`() throws {
        let scene = try Scene()
        for number in 0..<10 { scene.client.protect(scene.keeper, as: key(number)) }
        #expect(KeeperClient.batchTime < .milliseconds(100))
        #expect(scene.run(for: .milliseconds(100)) == [.protect((0..<10).map(key))])
    }

    @Test func `costs nothing when it is released before`() throws {
        let scene = try Scene()
        for number in 0..<10 { scene.client.protect(scene.keeper, as: key(number)) }
        for number in 0..<10 where number != 3 { scene.client.release(key(number)) }
        #expect(scene.run(for: .milliseconds(50)) == [.protect([key(3)])])
        scene.client.release(key(3))
        scene.client.release(key(4))
        #expect(scene.run(for: .milliseconds(1)) == [.release([key(3)])])
    }

    @Test func `is released when another worker had it protected`() throws {
        let scene = try Scene(inherited: [key(1)])
        scene.client.release(key(1))
        scene.client.protect(scene.keeper, as: key(2))
        #expect(scene.run(for: .milliseconds(50)) == [.protect([key(2)]), .release([key(1)])])
    }

    @Test func `goes over from one client to another and is held all the time`() throws {
        let scene = try Scene(inherited: [key(1)])
        #expect(scene.client.surrender(key(1)) == .sent)
        scene.client.release(key(1))
        #expect(scene.run(for: .milliseconds(50)) == [])
        scene.client.adopt(scene.keeper, as: key(1), .sent)
        scene.client.release(key(1))
        #expect(scene.run(for: .milliseconds(1)) == [.release([key(1)])])
    }

    @Test func `goes over from one client to another before its batch has gone`() throws {
        let scene = try Scene()
        scene.client.protect(scene.keeper, as: key(3))
        #expect(scene.client.surrender(key(3)) == .waiting)
        #expect(scene.run(for: .milliseconds(50)) == [])
        scene.client.adopt(scene.keeper, as: key(3), .waiting)
        #expect(scene.run(for: .milliseconds(50)) == [.protect([key(3)])])
    }

    @Test func `goes without a descriptor that is none`() throws {
        let scene = try Scene()
        for number in 0..<9 { scene.client.protect(number == 5 ? -1 : scene.keeper, as: key(number)) }
        let keys = scene.run(for: .milliseconds(50)).flatMap(\.keys)
        #expect(keys == (0..<9).filter { $0 != 5 }.map(key))
        scene.client.protect(scene.keeper, as: key(9))
        #expect(scene.run(for: .milliseconds(50)) == [.protect([key(9)])])
    }

    @Test func `arrives when the worker dies with words of the keeper unread`() throws {
        let scene = try Scene()
        scene.client.protect(scene.keeper, as: key(1))
        scene.client.flush(atMost: 0)
        #expect(DescriptorChannel.send(.letGo, [], to: scene.keeper) > 0)
        scene.die()
        #expect(scene.run(for: .milliseconds(1)) == [.protect([key(1)])])
    }

    @Test func `arrives whole and in order when the keeper is slow`() throws {
        let scene = try Scene()
        var sent = 0
        // Until the channel holds no more.
        while scene.client.flush(atMost: 0), sent < 1_000_000 {
            for number in sent..<sent + 500 { scene.client.protect(scene.keeper, as: key(number)) }
            sent += 500
        }
        #expect(sent < 1_000_000)
        scene.client.release(key(0))
        var keys: [DescriptorKey] = []
        var released: [DescriptorKey] = []
        for _ in 0..<200 where keys.count < sent || released.isEmpty {
            for message in scene.run(for: .milliseconds(10)) {
                switch message {
                case .protect(let more): keys += more
                case .release(let more): released += more
                default: Issue.record("\(message)")
                }
            }
        }
        #expect(keys == (0..<sent).map(key))
        #expect(released == [key(0)])
    }
}
