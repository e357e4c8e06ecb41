import Configuration
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

    private static func tidy(_ usage: inout [String: Usage], _ user: String) {
        if let left = usage[user], left.connections <= 0, left.tunnels <= 0 { usage[user] = nil }
    }
}
