import Configuration
import Driver
import EventLoop
import Keeper
import Logging
import Primitives
import QUIC
import Tunnel

/// What one worker of a gateway starts with.
struct WorkerInheritance: Sendable {
    /// The sockets of the worker, one for each address that is listened on.
    var sockets: [BoundDatagramSocket] = []
    /// The tunnels of the worker before it.
    var loop = LoopInheritance()
}

extension Inheritance {
    /// The sockets of the workers before this process, by address and then by worker; nil unless they are just what is asked for.
    mutating func takeSockets(of addresses: [NetworkAddress], workers: Int) -> [[BoundDatagramSocket]]? {
        var found: [[BoundDatagramSocket]] = []
        let wanted = Set(
            addresses.indices.flatMap { place in
                (0..<workers).map { DescriptorKey(.datagramSocket, loop: UInt8($0), number: UInt64(place)) }
            })
        guard wanted == Set(keys.filter { $0.kind == .datagramSocket }) else { return nil }
        for (place, address) in addresses.enumerated() {
            var group: [BoundDatagramSocket] = []
            for worker in 0..<workers {
                let key = DescriptorKey(.datagramSocket, loop: UInt8(worker), number: UInt64(place))
                guard let socket = peek(key).flatMap({ try? BoundDatagramSocket(adopting: $0) }),
                    socket.localAddress.ip == address.ip,
                    address.port == 0 || socket.localAddress.port == address.port
                else { return nil }
                group.append(socket)
            }
            found.append(group)
        }
        for key in wanted { _ = take(key) }
        return found
    }
}

/// What is noted of a tunnel for the process that goes on with it: whose it is.
extension GatewayNote {
    var owner: [UInt8] { Array(user.utf8) }

    init?(owner: [UInt8], isClosed: Bool) {
        guard let user = String(validating: owner, as: UTF8.self), UsersFile.isName(user) else { return nil }
        self.init(user: user, counting: isClosed ? .over : .counted)
    }
}

extension GatewayWorker {
    /// Protects what the worker has, and goes on with what the worker before it had.
    func keep(_ access: KeeperLink.Access, _ inheritance: WorkerInheritance) throws(SystemError) {
        var sockets: [DescriptorKey: Int32] = [:]
        for (place, socket) in inheritance.sockets.enumerated() {
            let key = DescriptorKey(.datagramSocket, loop: UInt8(index), number: UInt64(place))
            sockets[key] = socket.descriptor
        }
        let keeper = try LoopKeeper(
            access, loop: UInt8(index), inheritance.loop, others: sockets, opening: .dialled, on: loop)
        self.keeper = keeper
        let resumption = state.policy.resumption
        let lost = keeper.recover(.server, linger: { _ in resumption.linger }, limit: Int(resumption.buffer.bytes)) {
            switch $0 {
            case .recovered(let recovered): adopt(recovered)
            case .lost(let tunnel, let reason):
                log.warning(
                    "a tunnel of the process before cannot go on and was reset",
                    metadata: [
                        "destination": "\(tunnel.entry.destination)", "reason": "\(reason)",
                        "generation": "\(tunnel.record.generation)",
                    ])
            }
        }
        guard let lost else { return }
        log.notice(
            "going on with the tunnels of the process before",
            metadata: ["tunnels": "\(held.count)", "lost": "\(lost)", "worker": "\(index)"])
    }

    private func adopt(_ recovered: TunnelProtection.Recovered) {
        let id = recovered.tunnel.id
        guard let note = GatewayNote(owner: recovered.owner, isClosed: recovered.side == nil) else {
            recovered.side?.abort()
            protection?.ended(id)
            return
        }
        state.directory[id] = TunnelDirectory.Entry(worker: index, user: note.user)
        if note.counting == .counted { state.adoptTunnel(of: note.user) }
        held.hold(recovered.tunnel, recovered.side, for: recovered.tunnel.linger, note)
    }

    /// Lets everything go for the process that takes over: nothing is read or written any more, and what clients send from now
    /// on waits for that process.
    func letGo() {
        held.freeze()
        close(.restart)
        keeper?.handOver()
        fallSilent()
    }
}
