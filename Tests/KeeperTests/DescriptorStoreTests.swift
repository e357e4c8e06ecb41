import CSockets
import Glibc
import Testing

@testable import Keeper

/// A service manager that keeps descriptors, as far as a keeper sees of one.
private final class FakeManager {
    let path: String
    private let socket: Int32
    private(set) var kept: [String: Int32] = [:]
    private(set) var lines: [String] = []

    init() throws {
        // An abstract name: gone with its socket.
        var name: UInt64 = 0
        socket = Glibc.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
        try #require(socket >= 0)
        #expect(unsafe gw_socket_cookie(socket, &name) == 0)
        path = "@godwit-test-\(getpid())-\(name)"
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = [0] + Array(path.utf8.dropFirst())
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: bytes) }
        let length = socklen_t(2 + bytes.count)
        let result = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe bind(socket, $0, length) }
        }
        try #require(result == 0)
    }

    deinit {
        close(socket)
        for descriptor in kept.values { close(descriptor) }
    }

    /// Takes what was told by now.
    func listen() {
        while true {
            var bytes = [UInt8](repeating: 0, count: 4096)
            var descriptors = [Int32](repeating: -1, count: 8)
            var count: Int32 = 8
            let length = unsafe gw_channel_receive(socket, &bytes, bytes.count, &descriptors, &count)
            guard length > 0 else { return }
            let message = String(decoding: bytes.prefix(length), as: UTF8.self).split(separator: "\n").map(String.init)
            lines += message
            guard let name = message.first(where: { $0.hasPrefix("FDNAME=") })?.dropFirst(7) else { continue }
            if message.contains("FDSTORE=1"), count == 1 { kept[String(name)] = descriptors[0] }
            if message.contains("FDSTOREREMOVE=1"), let old = kept.removeValue(forKey: String(name)) { close(old) }
        }
    }
}

@Suite("With a service manager that keeps descriptors", .serialized)
struct DescriptorStoreTests {
    @Test func `streams survive the death of the keeper itself`() throws {
        let manager = try FakeManager()
        let service = try EchoService(environment: ["NOTIFY_SOCKET=\(manager.path)"])
        let calls = try (0..<5).map { _ in try #require(service.connect()) }
        for call in calls { #expect(call.transfer(upTo: 30_000) == .complete) }
        // The vault, the listener and a descriptor for each.
        #expect(
            eventually(7) {
                manager.listen()
                return manager.kept.count
            })
        #expect(manager.lines.contains("READY=1"))
        for round in 1...3 {
            service.program.signal(SIGKILL)
            #expect(service.program.wait() == -SIGKILL)
            manager.listen()
            let names = manager.kept.keys.sorted()
            // Others have descriptors there as well.
            let stranger = dup(0)
            try service.startAgain(
                environment: [
                    "NOTIFY_SOCKET=\(manager.path)", "LISTEN_FDNAMES=" + (["web"] + names).joined(separator: ":"),
                ],
                descriptors: [stranger] + names.compactMap { manager.kept[$0] })
            close(stranger)
            for call in calls { #expect(call.transfer(upTo: 30_000 + 20_000 * round) == .complete) }
            #expect(service.program.hasSaid("kept 7 descriptors"))
        }
        for call in calls { #expect(call.finish()) }
        #expect(
            eventually(2) {
                manager.listen()
                return manager.kept.count
            })
        service.program.signal(SIGTERM)
        #expect(service.program.wait() == 0)
        manager.listen()
        #expect(manager.kept.isEmpty)
    }

    @Test func `a manager that does not listen delays nobody`() throws {
        let manager = try FakeManager()
        let service = try EchoService(environment: ["NOTIFY_SOCKET=\(manager.path)"])
        // More messages than its socket holds.
        for _ in 0..<40 { #expect(service.transfer(100) == .complete) }
        let last = try #require(service.connect())
        #expect(last.transfer(upTo: 100) == .complete)
        #expect(
            eventually(3) {
                manager.listen()
                return manager.kept.count
            })
    }

    @Test(arguments: [
        "", "godwit", "godwit-", "godwit-0", "godwit-xyz", "godwit-00ff000000000000", "web", "godwit-1ffffffffffffffff",
    ])
    func `names that are none of a keeper's are left alone`(name: String) {
        #expect(DescriptorKey(name) == nil)
    }

    @Test func `names are those of their keys`() {
        for kind in DescriptorKey.Kind.allCases {
            for key in [
                DescriptorKey(kind, loop: 255, number: DescriptorKey.numberLimit - 1), DescriptorKey(kind, number: 0),
            ] {
                #expect(DescriptorKey(key.description) == key)
            }
        }
    }
}

@Suite("A message between keeper and worker")
struct KeeperMessageTests {
    @Test func `is read as it was written, and anything else is none`() {
        let keys = [DescriptorKey(.tunnel, loop: 1, number: 77), DescriptorKey(.vault, number: 0)]
        let messages: [KeeperMessage] = [
            .protect(keys), .release(keys), .ready, .serving, .released, .inherit(keys), .inheritedAll, .letGo,
        ]
        for message in messages {
            let bytes = message.encoded
            let descriptors = message.carriesDescriptors ? keys.count : 0
            #expect(KeeperMessage(bytes, descriptors: descriptors) == message)
            #expect(KeeperMessage(bytes, descriptors: descriptors + 1) == nil)
            for length in 0..<bytes.count where length % 8 != 0 || length == 0 {
                #expect(KeeperMessage(bytes.prefix(length), descriptors: descriptors) == nil)
            }
        }
        #expect(KeeperMessage([9, 0, 0, 0, 0, 0, 0, 0], descriptors: 0) == nil)
        #expect(KeeperMessage(KeeperMessage.ready.encoded + KeeperMessage.ready.encoded, descriptors: 0) == nil)
        #expect(KeeperMessage([UInt8](repeating: 255, count: KeeperMessage.mostBytes + 8), descriptors: 0) == nil)
    }
}
