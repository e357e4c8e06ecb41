/// A way for TCP to get from here to the origin.
struct BenchmarkSystem {
    /// Where programs connect, over IPv4.
    struct Entry: Hashable, Sendable {
        /// The bits of the address.
        var address: UInt32
        var port: UInt16

        /// On this machine's loopback.
        init(port: UInt16) { self.init(FarSide.loopback.bits, port: port) }

        init(_ address: UInt32, port: UInt16) {
            self.address = address
            self.port = port
        }
    }

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
    /// Where programs connect.
    let entry: Entry
    /// The processes on the program's side.
    var local: [Int32] = []
    /// Those on the origin's side.
    var remote: [Int32] = []
}
