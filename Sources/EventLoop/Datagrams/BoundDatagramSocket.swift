internal import CSockets
public import Primitives

/// A UDP socket that is bound and waits for the loop that will use it, see `UDPSocket.init(_:on:handler:)`.
///
/// It may be made on one thread and used on another: the sockets of a port group are bound in the order of their workers.
public struct BoundDatagramSocket: Sendable {
    /// How a socket is made.
    public struct Options: Sendable {
        /// Whether the kernel may cut and join datagrams.
        public enum Offload: Sendable {
            /// Where the kernel does it; found out at run time.
            case whereAvailable
            /// Never: one datagram at a time crosses the kernel's border.
            case never
        }

        /// Bytes asked for each socket buffer; the system's limit holds without privilege.
        public var bufferSize = ByteCount.mebibytes(8)
        /// Segmentation when sending (GSO).
        public var sending = Offload.whereAvailable
        /// Joining when receiving (GRO).
        public var receiving = Offload.whereAvailable

        /// The default options.
        public init() {}
    }

    /// What decides where its datagrams leave.
    public enum Binding: Hashable, Sendable {
        /// The routing table, for each datagram anew; it is bound to no address.
        case wildcard
        /// The routing table; the source address stays.
        case address
        /// The interface that has the address, whatever the routing table prefers.
        case interface(String)
    }

    /// The descriptor; whoever adopts it closes it.
    public let descriptor: Int32
    /// The address that it is bound to, with the port that the system chose where none was asked for.
    public let localAddress: NetworkAddress
    /// Size of the receive buffer as the system granted it; the kernel counts its own overhead in.
    public let receiveBufferSize: ByteCount
    /// Size of the send buffer as the system granted it.
    public let sendBufferSize: ByteCount
    /// The options that it was made with.
    public let options: Options
    /// Whether the kernel joins received datagrams.
    public let joinsReceived: Bool
    /// What decides where its datagrams leave.
    public let binding: Binding

    /// Binds a socket; port 0 lets the system choose one. An IPv6 wildcard takes no IPv4 traffic.
    public init(_ address: NetworkAddress, options: Options = Options()) throws(SystemError) {
        try self.init(address, interface: nil, options: options, flags: 0)
    }

    /// Binds a socket to an address of a link and to its interface, with a port that the system chooses.
    ///
    /// `binding` tells what came of it: an old system may refuse the interface. Throws when the link or its address is
    /// gone (ENODEV, EADDRNOTAVAIL).
    public init(_ link: LinkAddress, options: Options = Options()) throws(SystemError) {
        try self.init(link.networkAddress(port: 0), interface: link.interface, options: options, flags: 0)
    }

    private init(
        _ address: NetworkAddress, interface: String?, options: Options, flags: Int
    ) throws(SystemError) {
        var flags = flags
        if case .never = options.receiving { flags |= GW_UDP_NO_RECEIVE_OFFLOAD }
        var local = gw_address(address)
        let subject = SystemError.Subject.address(address)
        // The pointers are used during the calls only.
        var keepsToInterface: Int32 = 0
        let opened =
            if let interface {
                unsafe interface.withCString { unsafe gw_udp_open(&local, $0, Int32(flags), &keepsToInterface) }
            } else {
                unsafe gw_udp_open(&local, nil, Int32(flags), &keepsToInterface)
            }
        descriptor = try check(opened, .bind, subject)
        binding =
            switch interface {
            case let interface? where keepsToInterface != 0: .interface(interface)
            default: address.ip.isUnspecified ? .wildcard : .address
            }
        (receiveBufferSize, sendBufferSize) = Self.setBuffers(of: descriptor, options)
        joinsReceived = gw_udp_has_receive_offload(descriptor) != 0
        self.options = options
        let result = unsafe gw_local_address(descriptor, &local)
        guard result >= 0, let bound = local.networkAddress else {
            gw_close(descriptor)
            throw SystemError(.inspect, subject, code: -result)
        }
        localAddress = bound
    }

    /// Takes over a bound socket that another process used before, which also made it keep to an interface or not.
    ///
    /// Throws when it is no such socket; it then stays the caller's.
    public init(adopting descriptor: Int32, options: Options = Options()) throws(SystemError) {
        var local = gw_address.none
        // The pointer is used during the call only.
        let result = unsafe gw_local_address(descriptor, &local)
        guard result >= 0, let bound = local.networkAddress else {
            throw SystemError(.adopt, .descriptor(descriptor), code: result < 0 ? -result : SystemError.noAddress)
        }
        self.descriptor = descriptor
        self.options = options
        localAddress = bound
        binding = bound.ip.isUnspecified ? .wildcard : .address
        (receiveBufferSize, sendBufferSize) = Self.setBuffers(of: descriptor, options)
        joinsReceived = gw_udp_has_receive_offload(descriptor) != 0
    }

    private static func setBuffers(of descriptor: Int32, _ options: Options) -> (receive: ByteCount, send: ByteCount) {
        let size = Int32(clamping: options.bufferSize.bytes)
        var received: Int32 = 0
        var sent: Int32 = 0
        // The pointers are used during the call only.
        unsafe gw_udp_set_buffers(descriptor, size, size, &received, &sent)
        return (ByteCount(received), ByteCount(sent))
    }

    /// Binds one socket per worker to the same address, such that a datagram goes to the socket whose index is the first
    /// byte of its destination connection ID modulo `count`, whatever address it comes from.
    public static func group(
        _ address: NetworkAddress, count: Int, options: Options = Options()
    ) throws(SystemError) -> [BoundDatagramSocket] {
        var sockets: [BoundDatagramSocket] = []
        var address = address
        // Sockets that share a port do so with those of another process, too: one that does not share finds out.
        if address.port != 0 { try BoundDatagramSocket(address, options: options).close() }
        do throws(SystemError) {
            for _ in 0..<max(1, count) {
                let socket = try BoundDatagramSocket(
                    address, interface: nil, options: options, flags: GW_UDP_SHARE_PORT)
                sockets.append(socket)
                address = socket.localAddress
            }
            // The program belongs to the group; it is complete now, so no datagram is steered to a missing socket.
            _ = try check(
                gw_udp_steer_by_connection_id(sockets[0].descriptor, UInt32(sockets.count)), .steer, .address(address))
        } catch {
            for socket in sockets { socket.close() }
            throw error
        }
        return sockets
    }

    /// Closes a socket that no loop has adopted.
    public func close() { gw_close(descriptor) }
}
