import Configuration
import Primitives
import Synchronization
import Telemetry
import Tunnel

/// What all workers of a gateway share: who may use it, what they may reach, and how much of it each has taken.
final class GatewayState: Sendable {
    /// What can change while the gateway runs.
    struct Policy: Sendable {
        var users: UsersFile
        var rules: AccessRules
        var limits: GatewayConfiguration.Limits
        var resumption: GatewayConfiguration.Resumption
        var origins: [GatewayConfiguration.Origin]

        init(_ material: GatewayMaterial, _ configuration: GatewayConfiguration) {
            users = material.users
            rules = material.rules
            limits = configuration.limits
            resumption = configuration.resumption
            origins = configuration.origins
        }
    }

    private struct Usage {
        var connections = 0
        var tunnels = 0
        /// Bytes of buffers beyond the first ones of each tunnel.
        var memory = 0
        /// When connections that are dead were last asked to make room.
        var askedForRoom: Instant?
    }

    private let policyBox: Mutex<Policy>
    private let usage = Mutex<[String: Usage]>([:])
    /// Which worker has a tunnel that can be resumed, and whose it is.
    let directory = TunnelDirectory()
    /// The replicas of names that have some.
    let origins = OriginGroups()

    init(_ policy: Policy) { policyBox = Mutex(policy) }

    var policy: Policy { policyBox.withLock { $0 } }

    func replace(_ policy: Policy) { policyBox.withLock { $0 = policy } }

    /// Counts one more connection of a user; false when the user has as many as allowed.
    func takeConnection(of user: String) -> Bool {
        let limit = policy.limits.connectionsPerUser
        return usage.withLock { usage in
            guard usage[user, default: Usage()].connections < limit else { return false }
            usage[user, default: Usage()].connections += 1
            return true
        }
    }

    func returnConnection(of user: String) {
        usage.withLock { usage in
            usage[user, default: Usage()].connections -= 1
            Self.tidy(&usage, user)
        }
    }

    /// Whether the user's connections are to be asked now whether their clients are there: once in `pause`, however often one more
    /// is wanted.
    func mayAskForRoom(of user: String, every pause: Interval, at now: Instant) -> Bool {
        usage.withLock { usage in
            if let last = usage[user]?.askedForRoom, now - last < pause { return false }
            usage[user]?.askedForRoom = now
            return true
        }
    }

    /// Counts one more tunnel of a user; false when the user has as many as allowed.
    func takeTunnel(of user: String) -> Bool {
        let limit = policy.limits.tunnelsPerUser
        return usage.withLock { usage in
            guard usage[user, default: Usage()].tunnels < limit else { return false }
            usage[user, default: Usage()].tunnels += 1
            return true
        }
    }

    /// Counts a tunnel that the process before this one had opened.
    func adoptTunnel(of user: String) { usage.withLock { $0[user, default: Usage()].tunnels += 1 } }

    func returnTunnel(of user: String) {
        usage.withLock { usage in
            usage[user, default: Usage()].tunnels -= 1
            Self.tidy(&usage, user)
        }
    }

    /// Takes memory for buffers of a user's tunnels; false when the user, or all together, have as much as allowed.
    func takeMemory(_ bytes: Int, of user: String) -> Bool {
        let limits = policy.limits
        return usage.withLock { usage in
            let all = usage.values.reduce(0) { $0 + $1.memory }
            guard bytes <= limits.ringMemory - all,
                bytes <= limits.ringMemoryPerUser - usage[user, default: Usage()].memory
            else { return false }
            usage[user, default: Usage()].memory += bytes
            return true
        }
    }

    func returnMemory(_ bytes: Int, of user: String) {
        guard bytes > 0 else { return }
        usage.withLock { usage in
            usage[user, default: Usage()].memory -= bytes
            Self.tidy(&usage, user)
        }
    }

    private static func tidy(_ usage: inout [String: Usage], _ user: String) {
        if let left = usage[user], left.connections <= 0, left.tunnels <= 0, left.memory <= 0 { usage[user] = nil }
    }
}

/// One user's part of the gateway's memory for buffers.
final class UserRingBudget: RingBudget {
    private let state: GatewayState
    private let user: String

    init(_ state: GatewayState, of user: String) {
        self.state = state
        self.user = user
    }

    func take(_ bytes: Int) -> Bool { state.takeMemory(bytes, of: user) }
    func giveBack(_ bytes: Int) { state.returnMemory(bytes, of: user) }
}

extension GatewayConfiguration.Limits {
    private var userMemory: Int { Int((memoryPerUser ?? ByteCount(memory.bytes / 2)).bytes) }

    /// Bytes that the buffers of tunnels may grow to while connections carry them, and those of one user.
    var ringMemory: Int { Int(memory.bytes) / 2 }
    var ringMemoryPerUser: Int { userMemory / 2 }
    /// Bytes in the buffers of tunnels without a connection, and of one user.
    var holdMemory: Int { Int(memory.bytes) / 2 }
    var holdMemoryPerUser: Int { userMemory / 2 }
}
