/// The plan of the house: which room may know which. The reasons are in the architecture document.
enum House {
    /// What a room may import.
    struct Room: Sendable {
        /// Rooms below it, C shims and products of other packages.
        var mayImport: Set<String>
        /// Modules of the system.
        var systemModules: Set<String> = []
    }

    private static let transport: Set<String> = ["Primitives", "Cryptography", "TLS"]
    private static let protocols: Set<String> = transport.union(["QUIC", "HTTP3", "Tunnel"])
    private static let roles: Set<String> = protocols.union([
        "EventLoop", "Keeper", "Driver", "Configuration", "Telemetry",
    ])
    /// Modules of swift-collections.
    private static let collections: Set<String> = ["deque", "heap"]
    /// What talks to the operating system, and may share state between threads.
    private static let system: Set<String> = ["Glibc", "Synchronization"]

    /// Every room; a folder in `Sources` that is not here is a fault.
    static let rooms: [String: Room] = [
        "Primitives": Room(mayImport: []),
        "Cryptography": Room(mayImport: ["Primitives", "COpenSSL", "CAcceleration"]),
        "TLS": Room(mayImport: ["Primitives", "Cryptography", "COpenSSL"]),
        "QUIC": Room(mayImport: transport.union(collections)),
        "HTTP3": Room(mayImport: transport.union(["QUIC"]).union(collections)),
        "Tunnel": Room(mayImport: transport.union(["QUIC", "HTTP3"]).union(collections)),
        "Simulator": Room(mayImport: protocols.union(collections)),
        "EventLoop": Room(mayImport: collections.union(["Primitives", "CEvent", "CSockets"]), systemModules: system),
        "Keeper": Room(mayImport: ["Primitives", "EventLoop", "CSockets"], systemModules: system),
        "Driver": Room(
            mayImport: protocols.union(["EventLoop", "Keeper", "Telemetry", "logging"]).union(collections),
            systemModules: system),
        "Configuration": Room(mayImport: ["Primitives", "Cryptography"], systemModules: system),
        "Telemetry": Room(mayImport: ["Primitives", "QUIC", "logging"], systemModules: system),
        "LocalEndpoint": Room(mayImport: roles.union(["logging"]).union(collections), systemModules: system),
        "Gateway": Room(mayImport: roles.union(["logging"]).union(collections), systemModules: system),
        "Lab": Room(
            mayImport: roles.union(["LocalEndpoint", "Gateway", "Simulator"]).union(collections),
            systemModules: system.union(["FoundationEssentials"])),
        "godwit": Room(
            mayImport: roles.union(["LocalEndpoint", "Gateway", "Lab", "argumentParser", "logging"]),
            systemModules: system.union(["FoundationEssentials"])),
    ]

    /// The modules that each product of another package brings.
    static let modulesOfProduct: [String: Set<String>] = [
        "deque": ["DequeModule"],
        "heap": ["HeapModule"],
        "logging": ["Logging"],
        "argumentParser": ["ArgumentParser"],
    ]

    /// Rooms that are called and never call: no clock, socket, thread or task in them.
    static let sansIO: Set<String> = protocols.union(["Simulator"])

    /// The only room that reads a clock.
    static let clockRoom = "EventLoop"
    /// The only room that asks the system for randomness.
    static let randomnessRoom = "Cryptography"

    /// Where `unsafe` may stand, and why; a room or one file.
    static let unsafePlaces: [(place: String, reason: String)] = [
        ("Sources/Cryptography/", "wraps libcrypto"),
        ("Sources/TLS/", "wraps libssl"),
        ("Sources/EventLoop/", "wraps libevent and sockets"),
        ("Sources/Keeper/", "memory and descriptors that outlive a process"),
        ("Sources/Primitives/ByteRing.swift", "the ring that system calls fill and drain"),
        ("Sources/Primitives/RingContent.swift", "the ring's state, which lends its memory"),
        ("Sources/Primitives/RingStorage.swift", "the ring's memory"),
        ("Sources/Primitives/RingMemory.swift", "where the ring's memory comes from"),
        ("Sources/Configuration/ConfigurationFile.swift", "the one loader: system calls with paths and buffers"),
        ("Sources/Telemetry/StandardError.swift", "the one writer of the log"),
        ("Sources/Driver/KeyLogFile.swift", "system calls with a path and a buffer"),
        ("Sources/Lab/ChildProcess.swift", "system calls with lists of words and buffers"),
        ("Sources/Lab/Benchmark/BlockingThread.swift", "threads, which C starts"),
        ("Sources/Lab/Benchmark/BlockingStream.swift", "blocking system calls with buffers"),
        ("Sources/QUIC/Wire/SpanCopy.swift", "spans have no bulk copy and comparison on this toolchain"),
    ]

    /// Lines a file may have: about 400, and some room for the last idea.
    static let mostLines = 450
}
