internal import CAcceleration
internal import COpenSSL

/// What seals and opens packets.
public enum AEADBackend: String, CaseIterable, Hashable, Sendable {
    /// libcrypto: every cipher suite, everywhere.
    case openSSL = "openssl"
    /// Intel's multi-buffer library: AES-GCM on x86-64; other suites go to libcrypto.
    case multiBuffer = "multi-buffer"
}

/// Which backends this program has on this machine, and which one it uses.
public struct AEADSelection: Hashable, Sendable {
    /// The environment variable that chooses: `auto`, or the name of a backend.
    public static let variable = "GODWIT_AEAD"
    /// The value of the variable that means: the fastest one that works.
    public static let automatic = "auto"

    /// Whether the multi-buffer library can be used, or why not.
    enum MultiBufferState: Hashable, Sendable {
        case ready
        case leftOut
        case notInstalled
        case otherVersion
        case noInstructions
        case broken
    }

    /// What seals and opens packets where nothing else is asked for.
    public let backend: AEADBackend
    /// What the user should know: that the backend asked for, or the one that would be used, does not work.
    public let warning: String?
    private let multiBuffer: MultiBufferState

    /// The choice of this process, made once.
    public static let current = AEADSelection(
        wanted: environment(variable), multiBuffer: MultiBufferLibrary.state)

    /// Chooses.
    init(wanted: String?, multiBuffer: MultiBufferState) {
        self.multiBuffer = multiBuffer
        let fallback = "\(AEADBackend.openSSL.rawValue) is used"
        switch wanted {
        case nil, "", Self.automatic:
            backend = multiBuffer == .ready ? .multiBuffer : .openSSL
            warning = multiBuffer == .broken ? "\(Self.brokenSentence); \(fallback)" : nil
        case AEADBackend.openSSL.rawValue:
            backend = .openSSL
            warning = nil
        case AEADBackend.multiBuffer.rawValue:
            backend = multiBuffer == .ready ? .multiBuffer : .openSSL
            warning =
                multiBuffer == .ready
                ? nil : "\(Self.variable)=\(AEADBackend.multiBuffer.rawValue): \(Self.reason(multiBuffer)); \(fallback)"
        case .some(let other):
            backend = .openSSL
            let names = ([Self.automatic] + AEADBackend.allCases.map(\.rawValue)).joined(separator: ", ")
            warning = "\(Self.variable)=\(other) is none of \(names); \(fallback)"
        }
    }

    /// The backends that work here.
    public var available: [AEADBackend] { multiBuffer == .ready ? AEADBackend.allCases : [.openSSL] }

    /// One line a backend, for `godwit version`: its name and version, whether it is used, or why it cannot be.
    public var lines: [String] {
        AEADBackend.allCases.map { backend in
            guard available.contains(backend) else { return "\(backend.rawValue): \(Self.reason(multiBuffer))" }
            return "\(backend.rawValue): \(backend.version)\(backend == self.backend ? ", in use" : "")"
        }
    }

    private static let brokenSentence = "the multi-buffer library (libipsec-mb) fails its test on this machine"

    private static func reason(_ state: MultiBufferState) -> String {
        switch state {
        case .ready: "it works"
        case .leftOut: "this program was built without it (its header, Debian's libipsec-mb-dev, was not there)"
        case .notInstalled: "libIPSec_MB.so.1 (Debian's libipsec-mb1) is not installed"
        case .otherVersion: "the installed libIPSec_MB.so.1 is of another version than the one this was built with"
        case .noInstructions: "this processor has no AES or no AVX2 instructions"
        case .broken: brokenSentence
        }
    }

    private static func environment(_ name: String) -> String? {
        // The value is copied before anything else runs.
        guard let value = unsafe getenv(name) else { return nil }
        return unsafe String(cString: value)
    }
}

extension AEADBackend {
    /// The library and its version.
    fileprivate var version: String {
        switch self {
        // The text is a constant of the library.
        case .openSSL: unsafe String(cString: OpenSSL_version(OPENSSL_VERSION))
        case .multiBuffer: "Intel multi-buffer \(MultiBufferLibrary.version) (AES-GCM)"
        }
    }
}

/// What a cipher suite is done best by on this processor.
extension CipherSuite {
    /// All suites, the one first that this processor does fastest: AES where it has instructions for it.
    public static let byPreference: [CipherSuite] = byPreference(hasAES: godwit_has_aes() != 0)

    /// All suites, for a processor with or without instructions for AES: without, AES is slow or tells its key by
    /// its timing.
    static func byPreference(hasAES: Bool) -> [CipherSuite] {
        hasAES ? [.aes128GCM, .aes256GCM, .chaCha20Poly1305] : [.chaCha20Poly1305, .aes128GCM, .aes256GCM]
    }
}
