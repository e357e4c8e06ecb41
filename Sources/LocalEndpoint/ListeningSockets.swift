import EventLoop
import Keeper
import Primitives

/// The sockets on which programs connect: opened here, or taken over from a process before this one, with which they stay open
/// when this one dies.
final class ListeningSockets {
    private struct Left {
        var key: DescriptorKey
        var descriptor: Int32
        var address: NetworkAddress
    }

    private let loop: EventLoop
    private let keeper: KeeperClient?
    /// What another process has left, in the order in which it was opened.
    private var left: [Left] = []
    private var keys: [ObjectIdentifier: DescriptorKey] = [:]
    private var nextNumber: UInt64 = 0

    /// Sockets that end with this process.
    init(on loop: EventLoop) {
        self.loop = loop
        keeper = nil
    }

    /// Sockets that `keeper` keeps; what another process has left is taken out of `inheritance`.
    init(_ keeper: KeeperClient, _ inheritance: inout Inheritance, on loop: EventLoop) {
        self.loop = loop
        self.keeper = keeper
        for key in inheritance.keys where key.kind == .listener {
            guard let descriptor = inheritance.take(key) else { continue }
            nextNumber = key.number + 1
            guard let address = StreamListener.address(of: descriptor) else {
                keeper.release(key)
                close(descriptor: descriptor)
                continue
            }
            left.append(Left(key: key, descriptor: descriptor, address: address))
        }
    }

    /// Listens at an address; port 0 lets the system choose one, or stands for one that it has chosen before.
    func open(
        _ address: NetworkAddress, handler: any StreamListenerHandler
    ) throws(SystemError) -> StreamListener {
        let listener: StreamListener
        if let place = place(of: address) {
            let socket = left.remove(at: place)
            listener = StreamListener(adopting: socket.descriptor, on: loop, handler: handler)
            keys[ObjectIdentifier(listener)] = socket.key
            return listener
        }
        listener = try StreamListener(tcp: address, on: loop, handler: handler)
        guard let keeper else { return listener }
        let key = DescriptorKey(.listener, number: nextNumber)
        nextNumber += 1
        keys[ObjectIdentifier(listener)] = key
        keeper.protect(listener.descriptor, as: key)
        return listener
    }

    private func place(of address: NetworkAddress) -> Int? {
        left.firstIndex { $0.address == address }
            ?? left.firstIndex { address.port == 0 && $0.address.ip == address.ip }
    }

    /// Stops listening.
    func close(_ listener: StreamListener) {
        if let key = keys.removeValue(forKey: ObjectIdentifier(listener)) { keeper?.release(key) }
        listener.close()
    }

    /// Stops listening here; whoever takes over goes on.
    func leave(_ listener: StreamListener) {
        keys[ObjectIdentifier(listener)] = nil
        listener.leave()
    }

    /// Closes what was left and is wanted no more.
    func closeRest() {
        for socket in left {
            keeper?.release(socket.key)
            close(descriptor: socket.descriptor)
        }
        left = []
    }

    private func close(descriptor: Int32) { StreamListener.close(left: descriptor) }
}
