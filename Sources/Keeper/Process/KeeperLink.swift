internal import CSockets
public import EventLoop
internal import Glibc
internal import Primitives

/// What is called when another worker is ready to take over.
public protocol KeeperLinkHandler: AnyObject {
    /// Stop reading, writing and accepting with everything that was protected, have all clients send what they hold, call
    /// `KeeperLink.released`, and end. Within `KeeperProcess.mostLettingGo` seconds.
    func letGo()
}

/// A worker's connection to its keeper, one for the process.
///
/// Order of calls: `fromEnvironment` first of all; prepare everything that needs nothing inherited; `takeOver`; restore what was
/// inherited; `Inheritance.closeRest`; `serving`. One `KeeperClient` for each event loop protects what is new.
public final class KeeperLink: DescriptorChannelHandler {
    private let descriptor: Int32
    private var channel: DescriptorChannel?
    private weak var handler: (any KeeperLinkHandler)?

    private init(descriptor: Int32) { self.descriptor = descriptor }

    /// The link of a process that a keeper started; nil for any other. From now on the process dies with its keeper.
    public static func fromEnvironment() throws(SystemError) -> KeeperLink? {
        // The value is copied at once.
        guard let value = unsafe getenv(WorkerProcess.variable) else { return nil }
        let parts = unsafe String(cString: value).split(separator: ":").compactMap { Int32($0) }
        guard parts.count == 2 else { throw SystemError(.handOver, code: EINVAL) }
        // Programs that this one starts are no workers.
        unsafe unsetenv(WorkerProcess.variable)
        _ = try check(gw_close_on_exec(parts[0]), .handOver, .descriptor(parts[0]))
        _ = try check(gw_die_with_parent(parts[1]), .handOver)
        return KeeperLink(descriptor: parts[0])
    }

    /// Says that this process is ready, and waits for everything that outlived the one before it.
    ///
    /// That comes at once unless another worker has to let go first; there is no bound here: the keeper has one.
    public func takeOver() throws(SystemError) -> Inheritance {
        try say(.ready)
        var descriptors: [DescriptorKey: Int32] = [:]
        while true {
            switch DescriptorChannel.receive(from: descriptor) {
            case .message(.inherit(let keys), let received):
                for (key, descriptor) in zip(keys, received) { descriptors[key] = descriptor }
            case .message(.inheritedAll, _): return Inheritance(descriptors)
            case .message(_, let received): for descriptor in received { gw_close(descriptor) }
            case .nothing: gw_wait_readable(descriptor, -1, -1)
            case .end: throw SystemError(.handOver, code: ECONNRESET)
            }
        }
    }

    /// Tells that this process does its work.
    public func serving() throws(SystemError) { try say(.serving) }

    /// Tells that nothing that was protected is used here any more.
    public func released() throws(SystemError) { try say(.released) }

    private func say(_ message: KeeperMessage) throws(SystemError) {
        while true {
            let result = DescriptorChannel.send(message, [], to: descriptor)
            guard result == -Int(EAGAIN) else {
                _ = try check(result, .handOver)
                return
            }
            gw_wait_writable(descriptor, -1)
        }
    }

    /// Hears of a worker that wants to take over, from now on.
    public func watch(on loop: EventLoop, handler: any KeeperLinkHandler) throws(SystemError) {
        self.handler = handler
        let channel = DescriptorChannel(try access.copy(), on: loop)
        channel.setHandler(self)
        self.channel = channel
    }

    /// The end of the watching.
    public func unwatch() {
        channel?.close()
        channel = nil
        handler = nil
    }

    /// What clients are made from, on any thread; good as long as the process.
    public struct Access: Sendable {
        let descriptor: Int32

        /// A descriptor of the same channel.
        func copy() throws(SystemError) -> Int32 {
            let copy = dup(descriptor)
            guard copy >= 0 else { throw SystemError(.handOver, code: errno) }
            gw_close_on_exec(copy)
            return copy
        }
    }

    /// What clients are made from.
    public var access: Access { Access(descriptor: descriptor) }

    func channel(_ channel: DescriptorChannel, received message: KeeperMessage, descriptors: [Int32]) {
        for descriptor in descriptors { gw_close(descriptor) }
        if message == .letGo { handler?.letGo() }
    }

    /// Without a keeper nothing holds what this process leaves; the system ends it anyway.
    func channelEnded(_ channel: DescriptorChannel) { kill(getpid(), SIGKILL) }
}

/// What a worker inherited from those before it.
public struct Inheritance {
    private var descriptors: [DescriptorKey: Int32]

    init(_ descriptors: [DescriptorKey: Int32]) { self.descriptors = descriptors }

    /// Whether there was nothing: the first worker of its keeper.
    public var isEmpty: Bool { descriptors.isEmpty }
    /// What is there, in order.
    public var keys: [DescriptorKey] { descriptors.keys.sorted { $0.word < $1.word } }

    /// A descriptor, which stays here.
    public func peek(_ key: DescriptorKey) -> Int32? { descriptors[key] }

    /// Takes a descriptor, which belongs to the caller from now on; the keeper goes on to hold its own.
    public mutating func take(_ key: DescriptorKey) -> Int32? { descriptors.removeValue(forKey: key) }

    /// Closes what nobody took, here and at the keeper: a TCP connection among it is reset or ends as its linger option says.
    public mutating func closeRest(_ client: KeeperClient) {
        for key in keys {
            client.release(key)
            if let descriptor = descriptors[key] { gw_close(descriptor) }
        }
        descriptors = [:]
    }
}
