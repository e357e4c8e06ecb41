// swift-tools-version: 6.3
import PackageDescription

/// Whether to build for libFuzzer, with every room instrumented: `FUZZ=1`, as `Tests/Fuzz/run` sets it.
let isFuzzing = Context.environment["FUZZ"] != nil
let instrumentation: [SwiftSetting] =
    isFuzzing ? [.unsafeFlags(["-sanitize=fuzzer,address", "-parse-as-library"])] : []

/// Whether SwiftPM has checked this package out for another one.
let isDependency = Context.packageDirectory.contains("/checkouts/")

/// Leaves Intel's multi-buffer library out where its header is installed, too: `GODWIT_WITHOUT_MULTI_BUFFER=1`.
let acceleration: [CSetting] =
    Context.environment["GODWIT_WITHOUT_MULTI_BUFFER"] != nil ? [.define("GODWIT_WITHOUT_MULTI_BUFFER")] : []

/// Leaves the tests themselves unoptimised, which saves half of the time that a release build of all takes; what they test is
/// optimised all the same: `PLAIN_TESTS=1`, as `Deploy/test` sets it.
let plainTests: [SwiftSetting] =
    Context.environment["PLAIN_TESTS"] != nil ? [.unsafeFlags(["-Onone"], .when(configuration: .release))] : []

// The rooms of the house and who may know whom. ArchitectureTests holds the sources against this list.

let strict: [SwiftSetting] =
    [
        .strictMemorySafety(),
        .treatAllWarnings(as: .error),
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .enableExperimentalFeature("Lifetimes"),
    ] + instrumentation

/// Swift's dynamic exclusivity checks, of every access to a property of a class, are an eighth of what a packet costs.
/// Rooms that every packet passes do without them in release builds. They stay on in debug builds, in
/// which every test runs, and under fuzzing; and in packages that use the libraries, where SwiftPM refuses such flags.
let perPacket: [SwiftSetting] =
    isFuzzing || isDependency
    ? []
    : [.unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release))]

func room(_ name: String, _ dependencies: [Target.Dependency], _ settings: [SwiftSetting] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: strict + settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: dependencies, swiftSettings: strict + plainTests)
}

/// A program that tests run.
func testTool(
    _ name: String, path: String, _ dependencies: [Target.Dependency], linkerSettings: [LinkerSetting] = []
) -> Target {
    .executableTarget(
        name: name, dependencies: dependencies, path: path, swiftSettings: strict, linkerSettings: linkerSettings)
}

