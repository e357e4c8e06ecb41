import Configuration
import Driver
import EventLoop
import Keeper
import Logging
import Primitives
import QUIC
import Tunnel

/// What one worker of a gateway starts with: its sockets, and what it needs to protect its tunnels.
struct WorkerInheritance: Sendable {
    /// The sockets of the worker, one for each address that is listened on.
    var sockets: [BoundDatagramSocket] = []
    /// The memory in which a worker before this one kept its tunnels.
    var vault: Int32?
    /// The TCP sockets of those tunnels.
    var tunnels: [DescriptorKey: Int32] = [:]
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

    /// What the loop with this number had.
    mutating func takeLoop(_ index: Int) -> (vault: Int32?, tunnels: [DescriptorKey: Int32]) {
        let own = keys.filter { Int($0.loop) == index }
        var tunnels: [DescriptorKey: Int32] = [:]
        for key in own where key.kind == .tunnel { tunnels[key] = take(key) }
        let vault = own.first { $0.kind == .vault }.flatMap { take($0) }
        return (vault, tunnels)
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
        let descriptors = inheritance.tunnels
        var inherited = Set(descriptors.keys)
        let found = try inheritance.vault.flatMap { (vault) throws(SystemError) in
            try TunnelVault.reopen(vault, loop: UInt8(index))
        }
        let vault: TunnelVault
        if let found { vault = found.vault } else { vault = try TunnelVault(loop: UInt8(index)) }
        for place in inheritance.sockets.indices {
            inherited.insert(DescriptorKey(.datagramSocket, loop: UInt8(index), number: UInt64(place)))
        }
        if found != nil { inherited.insert(vault.key) }
        let client = try KeeperClient(access, on: loop, inherited: inherited)
        keeper = client
        let protection = TunnelProtection(vault, client)
        self.protection = protection
        for (place, socket) in inheritance.sockets.enumerated() {
            client.protect(
                socket.descriptor, as: DescriptorKey(.datagramSocket, loop: UInt8(index), number: UInt64(place)))
        }
        client.protect(vault.descriptor, as: vault.key)
        recover(found, descriptors, protection, client)
        client.flush(atMost: Self.keeperPatience)
    }

    private func recover(
        _ found: TunnelVault.Found?, _ descriptors: [DescriptorKey: Int32], _ protection: TunnelProtection,
        _ client: KeeperClient
    ) {
        var left = descriptors
        var lost = found?.damaged ?? 0
        let resumption = state.policy.resumption
        for tunnel in found?.tunnels ?? [] {
            let descriptor = tunnel.key.flatMap { left.removeValue(forKey: $0) }
            do throws(RecoveredTunnel.Loss) {
                adopt(
                    try protection.recover(
                        tunnel, descriptor, role: .server, linger: resumption.linger,
                        limit: Int(resumption.buffer.bytes), on: loop))
            } catch {
                lost += 1
                log.warning(
                    "a tunnel of the process before cannot go on and was reset",
                    metadata: [
                        "destination": "\(tunnel.entry.destination)", "reason": "\(error)",
                        "generation": "\(tunnel.record.generation)",
                    ])
            }
        }
        // Their records are damaged or ended: nobody can say what has become of their bytes.
        for (key, descriptor) in left {
            client.release(key)
            ByteStream(adoptingTCP: descriptor, hasFinishedWriting: false, on: loop).abort()
        }
        guard found != nil else { return }
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
        keeper?.flush(atMost: Self.keeperPatience)
        fallSilent()
    }
}
