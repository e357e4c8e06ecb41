/// A way for TCP to get from here to the origin.
struct BenchmarkSystem {
    /// The ways there are.
    enum Kind: String, CaseIterable {
        /// Without anything between, for comparison.
        case direct
        /// This program.
        case godwit
        /// OpenSSH as it is.
        case ssh
        /// OpenSSH with AES-128-GCM.
        case sshAESGCM = "ssh-aes128-gcm"
        /// TLS over TCP.
        case stunnel
    }

    let kind: Kind
    /// The port that programs connect to.
    let port: UInt16
    /// The processes on the program's side.
    var local: [Int32] = []
    /// Those on the origin's side.
    var remote: [Int32] = []
}
