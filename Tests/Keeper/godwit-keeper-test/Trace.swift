import CSockets
import CTracing
import Glibc
import Keeper
import Primitives

/// Runs a child one instruction at a time through everything that happens to a tunnel, and after each instruction that
/// changed anything puts the tunnel together as if the child had been killed there.
enum Trace {
    struct Fault: Error {
        var what: String
    }

    /// What parent and child share.
    final class Scene {
        let vault: TunnelVault
        let own: Int32
        let peer: Int32
        let origin: TCPOrigin

        init() throws {
            var address = gw_address(high: 0, low: 0x7f00_0001, scope: 0, port: 0, family: 4)
            let listener = unsafe gw_tcp_listen(&address, 8)
            _ = unsafe gw_local_address(listener, &address)
            peer = unsafe gw_tcp_connect(&address)
            gw_wait_readable(listener, -1, 1000)
            own = unsafe gw_accept(listener, &address)
            gw_close(listener)
            vault = try TunnelVault()
            origin = try TCPProgress.origin(of: own)
            let bytes = expectedBytes(0..<Trace.total)
            _ = unsafe bytes.withUnsafeBytes { unsafe gw_send(peer, $0.baseAddress, $0.count, nil, 0) }
            var raw = gw_tcp_counters()
            while raw.unread < Trace.total {
                guard unsafe gw_tcp_count(own, &raw) == 0 else { throw Fault(what: "no counters") }
            }
        }
    }

    /// Bytes that the peer sends before the child begins, and the sizes in which they are read.
    static let total: UInt64 = 9000
    static let reads = [10, 900, 200, 3000, 4000, 890]
    static let releases: [UInt64] = [0, 905, 905, 1000, 7000, 7500]

    /// The child's life. It plays once beside the stage, so that nothing is done for the first time while it is looked at.
    static func live(_ scene: Scene) {
        guard let rehearsal = try? Scene() else { _exit(3) }
        play(rehearsal)
        tracing_mark()
        play(scene)
        tracing_mark()
        _exit(0)
    }

    static func play(_ scene: Scene) {
        guard
            let record = scene.vault.open(
                TunnelEntry(resumptionID: (1, 2), owner: [3], destination: "a:1", origin: scene.origin))
        else { _exit(3) }
        let ring = ByteRing(limit: 1 << 14, memory: record)
        for (size, release) in zip(reads, releases) {
            // The regions are the ring's own and used during the call only.
            unsafe ring.withWritableRegions(minimum: size) { first, second in
                let head = min(first.count, size)
                let tail = min(second.count, size - head)
                return max(0, unsafe gw_read(scene.own, first.baseAddress, head, second.baseAddress, tail))
            }
            // As if the peer were the origin: what it sent goes back.
            let bytes = [UInt8](repeating: 7, count: size / 2)
            _ = unsafe bytes.withUnsafeBytes { unsafe gw_send(scene.own, $0.baseAddress, $0.count, nil, 0) }
            ring.release(upTo: release)
        }
        record.setGeneration(1)
        record.setPeerDelivered(7500)
        ring.releaseUnusedMemory()
        ring.release(upTo: ring.end)
        record.mark(.endRead)
        record.mark(.endWritten)
        gw_shutdown_write(scene.own)
        record.close(readEnd: ring.end, written: reads.reduce(0) { $0 + UInt64($1 / 2) })
        record.end()
    }

    static func run() throws -> Int32 {
        let scene = try Scene()
        let context = unsafe Unmanaged.passRetained(scene).toOpaque()
        let child = unsafe tracing_start(
            { context in
                guard let context = unsafe context else { return }
                Trace.live(unsafe Unmanaged<Scene>.fromOpaque(context).takeUnretainedValue())
            }, context)
        guard child > 0, tracing_run(child) == 1 else {
            throw Fault(what: "this system lets nobody trace its children")
        }
        defer { tracing_end(child) }
        var examiner = try Examiner(scene)
        var instructions = 0
        var calls = 0
        loop: while true {
            switch tracing_step(child) {
            case 1: try examiner.look(afterCall: false, instructions)
            case 2:
                calls += 1
                try examiner.look(afterCall: true, instructions)
            default: break loop
            }
            instructions += 1
        }
        guard examiner.hasSeenTunnel, examiner.lastEnd == total else { throw Fault(what: "the child came to no end") }
        say(
            "\(instructions) instructions, \(calls) system calls, "
                + "\(examiner.examinations) states that a kill could have left: all of them whole")
        return 0
    }
}
