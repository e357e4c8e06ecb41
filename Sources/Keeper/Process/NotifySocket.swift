internal import CSockets
internal import EventLoop
internal import Glibc

/// The socket on which a service manager listens (sd_notify(3)), and the descriptors it kept for this process
/// (`FileDescriptorStoreMax=` of systemd.service(5)).
struct NotifySocket {
    let descriptor: Int32

    /// The socket that the environment names; nil when there is none.
    static func fromEnvironment() throws(SystemError) -> NotifySocket? {
        guard let path = variable("NOTIFY_SOCKET"), !path.isEmpty else { return nil }
        // The path is copied by the call.
        return NotifySocket(descriptor: try check(unsafe gw_notify_connect(path), .notify, .path(path)))
    }

    /// What became of a message.
    enum Outcome {
        case sent
        case later
        case refused
    }

    /// Sends one message, with a descriptor or none.
    func send(_ lines: String, descriptor passed: Int32? = nil) -> Outcome {
        let bytes = Array(lines.utf8)
        let descriptors = passed.map { [$0] } ?? []
        // The pointers are used during the call only.
        let result = unsafe gw_channel_send(descriptor, bytes, bytes.count, descriptors, Int32(descriptors.count))
        guard result < 0 else { return .sent }
        switch Int32(-result) {
        case EAGAIN, ENOBUFS, ETOOMANYREFS, ENOMEM: return .later
        default: return .refused
        }
    }

    /// Has the manager keep a descriptor, also when it looks broken: bytes may wait in it.
    func store(_ descriptor: Int32, as key: DescriptorKey) -> Outcome {
        send("FDSTORE=1\nFDNAME=\(key)\nFDPOLL=0", descriptor: descriptor)
    }

    /// Has the manager close a descriptor that it kept.
    func remove(_ key: DescriptorKey) -> Outcome { send("FDSTOREREMOVE=1\nFDNAME=\(key)") }

    /// The first descriptor that a service manager passes (sd_listen_fds(3)).
    private static let firstPassed: Int32 = 3
    /// Descriptors that are taken at most; a larger number is no number.
    private static let mostPassed: Int32 = 1 << 20

    /// The descriptors that the manager kept for the process before this one; those of other names are left alone.
    static func passedDescriptors() -> [DescriptorKey: Int32] {
        guard variable("LISTEN_PID") == String(getpid()), let count = variable("LISTEN_FDS").flatMap({ Int32($0) }),
            count > 0, count <= mostPassed
        else { return [:] }
        let names = (variable("LISTEN_FDNAMES") ?? "").split(separator: ":", omittingEmptySubsequences: false)
        var passed: [DescriptorKey: Int32] = [:]
        for (name, descriptor) in zip(names, firstPassed..<firstPassed + count) {
            guard gw_close_on_exec(descriptor) >= 0, let key = DescriptorKey(String(name)) else { continue }
            if let twice = passed.updateValue(descriptor, forKey: key) { gw_close(twice) }
        }
        return passed
    }

    private static func variable(_ name: String) -> String? {
        // The result is copied at once; nobody changes the environment.
        guard let value = unsafe getenv(name) else { return nil }
        return unsafe String(cString: value)
    }
}
