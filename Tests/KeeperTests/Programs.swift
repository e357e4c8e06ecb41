import CSockets
import Glibc
import Isolation
import Testing

/// The program of the tests as a process of its own, with what it says.
final class Program {
    let process: Int32
    private let output: Int32
    private(set) var text = ""
    private var status: Int32?

    /// Starts it; `descriptors` get the numbers from 3 on, as a service manager passes them.
    init(_ arguments: [String], environment: [String] = [], descriptors: [Int32] = []) throws {
        var ends: [Int32] = [0, 0]
        #expect(unsafe gw_channel_open(&ends) == 0)
        output = ends[0]
        let end = ends[1]
        defer { close(end) }
        process = try Isolation.descriptors.run {
            let own = try ([end] + descriptors).map { try Isolation.take($0) }
            defer { for descriptor in own { close(descriptor) } }
            return try Self.start(arguments, environment, output: own[0], descriptors: Array(own[1...]))
        }
    }

    private static func start(
        _ arguments: [String], _ environment: [String], output: Int32, descriptors: [Int32]
    ) throws -> pid_t {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        unsafe posix_spawn_file_actions_adddup2(&actions, output, 1)
        // First out of the way of the numbers they get.
        let high = descriptors.map { fcntl($0, F_DUPFD_CLOEXEC, 200) }
        defer { for descriptor in high { close(descriptor) } }
        for (descriptor, number) in zip(high, Int32(3)...) {
            unsafe posix_spawn_file_actions_adddup2(&actions, descriptor, number)
        }
        // The shell is the process whose number LISTEN_PID must be, and becomes the program.
        let shell = ["/bin/sh", "-c", "LISTEN_PID=$$ LISTEN_FDS=\(descriptors.count) exec \"$@\"", "sh", path]
        // Copies for the call, ended by nil, freed after it.
        var pointers = unsafe (shell + arguments).map { unsafe strdup($0) } + [nil]
        var variables = unsafe (["PATH=/usr/bin:/bin"] + environment).map { unsafe strdup($0) } + [nil]
        defer { unsafe (pointers + variables).forEach { unsafe free($0) } }
        // The threads of tests block signals; a program begins with none blocked.
        var attributes = posix_spawnattr_t()
        var none = sigset_t()
        unsafe sigemptyset(&none)
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        unsafe posix_spawnattr_setsigmask(&attributes, &none)
        unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        var pid: pid_t = 0
        let result = unsafe posix_spawn(&pid, "/bin/sh", &actions, &attributes, &pointers, &variables)
        guard result == 0 else { throw Isolation.Refusal(code: result) }
        return pid
    }

    deinit {
        if status == nil {
            kill(process, SIGKILL)
            _ = wait()
        }
        close(output)
    }

    /// Beside the tests' own program.
    private static let path: String = {
        var bytes = [UInt8](repeating: 0, count: 4096)
        // The call writes into the array.
        let length = unsafe readlink("/proc/self/exe", &bytes, bytes.count)
        let own = String(decoding: bytes.prefix(max(0, length)), as: UTF8.self)
        return own.split(separator: "/").dropLast().reduce("") { $0 + "/" + $1 } + "/godwit-keeper-test"
    }()

    /// Takes what the program has said by now.
    func listen() -> String {
        while true {
            let more = receive(4096, from: output)
            guard !more.isEmpty else { return text }
            text += String(decoding: more, as: UTF8.self)
        }
    }

    /// Waits until the program has said something, for some seconds at most.
    func hasSaid(_ words: String) -> Bool {
        for _ in 0..<1000 {
            if listen().contains(words) { return true }
            gw_wait_readable(output, -1, 10)
        }
        return false
    }

    func signal(_ number: Int32) { kill(process, number) }

    /// Waits for the end, for some seconds at most: the exit status, or the negated signal.
    func wait() -> Int32? {
        for _ in 0..<1000 {
            var ended: Int32 = 0
            if let status { return status }
            // The call writes the status.
            if unsafe gw_process_end(process, &ended) == 1 {
                status = ended
                return ended
            }
            gw_wait_readable(-1, -1, 10)
        }
        return nil
    }
}

/// A keeper with an echoing worker, in files of its own.
final class EchoService {
    let directory: String
    private(set) var program: Program
    let steps: String

    init(steps: String = "", environment: [String] = []) throws {
        var template = Array("/tmp/godwit-XXXXXX".utf8CString)
        // The call changes the template in place.
        directory = unsafe template.withUnsafeMutableBufferPointer { buffer in
            unsafe buffer.baseAddress.flatMap { unsafe mkdtemp($0) }.map { unsafe String(cString: $0) } ?? "/tmp"
        }
        self.steps = steps.isEmpty ? "-" : steps
        program = try Program(
            ["keep", "\(directory)/count", self.steps, "\(directory)/port"], environment: environment)
    }