// Single modules: the product of all of them takes longer to build than most rooms.
let deque: Target.Dependency = .product(name: "DequeModule", package: "swift-collections")
let heap: Target.Dependency = .product(name: "HeapModule", package: "swift-collections")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let argumentParser: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
    name: "godwit",
    products: [
        .executable(name: "godwit", targets: ["godwit"]),
        .library(name: "QUIC", targets: ["QUIC"]),
        .library(name: "HTTP3", targets: ["HTTP3"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
    ],
    targets: [
        .target(
            name: "COpenSSL", linkerSettings: [.linkedLibrary("ssl"), .linkedLibrary("crypto")]),
        .target(
            name: "CEvent", linkerSettings: [.linkedLibrary("event_core"), .linkedLibrary("event_extra")]),
        .target(name: "CAcceleration", cSettings: acceleration),
        .target(name: "CSockets"),

        room("Primitives", [], perPacket),
        room("Cryptography", ["Primitives", "COpenSSL", "CAcceleration"], perPacket),
        room("TLS", ["Primitives", "Cryptography", "COpenSSL"]),
        room("QUIC", ["Primitives", "Cryptography", "TLS", deque], perPacket),
        room("HTTP3", ["Primitives", "QUIC", deque], perPacket),
        room("Tunnel", ["Primitives", "QUIC", "HTTP3", deque], perPacket),
        room("Simulator", ["Primitives", "Cryptography", "TLS", "QUIC", "HTTP3", "Tunnel", deque, heap]),
        room("EventLoop", ["Primitives", "CEvent", "CSockets"], perPacket),
        room("Keeper", ["Primitives", "EventLoop", "CSockets"]),
        room(
            "Driver",
            [
                "Primitives", "Cryptography", "TLS", "QUIC", "HTTP3", "Tunnel", "EventLoop", "Keeper", "Telemetry",
                deque, logging,
            ], perPacket),
        room("Configuration", ["Primitives", "Cryptography"]),
        room("Telemetry", ["Primitives", "QUIC", logging]),
        room(
            "LocalEndpoint",
            [
                "Primitives", "Cryptography", "TLS", "QUIC", "HTTP3", "Tunnel", "EventLoop", "Keeper", "Driver",
                "Configuration", "Telemetry", logging,
            ]),
        room(
            "Gateway",
            [
                "Primitives", "Cryptography", "TLS", "QUIC", "HTTP3", "Tunnel", "EventLoop", "Keeper", "Driver",
                "Configuration", "Telemetry", logging,
            ]),
        room(
            "Lab",
            [
                "Primitives", "EventLoop", "Simulator", "LocalEndpoint", "Gateway", "Configuration", "Telemetry",
                heap,
            ]),
        .executableTarget(
            name: "godwit",
            dependencies: [
                "Primitives", "Cryptography", "EventLoop", "Driver", "LocalEndpoint", "Gateway", "Lab", "Configuration",
                "Telemetry", argumentParser, logging,
            ],
            swiftSettings: strict),

        tests("PrimitivesTests", ["Primitives"]),
        tests("CryptographyTests", ["Cryptography", "Primitives"]),
        tests("TLSTests", ["TLS", "Cryptography", "Primitives"]),
        tests("QUICTests", ["QUIC", "TLS", "Cryptography", "Primitives"]),
        tests("HTTP3Tests", ["HTTP3", "QUIC", "TLS", "Cryptography", "Primitives"]),
        tests("TunnelTests", ["Tunnel", "HTTP3", "QUIC", "TLS", "Cryptography", "Primitives"]),
        tests("SimulatorTests", ["Simulator", "Tunnel", "HTTP3", "QUIC", "TLS", "Cryptography", "Primitives"]),
        .target(name: "CFaults", path: "Tests/CFaults"),
        .target(name: "CIsolation", path: "Tests/Isolation/CIsolation"),
        .target(
            name: "Isolation", dependencies: ["CIsolation"], path: "Tests/Isolation/Isolation", swiftSettings: strict),
        tests("EventLoopTests", ["EventLoop", "CSockets", "CFaults", "Isolation", "Primitives"]),
        .target(name: "CTracing", path: "Tests/Keeper/CTracing"),
        testTool(
            "godwit-keeper-test", path: "Tests/Keeper/godwit-keeper-test",
            ["Keeper", "EventLoop", "CSockets", "CTracing", "Primitives"]),
        tests(
            "KeeperTests", ["Keeper", "EventLoop", "CSockets", "Isolation", "Primitives", "godwit-keeper-test"]),
        tests("ConfigurationTests", ["Configuration", "Cryptography", "Primitives"]),
        tests("TelemetryTests", ["Telemetry", "Primitives", logging]),
        tests(
            "CommandLineTests",
            [
                "godwit", "LocalEndpoint", "Gateway", "Configuration", "Telemetry", "Cryptography", "Primitives",
                argumentParser, logging,
            ]),
        tests(
            "EndpointTests",
            [
                "LocalEndpoint", "Gateway", "Driver", "Keeper", "Lab", "Configuration", "Telemetry", "EventLoop",
                "Tunnel",
                "HTTP3", "QUIC", "TLS", "Cryptography", "Primitives", "CSockets", logging,
            ]),
        tests("LabTests", ["Lab", "Simulator", "EventLoop", "Primitives"]),
        tests("ArchitectureTests", []),
        .target(name: "CCosts", path: "Tests/Benchmarks/CCosts"),
        .testTarget(
            name: "Benchmarks", dependencies: ["QUIC", "TLS", "Cryptography", "Primitives", "CCosts"],
            path: "Tests/Benchmarks",
            exclude: [
                "CCosts", "CBareTLS", "godwit-costs", "bench", "floor.c", "links.sh", "link_load.py", "profile.py",
            ],
            swiftSettings: strict),
        .target(
            name: "CBareTLS", path: "Tests/Benchmarks/CBareTLS",
            linkerSettings: [.linkedLibrary("ssl"), .linkedLibrary("crypto")]),
        testTool(
            "godwit-costs", path: "Tests/Benchmarks/godwit-costs",
            ["Tunnel", "HTTP3", "QUIC", "TLS", "Cryptography", "Primitives", "CBareTLS", argumentParser]),
        testTool(
            "godwit-interop", path: "Tests/Interop/godwit-interop",
            ["Driver", "EventLoop", "QUIC", "TLS", "Cryptography", "Primitives", argumentParser]),
        .target(name: "CTunnel", path: "Tests/Handover/CTunnel"),
        testTool(
            "godwit-lab", path: "Tests/Handover/godwit-lab",
            ["Lab", "Simulator", "Driver", "EventLoop", "Primitives", "CTunnel", argumentParser]),
    ]
)

if isFuzzing {
    package.targets.append(
        testTool(
            "godwit-fuzz", path: "Tests/Fuzz/godwit-fuzz",
            [
                "LocalEndpoint", "Driver", "Configuration", "Tunnel", "HTTP3", "QUIC", "TLS", "Cryptography",
                "Primitives",
            ],
            linkerSettings: [.unsafeFlags(["-sanitize=fuzzer,address", "-use-ld=lld"])]))
}
