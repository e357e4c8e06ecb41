internal import CSockets
internal import Glibc
public import Primitives

extension UDPSocket {
    /// Bytes in one datagram at most: the largest UDP payload over IPv4.
    public static let maximumDatagramSize = 65_507
    /// Most bytes that one call hands to the kernel to cut. With the headers of all layers it has to stay below 65,536: a
    /// larger batch is cut in software, and the receiver gets its datagrams one by one.
    public static let maximumBatchSize = 65_000
    /// Most datagrams that one call hands to the kernel to cut (UDP_MAX_SEGMENTS of older kernels).
    public static let maximumSegments = 64

    /// What came of a `send`. `accepted` bytes from the front were taken by the kernel and must not be sent again.
    public enum SendOutcome: Hashable, Sendable {
        /// Everything was taken.
        case sent
        /// The socket's buffer is full; the handler hears of room, and what is left can be sent then.
        case blocked(accepted: Int)
        /// The datagrams are larger than the interface carries (EMSGSIZE).
        case tooLarge(accepted: Int)
        /// The network path cannot be used now; the socket can.
        case failed(SystemError, accepted: Int)
    }

    /// Sends one datagram, or several of `segmentSize` bytes each (the last may be shorter), to one receiver.
    ///
    /// - Parameters:
    ///   - from: the source address; only a wildcard socket takes notice of it. `nil`: the routing table chooses.
    ///   - ecn: the ECN field of the IP headers.
    public func send(
        _ bytes: Span<UInt8>, segmentSize: Int, to: NetworkAddress, from: NetworkAddress? = nil, ecn: ECN = .notCapable
    ) -> SendOutcome {
        // The pointer is used during the call only.
        unsafe bytes.withUnsafeBufferPointer { buffer in
            let outgoing = unsafe gw_outgoing(
                bytes: buffer.baseAddress, length: UInt32(clamping: buffer.count),
                segment: UInt16(clamping: max(0, segmentSize)), ecn: ecn.rawValue, to: gw_address(to),
                from: sourceAddress(from))
            return unsafe send(outgoing)
        }
    }

    func sourceAddress(_ from: NetworkAddress?) -> gw_address {
        guard isWildcard, let from, !from.ip.isUnspecified else { return .none }
        return gw_address(from)
    }

    func send(_ outgoing: gw_outgoing) -> SendOutcome {
        guard isOpen else {
            return .failed(SystemError(.send, .address(localAddress), code: EBADF), accepted: 0)
        }
        guard unsafe segmentsInKernel || outgoing.length <= outgoing.segment || outgoing.segment == 0,
            unsafe outgoing.canBeSegmented
        else {
            return unsafe sendCut(outgoing, afterRefusal: false)
        }
        var outgoing = unsafe outgoing
        let result = unsafe gw_udp_send(bound.descriptor, &outgoing)
        if result >= 0 { return .sent }
        let code = Int32(-result)
        // EIO: the device cannot checksum segments. EINVAL: no UDP_SEGMENT, or segments above the MTU; one datagram at a
        // time tells which.
        if code == EIO || code == EINVAL || code == EOPNOTSUPP, unsafe outgoing.isSeveral {
            return unsafe sendCut(outgoing, afterRefusal: true)
        }
        return unsafe outcome(of: code, outgoing, accepted: 0)
    }

    /// Sends the datagrams of one entry one by one, as many as possible with each call.
    private func sendCut(_ whole: gw_outgoing, afterRefusal: Bool) -> SendOutcome {
        let total = unsafe Int(whole.length)
        var accepted = 0
        repeat {
            var rest = unsafe whole
            unsafe rest.bytes = whole.bytes.map { unsafe $0 + accepted }  // accepted never exceeds the length
            unsafe rest.length = UInt32(total - accepted)
            let result = unsafe gw_udp_send_cut(bound.descriptor, &rest)
            guard result >= 0 else { return unsafe outcome(of: Int32(-result), whole, accepted: accepted) }
            if afterRefusal { segmentsInKernel = false }
            accepted += Int(result)
        } while accepted < total
        return .sent
    }

    private func outcome(of code: Int32, _ outgoing: gw_outgoing, accepted: Int) -> SendOutcome {
        switch code {
        case EAGAIN:
            watchForRoom()
            return .blocked(accepted: accepted)
        case EMSGSIZE:
            return .tooLarge(accepted: accepted)
        default:
            let to = unsafe outgoing.to.networkAddress ?? localAddress
            return .failed(SystemError(.send, .address(to), code: code), accepted: accepted)
        }
    }
}

extension gw_outgoing {
    var isSeveral: Bool { unsafe segment != 0 && length > UInt32(segment) }

    /// Whether the kernel can cut it with one call, or need not cut it.
    var canBeSegmented: Bool {
        guard unsafe isSeveral else { return true }
        return unsafe length <= UInt32(UDPSocket.maximumBatchSize)
            && Int(length) <= Int(segment) * UDPSocket.maximumSegments
    }
}
