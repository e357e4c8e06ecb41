public import Primitives

extension GatewayGroup {
    /// What a gateway is like at present, for the status.
    public struct Statistics: Hashable, Sendable {
        /// Where it stands.
        public enum Condition: String, Hashable, Sendable {
            /// New tunnels go there.
            case active
            /// It is connected, and others are preferred.
            case connected
            /// There is no connection to it.
            case standby
            /// New tunnels go there, and the first one wakes the connection.
            case asleep
            /// A connection is sought.
            case connecting
            /// It does not answer; its tunnels wait.
            case silent
            /// It takes no further tunnels.
            case draining
            /// It was given up.
            case dead
        }

        /// Where it is.
        public var name: HostPort
        /// Where it stands.
        public var condition: Condition
        /// Why it is not used, or was not the last time.
        public var trouble: GatewayTrouble?
        /// Why it stands behind the others though it answers; nil in good health.
        public var ailment: GatewayAilment?
        /// Since when it stands there.
        public var since: Instant
        /// The shortest of its last handshakes; nil before the first.
        public var handshake: Interval?
        /// The share of the last attempts to connect that failed, in percent.
        public var errorPercentage: Int
    }

    /// Every gateway, in order of preference.
    public var statistics: [Statistics] {
        members.indices.map { index in
            let member = members[index]
            let condition: Statistics.Condition =
                switch member.state {
                case .idle: .standby
                case .seeking: .connecting
                case .connected: index == active ? .active : .connected
                case .asleep: .asleep
                case .silent, .away: .silent
                case .draining: .draining
                case .dead: .dead
                }
            return Statistics(
                name: member.name, condition: condition, trouble: member.lastTrouble,
                ailment: member.health.ailment, since: member.since, handshake: member.health.handshake,
                errorPercentage: member.health.errorPercentage)
        }
    }
}
