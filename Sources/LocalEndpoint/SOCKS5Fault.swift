public import Tunnel

extension SOCKSReply {
    /// The whole reply message, RFC 1928 §6.
    ///
    /// BND.ADDR is the address the server used toward the destination. That is the gateway's affair; zeros are what servers send that
    /// do not know, and clients do not look at it after CONNECT.
    public var message: [UInt8] { [5, rawValue, 0, 1, 0, 0, 0, 0, 0, 0] }
}

/// Why a program's SOCKS5 request was refused, for the log.
public enum SOCKS5Fault: Error, Hashable, Sendable, CustomStringConvertible {
    /// The first byte was not 5.
    case version(UInt8)
    /// No method of authentication was offered that this proxy takes.
    case noAcceptableMethod
    /// Name or password were wrong.
    case wrongCredentials
    /// BIND, UDP ASSOCIATE or an unknown command.
    case command(UInt8)
    /// An unknown kind of address.
    case addressType(UInt8)
    /// A name that is no host name, or port 0.
    case destination

    /// One line: what is wrong and what to do.
    public var description: String {
        switch self {
        case .version(4): "the program speaks SOCKS4; set it to SOCKS5"
        case .version(0x41...0x5a): "the program speaks HTTP to a SOCKS5 port; set it to SOCKS5, or use an --http port"
        case .version(let version): "the program does not speak SOCKS5 (first byte \(version)); set it to SOCKS5"
        case .noAcceptableMethod:
            "the program offered no authentication that this port takes; give it the user and password"
        case .wrongCredentials: "wrong user or password for this SOCKS5 port; check the program's proxy settings"
        case .command(2): "the program asked for BIND, which is not offered; use CONNECT (FTP: passive mode)"
        case .command(3): "the program asked for UDP, which is not offered; only TCP is relayed"
        case .command(let command): "the program sent SOCKS5 command \(command), which does not exist"
        case .addressType(let type): "the program sent SOCKS5 address type \(type), which does not exist"
        case .destination: "the program asked for a host that is no host name or address; check what it was given"
        }
    }
}
