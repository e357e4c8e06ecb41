public import EventLoop
public import Keeper
public import Primitives
public import QUIC
import Tunnel

/// What one loop of a process inherits from the process before it.
public struct LoopInheritance: Sendable {
    /// The memory in which that one kept its tunnels.
    public var vault: Int32?
    /// The TCP sockets of those tunnels.
    public var tunnels: [DescriptorKey: Int32] = [:]

    /// Nothing.
    public init() {}
}

extension Inheritance {
    /// The vault and the tunnels of the loop with this number.
    public mutating func takeLoop(_ number: Int) -> LoopInheritance {
        let own = keys.filter { Int($0.loop) == number }
        var inheritance = LoopInheritance()
        for key in own where key.kind == .tunnel { inheritance.tunnels[key] = take(key) }
        inheritance.vault = own.first { $0.kind == .vault }.flatMap { take($0) }
        return inheritance
    }
}

/// One loop's share of what a keeper holds: protects its tunnels, and puts those together that a process before it has left.
public final class LoopKeeper {
    /// What the keeper is told.
    public let client: KeeperClient
    /// The loop's tunnels.
    public let protection: TunnelProtection
    private let loop: EventLoop
    /// What was found in the vault; nil where there was none.
    private var found: TunnelVault.Found?
    /// Sockets of tunnels that nobody has claimed yet.
    private var unclaimed: [DescriptorKey: Int32]

    /// How long the keeper may take for what it is told, in milliseconds.
    public static let patience: Int32 = 1000

    /// A keeper's client with a vault: the inherited one, where that can be read.
    ///
    /// - Parameters:
    ///   - number: The number of the loop among those of the process.
    ///   - others: What is protected beside tunnels, inherited or new.
    ///   - opening: How the process comes by the TCP connections of its tunnels.
    public init(
        _ access: KeeperLink.Access, loop number: UInt8, _ inheritance: LoopInheritance,
        others: [DescriptorKey: Int32] = [:], opening: TCPProgress.Opening, on loop: EventLoop
    ) throws(SystemError) {
        self.loop = loop
        found = try inheritance.vault.flatMap { (vault) throws(SystemError) in
            try TunnelVault.reopen(vault, loop: number)
        }
        let vault: TunnelVault
        if let found { vault = found.vault } else { vault = try TunnelVault(loop: number) }
        unclaimed = inheritance.tunnels
        var inherited = Set(inheritance.tunnels.keys).union(others.keys)
        if found != nil { inherited.insert(vault.key) }
        client = try KeeperClient(access, on: loop, inherited: inherited)
        protection = TunnelProtection(vault, client, opening, on: loop)
        for (key, descriptor) in others.sorted(by: { $0.key.description < $1.key.description }) {
            client.protect(descriptor, as: key)
        }
        client.protect(vault.descriptor, as: vault.key)
    }

    /// Has the keeper hold all that another process is to go on with now, once nothing is read or written any more.
    public func handOver() {
        protection.protectAll()
        client.flush(atMost: Self.patience)
    }

    /// What came of a tunnel of the process before.
    public enum Outcome {
        /// It is to be held until its peer is there.
        case recovered(TunnelProtection.Recovered)
        /// It was reset.
        case lost(RecoveredTunnel, RecoveredTunnel.Loss)
    }

    /// Goes on with every tunnel of the process before, once.
    ///
    /// - Parameters:
    ///   - linger: How long its gateway keeps a tunnel.
    ///   - limit: How many bytes a ring may hold.
    /// - Returns: How many tunnels were lost; nil when there was no process before.
    public func recover(
        _ role: Role, linger: (TunnelEntry) -> Interval, limit: Int, _ take: (Outcome) -> Void
    ) -> Int? {
        defer { client.flush(atMost: Self.patience) }
        guard let found else { return nil }
        self.found = nil
        var lost = found.damaged
        for tunnel in found.tunnels {
            let descriptor = tunnel.key.flatMap { unclaimed.removeValue(forKey: $0) }
            do throws(RecoveredTunnel.Loss) {
                let linger = linger(tunnel.entry)
                take(
                    .recovered(
                        try protection.recover(
                            tunnel, descriptor, role: role, linger: linger, limit: limit, on: loop)))
            } catch {
                lost += 1
                take(.lost(tunnel, error))
            }
        }
        // Their records are damaged or ended: nobody can say what has become of their bytes.
        for (key, descriptor) in unclaimed {
            client.release(key)
            ByteStream(adoptingTCP: descriptor, hasFinishedWriting: false, on: loop).abort()
        }
        unclaimed = [:]
        return lost
    }
}

@available(*, unavailable)
extension LoopKeeper: Sendable {}