    deinit {
        program.signal(SIGKILL)
        _ = program.wait()
        unsafe unlink("\(directory)/count")
        unsafe unlink("\(directory)/port")
        unsafe rmdir(directory)
    }

    /// Another keeper in the place of one that died.
    func startAgain(environment: [String], descriptors: [Int32]) throws {
        program = try Program(
            ["keep", "\(directory)/count", steps, "\(directory)/port"], environment: environment,
            descriptors: descriptors)
    }

    /// Workers that were started so far.
    var workers: Int {
        var status = stat()
        return unsafe stat("\(directory)/count", &status) == 0 ? Int(status.st_size) : 0
    }

    /// Where the worker listens, once it does.
    var port: UInt16? {
        let file = unsafe open("\(directory)/port", O_RDONLY)
        guard file >= 0 else { return nil }
        defer { close(file) }
        return UInt16(String(decoding: receive(16, from: file), as: UTF8.self).filter(\.isNumber))
    }

    /// A connection to the worker; nil when there is none after some seconds.
    func connect() -> EchoCall? {
        for _ in 0..<500 {
            if let port, let call = EchoCall(port: port) { return call }
            gw_wait_readable(-1, -1, 10)
        }
        return nil
    }

    /// A whole transfer. A connection that ends before anything came back, because the worker was killed before it could
    /// hand it over, is made again.
    func transfer(_ count: Int) -> EchoCall.Result {
        for _ in 0..<5 {
            guard let call = connect() else { return .noConnection }
            let result = call.transfer(upTo: count)
            if case .ended(let received) = result, received == 0 { continue }
            if result == .complete, !call.finish() { return .noEnd }
            return result
        }
        return .noConnection
    }
}

/// A connection to an echo, which checks what comes back.
final class EchoCall {
    enum Result: Equatable {
        case complete
        case noConnection
        case noEnd
        case ended(received: Int)
        case wrongBytes(at: Int)
        case silent(received: Int)
    }

    private let descriptor: Int32
    private(set) var sent = 0
    private(set) var received = 0

    init?(port: UInt16) {
        var address = gw_address(high: 0, low: 0x7f00_0001, scope: 0, port: port, family: 4)
        let descriptor = unsafe gw_tcp_connect(&address)
        guard descriptor >= 0 else { return nil }
        gw_wait_writable(descriptor, 1000)
        guard gw_take_error(descriptor) == 0 else {
            gw_close(descriptor)
            return nil
        }
        self.descriptor = descriptor
    }

    deinit { gw_close(descriptor) }

    /// Sends the bytes up to `count` while it reads what comes back, until all have.
    func transfer(upTo count: Int, chunk: Int = 3333) -> Result {
        while received < count {
            if sent < count {
                let bytes = numbers(UInt64(sent)..<UInt64(min(sent + chunk, count)))
                // The pointer is used during the call only.
                let result = unsafe bytes.withUnsafeBytes {
                    unsafe gw_send(descriptor, $0.baseAddress, $0.count, nil, 0)
                }
                guard result >= 0 || result == -Int(EAGAIN) else { return .ended(received: received) }
                sent += max(0, result)
            }
            guard gw_wait_readable(descriptor, -1, sent < count ? 1 : 10_000) > 0 || sent < count else {
                return .silent(received: received)
            }
            if let result = read() { return result }
        }
        return .complete
    }

    /// Sends what goes of the bytes up to `count`.
    func push(upTo count: Int) {
        let bytes = numbers(UInt64(sent)..<UInt64(max(sent, count)))
        // The pointer is used during the call only.
        let result = unsafe bytes.withUnsafeBytes { unsafe gw_send(descriptor, $0.baseAddress, $0.count, nil, 0) }
        sent += max(0, result)
    }

    private func read() -> Result? {
        var bytes = [UInt8](repeating: 0, count: 65_536)
        // The pointer is used during the call only.
        let count = unsafe bytes.withUnsafeMutableBytes { unsafe gw_read(descriptor, $0.baseAddress, $0.count, nil, 0) }
        if count == -Int(EAGAIN) { return nil }
        guard count > 0 else { return .ended(received: received) }
        guard bytes.prefix(count).elementsEqual(numbers(UInt64(received)..<UInt64(received + count))) else {
            return .wrongBytes(at: received)
        }
        received += count
        return nil
    }

    /// Sends the end, and waits for it to come back.
    func finish() -> Bool {
        gw_shutdown_write(descriptor)
        gw_wait_readable(descriptor, -1, 10_000)
        return read() == .ended(received: received) && gw_has_error(descriptor) == 0
    }
}
