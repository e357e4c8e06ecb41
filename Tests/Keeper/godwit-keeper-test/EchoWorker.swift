import CSockets
import EventLoop
import Glibc
import Keeper
import Primitives

/// The bytes of every stream: each tells where it stands.
func expectedBytes(_ range: Range<UInt64>) -> [UInt8] {
    range.map { UInt8(truncatingIfNeeded: ($0 &* 0x9e37_79b9_7f4a_7c15) >> 56) }
}

/// One line on standard output, at once: whoever writes it may be killed at the next instruction.
func say(_ line: String) {
    let bytes = Array((line + "\n").utf8)
    // The pointer is used during the call only.
    _ = unsafe write(STDOUT_FILENO, bytes, bytes.count)
}

/// Where a worker kills itself.
final class Steps {
    private let fatal: Int?
    private var count = 0

    init(fatal: Int?) { self.fatal = fatal }

    /// One more step.
    func pass() {
        count += 1
        if count == fatal { kill(getpid(), SIGKILL) }
    }
}

enum WorkerFault: Error {
    case wrongBytes(at: UInt64)
    case noPort
}

/// Sends everything back that comes, through rings in a vault; whoever comes after it goes on where it was killed.
final class EchoWorker: FileDescriptorHandler, KeeperLinkHandler, SignalHandler {
    /// Bytes that stay in the ring after they were sent back, as if the peer had not yet reported them.
    static let lag: UInt64 = 3000

    let loop: EventLoop
    let client: KeeperClient
    let vault: TunnelVault
    let steps: Steps
    private let link: KeeperLink
    private let listener: Int32
    private var listening: FileDescriptorEvents?
    var echoes: [DescriptorKey: Echo] = [:]

    private static let listenerKey = DescriptorKey(.listener, number: 1)

    static func run(countFile: String, steps: String, portFile: String) throws -> Int32 {
        // How many workers there were before this one is the length of a file.
        let file = unsafe open(countFile, O_RDWR | O_CREAT | O_APPEND, 0o600)
        guard file >= 0 else { return 1 }
        let number = Int(lseek(file, 0, SEEK_END))
        unsafe write(file, "x", 1)
        let list = steps.split(separator: ",").map { Int($0) }
        let fatal = number < list.count ? list[number] : nil
        guard let link = try KeeperLink.fromEnvironment() else { return 3 }
        let worker = try EchoWorker(link, Steps(fatal: fatal), portFile: portFile)
        let signals = try SignalEvents([.terminate], on: worker.loop, handler: worker)
        say("worker: serving, \(worker.echoes.count) tunnels")
        worker.loop.run()
        signals.cancel()
        return 0
    }

    private init(_ link: KeeperLink, _ steps: Steps, portFile: String) throws {
        self.link = link
        self.steps = steps
        loop = try EventLoop()
        steps.pass()
        var inherited = try link.takeOver()
        steps.pass()
        client = try KeeperClient(link.access, on: loop, inherited: inherited.keys)
        var found: [RecoveredTunnel] = []
        if let memory = inherited.take(DescriptorKey(.vault, number: 0)), let old = try TunnelVault.reopen(memory) {
            vault = old.vault
            found = old.tunnels
        } else {
            vault = try TunnelVault()
            client.protect(vault.descriptor, as: vault.key)
        }
        steps.pass()
        listener = try inherited.take(Self.listenerKey) ?? Self.listen(portFile)
        client.protect(listener, as: Self.listenerKey)
        for tunnel in found { try restore(tunnel, &inherited) }
        inherited.closeRest(client)
        steps.pass()
        let events = FileDescriptorEvents(listener, on: loop, handler: self)
        events.watch(.read)
        listening = events
        try link.watch(on: loop, handler: self)
        try link.serving()
        steps.pass()
    }

