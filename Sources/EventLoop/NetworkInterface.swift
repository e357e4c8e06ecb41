internal import CSockets
public import Primitives

/// One address of one network interface of this machine.
public struct NetworkInterface: Hashable, Sendable {
    /// The interface's name, such as "eth0".
    public var name: String
    /// The interface's index.
    public var index: UInt32
    /// Bytes of the largest IP packet that the interface carries.
    public var mtu: Int
    /// Whether the interface is up and has a carrier.
    public var isUp: Bool
    /// Whether it is the loopback interface.
    public var isLoopback: Bool
    /// The address, with its scope where it is link-local; the port is 0.
    public var address: NetworkAddress
    /// Bits of the address's network prefix.
    public var prefixLength: Int

    /// Most addresses that are listed; a machine with more gets the first ones.
    public static let maximumCount = 256

    /// All addresses of all interfaces, in the system's order.
    public static func all() throws(SystemError) -> [NetworkInterface] {
        let empty = gw_interface()
        var list = [gw_interface](repeating: empty, count: maximumCount)
        // Writes at most `maximumCount` entries.
        let count = unsafe list.withUnsafeMutableBufferPointer {
            unsafe gw_interfaces($0.baseAddress, Int32($0.count))
        }
        return list.prefix(Int(try check(count, .listInterfaces))).compactMap { NetworkInterface($0) }
    }

    /// The MTU of the interface that has a local address, or `nil` when none has it. Loopback has 65,536.
    public static func mtu(of local: IPAddress) -> Int? {
        (try? all())?.first { $0.address.ip == local }?.mtu
    }

    /// The local address that the routing table picks toward `remote`, and the MTU it knows for it. Nothing is sent.
    public static func route(
        to remote: NetworkAddress
    ) throws(SystemError) -> (local: NetworkAddress, mtu: Int) {
        var to = gw_address(remote)
        var from = gw_address.none
        var mtu: UInt32 = 0
        // The pointers are used during the call only.
        _ = try check(unsafe gw_route(&to, &from, &mtu), .route, .address(remote))
        guard let local = from.networkAddress else {
            throw SystemError(.route, .address(remote), code: SystemError.noAddress)
        }
        return (local, Int(mtu))
    }

    private init?(_ entry: gw_interface) {
        guard let address = entry.address.networkAddress else { return nil }
        // CSockets ends the name with a zero byte inside of the array.
        name = unsafe withUnsafeBytes(of: entry.name) { bytes in
            unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        index = entry.index
        mtu = Int(entry.mtu)
        isUp = entry.is_up != 0
        isLoopback = entry.is_loopback != 0
        self.address = address
        prefixLength = Int(entry.prefix_length)
    }
}
