import CTunnel
import EventLoop
import Glibc
import Lab

/// What takes the packets of an interface.
protocol TunnelInterfaceOwner: AnyObject {
    /// A packet that the namespace sent into the interface.
    func sent(_ packet: IPPacket, into interface: TunnelInterface)
}

/// A network interface in a namespace whose packets this program carries.
@safe
final class TunnelInterface: FileDescriptorHandler {
    /// Packets taken in one turn, so that the other interface and the timers have theirs.
    static let packetsPerTurn = 64
    /// Bytes of the largest packet that is read.
    static let largestPacket = 9_000

    private let descriptor: Int32
    private weak var owner: (any TunnelInterfaceOwner)?
    private var events: FileDescriptorEvents?
    private let buffer: UnsafeMutableRawBufferPointer

    /// Makes the interface.
    init(_ name: String, in namespace: String, on loop: EventLoop, owner: any TunnelInterfaceOwner) throws {
        // Both are copied by the kernel during the call.
        let result = unsafe gwt_open("/run/netns/\(namespace)", name)
        guard result >= 0 else {
            throw LabFailure("cannot make the interface \(name) in \(namespace): \(LabFailure.reason(-result))")
        }
        descriptor = result
        self.owner = owner
        unsafe buffer = .allocate(byteCount: Self.largestPacket, alignment: 16)
        let events = FileDescriptorEvents(descriptor, on: loop, handler: self)
        events.watch(.read)
        self.events = events
    }

    deinit {
        unsafe buffer.deallocate()
        _ = gwt_close(descriptor)
    }

    func descriptorReadable() {
        for _ in 0..<Self.packetsPerTurn {
            let count = unsafe gwt_read(descriptor, buffer.baseAddress, buffer.count)  // the buffer's own size
            guard count > 0 else { return }
            // The kernel wrote that many bytes.
            if let packet = unsafe IPPacket([UInt8](buffer[..<count])) { owner?.sent(packet, into: self) }
        }
    }

    /// Hands a packet to the namespace; one that its kernel does not take now is lost.
    func deliver(_ packet: IPPacket) {
        // The bytes are read during the call.
        _ = unsafe packet.bytes.withUnsafeBytes { unsafe gwt_write(descriptor, $0.baseAddress, $0.count) }
    }

    /// Gives the interface its carrier or takes it away.
    func setCarrier(_ state: LinkCarrier) { _ = gwt_set_carrier(descriptor, state == .present ? 1 : 0) }

    func descriptorWritable() {}
    func descriptorHungUp() {}
}

/// Whether an interface believes that it is plugged in.
enum LinkCarrier {
    case present
    case absent
}

/// Why the program cannot do its work, in a sentence.
struct LabFailure: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }

    /// The system's words for an error number.
    static func reason(_ code: Int32) -> String {
        unsafe String(cString: strerror(code))  // copied at once
    }
}
