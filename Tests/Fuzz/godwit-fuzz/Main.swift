import Glibc

// The fuzzer's loop, from the compiler's run-time library. It finds the other functions of this file by their names.
@_silgen_name("LLVMFuzzerRunDriver")
private func runFuzzer(
    _ count: UnsafeMutablePointer<Int32>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ body: @convention(c) (UnsafePointer<UInt8>?, Int) -> Int32
) -> Int32

/// The package manager links this name as the program's `main`.
@c(godwit_fuzz_main)
public func fuzzerMain(
    _ count: Int32, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
) -> Int32 {
    var count = count
    var arguments = unsafe arguments
    return unsafe runFuzzer(&count, &arguments) { bytes, count in unsafe fuzzerTestOneInput(bytes, count) }
}

/// The target of this process. Set once, before the first input; the fuzzer has one thread.
nonisolated(unsafe) private var chosen = FuzzTarget.frames

/// Runs one input.
@c(LLVMFuzzerTestOneInput)
public func fuzzerTestOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    // The fuzzer lends its bytes for the length of this call.
    let input = unsafe Array(UnsafeBufferPointer(start: bytes, count: count))
    unsafe chosen.run(input)
    return 0
}

/// `godwit-fuzz --list`, `godwit-fuzz --seeds FOLDER TARGET` or `godwit-fuzz TARGET [LIBFUZZER ARGUMENT...]`.
@c(LLVMFuzzerInitialize)
public func fuzzerInitialize(
    _ count: UnsafeMutablePointer<Int32>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>
) -> Int32 {
    let words = unsafe (0..<Int(count.pointee)).compactMap { index in
        unsafe arguments.pointee[index].map { unsafe String(cString: $0) }
    }
    switch words.dropFirst().first {
    case nil: fail("which target? One of: \(FuzzTarget.names)")
    case "--list":
        print(FuzzTarget.allCases.map(\.rawValue).joined(separator: "\n"))
        exit(0)
    case "--seeds":
        guard words.count == 4, let target = FuzzTarget(rawValue: words[3]) else {
            fail("--seeds takes a folder and a target, one of: \(FuzzTarget.names)")
        }
        for (index, seed) in target.seeds.enumerated() { write(seed, to: "\(words[2])/seed-\(index)") }
        exit(0)
    case let name?:
        guard let target = FuzzTarget(rawValue: name) else { fail("no target \(name); there are: \(FuzzTarget.names)") }
        unsafe chosen = target
        // The fuzzer is not to see the target's name, which it would take for a folder.
        unsafe arguments.pointee[1] = arguments.pointee[0]
        unsafe arguments.pointee += 1
        unsafe count.pointee -= 1
    }
    return 0
}

private func fail(_ text: String) -> Never {
    print("godwit-fuzz: \(text)")
    exit(2)
}

private func write(_ bytes: [UInt8], to path: String) {
    guard let file = unsafe fopen(path, "wb") else { fail("cannot write \(path); does the folder exist?") }
    let written = unsafe fwrite(bytes, 1, bytes.count, file)
    guard unsafe fclose(file) == 0, written == bytes.count else { fail("cannot write all of \(path)") }
}