    private static func listen(_ portFile: String) throws -> Int32 {
        var address = gw_address(high: 0, low: 0x7f00_0001, scope: 0, port: 0, family: 4)
        let listener = unsafe gw_tcp_listen(&address, 64)
        guard listener >= 0, unsafe gw_local_address(listener, &address) == 0 else { throw WorkerFault.noPort }
        let text = "\(address.port)\n"
        let file = unsafe open(portFile, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        unsafe write(file, text, text.utf8.count)
        close(file)
        return listener
    }

    private func restore(_ tunnel: RecoveredTunnel, _ inherited: inout Inheritance) throws {
        let descriptor = tunnel.key.flatMap { inherited.take($0) }
        do throws(RecoveredTunnel.Loss) {
            let streams = try tunnel.restore(descriptor: descriptor, limit: Echo.limit)
            let ring = streams.ring
            let bytes = ring.withReadableRegions(ring.start..<ring.end) { head, tail in
                head.indices.map { head[$0] } + tail.indices.map { tail[$0] }
            }
            if bytes != expectedBytes(ring.start..<ring.end) {
                say("worker: wrong bytes in a ring of \(ring.start)..<\(ring.end)")
                exit(9)
            }
            guard let descriptor else { return tunnel.abandon() }
            let echo = Echo(self, descriptor, tunnel.record, ring, written: streams.written)
            echoes[tunnel.record.key] = echo
            echo.begin()
        } catch {
            say("worker: lost a tunnel: \(error)")
            if let descriptor { gw_abort(descriptor) }
        }
    }

    func descriptorReadable() {
        var peer = gw_address()
        let descriptor = unsafe gw_accept(listener, &peer)
        guard descriptor >= 0 else { return }
        gw_tcp_tune(descriptor, 60)
        steps.pass()
        guard let origin = try? TCPProgress.origin(of: descriptor, opened: .accepted),
            let record = vault.open(
                TunnelEntry(resumptionID: (1, 2), owner: [1], destination: "echo:7", origin: origin))
        else {
            gw_close(descriptor)
            return
        }
        steps.pass()
        let echo = Echo(self, descriptor, record, ByteRing(limit: Echo.limit, memory: record), written: 0)
        echoes[record.key] = echo
        client.protect(descriptor, as: record.key)
        // The first bytes come after the tunnel is safe: what is tested is what happens then.
        client.flush(atMost: 1000)
        steps.pass()
        echo.begin()
    }

    func descriptorWritable() {}
    func descriptorHungUp() {}

    func letGo() {
        for echo in echoes.values { echo.stop() }
        listening?.cancel()
        client.flush(atMost: 1000)
        steps.pass()
        do { try link.released() } catch { say("worker: \(error)") }
        say("worker: let go")
        exit(0)
    }

    func signalReceived(_ signal: ProcessSignal) { loop.stop() }
}

/// One stream and its way back.
final class Echo: FileDescriptorHandler {
    static let limit = 64 << 10
    /// Room for one read: small, so that rings grow in many steps.
    static let readSize = 1000

    private let worker: EchoWorker
    private let descriptor: Int32
    private let record: VaultTunnel
    private let ring: ByteRing
    private var written: UInt64
    private var hasReadEnd = false
    private var events: FileDescriptorEvents?

    init(_ worker: EchoWorker, _ descriptor: Int32, _ record: VaultTunnel, _ ring: ByteRing, written: UInt64) {
        self.worker = worker
        self.descriptor = descriptor
        self.record = record
        self.ring = ring
        self.written = written
    }

    func begin() {
        let events = FileDescriptorEvents(descriptor, on: worker.loop, handler: self)
        self.events = events
        events.watch(.read)
        pump()
    }

    func stop() {
        events?.cancel()
        events = nil
    }

    func descriptorReadable() {
        worker.steps.pass()
        // The regions are the ring's own and used during the call only.
        unsafe ring.withWritableRegions(minimum: Self.readSize) { first, second in
            worker.steps.pass()
            let size = min(first.count, Self.readSize)
            let rest = min(second.count, Self.readSize - size)
            let count = unsafe gw_read(descriptor, first.baseAddress, size, second.baseAddress, rest)
            worker.steps.pass()
            if count == 0, size > 0 { hasReadEnd = true }
            return max(0, count)
        }
        worker.steps.pass()
        if hasReadEnd { record.mark(.endRead) }
        worker.steps.pass()
        pump()
    }

    func descriptorWritable() { pump() }
    func descriptorHungUp() {}

    private func pump() {
        guard written >= ring.start, written <= ring.end else {
            say("worker: \(written) bytes written of \(ring.start)..<\(ring.end)")
            exit(9)
        }
        if written < ring.end {
            // The regions are the ring's own and used during the call only.
            let sent = unsafe ring.withUnsafeReadableRegions(written..<ring.end) { first, second in
                unsafe gw_send(descriptor, first.baseAddress, first.count, second.baseAddress, second.count)
            }
            worker.steps.pass()
            if sent > 0 { written += UInt64(sent) }
        }
        let isDone = hasReadEnd && written == ring.end
        let keep = isDone ? 0 : EchoWorker.lag
        if written > keep { ring.release(upTo: max(ring.start, written - keep)) }
        worker.steps.pass()
        if ring.count > Self.limit / 2 { ring.releaseUnusedMemory() }
        if isDone { return finish() }
        events?.watch(
            (ring.freeSpace > 0 && !hasReadEnd ? DescriptorInterest.read : []).union(
                written < ring.end ? .write : []))
    }

    private func finish() {
        stop()
        record.mark(.endWritten)
        worker.steps.pass()
        gw_shutdown_write(descriptor)
        worker.steps.pass()
        record.close(readEnd: ring.end, written: written)
        worker.steps.pass()
        record.end()
        worker.steps.pass()
        worker.client.release(record.key)
        worker.steps.pass()
        gw_close_in_order(descriptor)
        worker.echoes[record.key] = nil
        worker.steps.pass()
    }
}
