import Testing

/// What goes wrong when networks change, as others have met it, and the tests that would notice it here.
@Suite("Failures of handover seen in the field")
struct FieldFailureTests {
    /// One of them: what happened and to whom, and the file and name of a test's function.
    struct Failure: Sendable, CustomTestStringConvertible {
        var what: String
        var file: String
        var test: String

        init(_ what: String, _ file: String, _ test: String) {
            self.what = what
            self.file = file
            self.test = test
        }

        var testDescription: String { what }
    }

    static let all: [Failure] = [
        Failure("no spare connection ID for the second move (netty-quic#698)", migration, "canDoSoManyTimes"),
        Failure("bytes in flight on the wrong path (quinn#2309)", migration, "leavesNoBytesInFlightBehind"),
        Failure(
            "the loss timer not armed again (quiche#1496, s2n-quic#1972)", switches,
            "aSenderThatHearsItsPeerAfterAnOutageSendsAgainAtOnce"),
        Failure("PATH_RESPONSE on the wrong path (picoquic#446)", pathProbes, "otherPath"),
        Failure("a challenge overwritten (quic-go#4990)", pathProbes, "flood"),
        Failure("endless challenges", paths, "isGivenUpInTime"),
        Failure("a time-out of validation that is too short (trafficserver#5111)", validator, "timeout"),
        Failure("a lost PATH_RESPONSE (quic-go#5063)", paths, "isTriedAgainWhenAChallengeOrItsAnswerIsLost"),
        Failure("use of a path that was removed (msquic#6217)", localAddresses, "removal"),
        Failure("amplification limit after a move", rules, "validatedStandby"),
        Failure("small probes, MTU unproven (ngtcp2#1625)", pathProbes, "fullSizeLater"),
        Failure("the old path's MTU kept", paths, "carriesSmallerDatagramsThanTheOneBefore"),
        Failure("a new path that drops marked packets", paths, "spoilsECN"),
        Failure(
            "congestion state kept or reset wrongly (mvfst)", rebinding, "keepsTheCongestionWindowOnlyWithTheAddress"),
        Failure("no way back to the first path (ngtcp2#2259)", migration, "mayComeBackToAnAddressThatWasGone"),
        Failure("rebinding and a new connection ID at once (picoquic)", rebinding, "mayCoincideWithANewConnectionID"),
        Failure("a new address of our own taken for a move", rules, "localChange"),
        Failure("disable_active_migration against NATs (s2n-quic#2516)", rules, "rebindingAllowed"),
        Failure("from IPv4 to IPv6 (mosh#855)", switches, "goesOnOverIPv6AtThePreferredAddress"),
        Failure("mappings that end whatever is sent (iroh#4424)", rebinding, "mayDoSoOnATimetable"),
        Failure(
            "a server that forgot, and is silent (hysteria#1365)", lifetime, "aRestartedServerResetsTheConnectionAtOnce"
        ),
        Failure("a socket bound to an address that is gone (hysteria#830)", roaming, "vanishedAddress"),
        Failure("never back to Wi-Fi; dead for seconds on the way", roaming, "returnsToWiFi"),
        Failure("half a minute to reconnect after a suspension", lifetime, "aSuspendedClientGoesOnWhenItWakes"),
        Failure("a keep-alive each second (tsshd#13)", roaming, "patientNAT"),
        Failure("one stalled tunnel blocks the others", "TunnelTests/RelayTests", "backPressure"),
        Failure("another worker after a move", "EventLoopTests/PortGroupTests", "steering"),
    ]

    private static let migration = "SimulatorTests/MigrationScenarios"
    private static let switches = "SimulatorTests/SwitchScenarios"
    private static let paths = "SimulatorTests/PathScenarios"
    private static let rebinding = "SimulatorTests/RebindingScenarios"
    private static let lifetime = "SimulatorTests/LifetimeScenarios"
    private static let roaming = "SimulatorTests/RoamingScenarios"
    private static let rules = "QUICTests/Connection/MigrationRuleTests"
    private static let localAddresses = "QUICTests/Connection/LocalAddressTests"
    private static let pathProbes = "QUICTests/Connection/PathProbeTests"
    private static let validator = "QUICTests/Paths/PathValidatorTests"

    @Test(arguments: all)
    func hasATest(failure: Failure) {
        let file = SourceTree.package.files.first { $0.path == "Tests/\(failure.file).swift" }
        let isThere = file?.text.codeLines.contains { $0.contains("func \(failure.test)(") } ?? false
        #expect(isThere, "\(failure.what): no \(failure.test) in Tests/\(failure.file).swift")
    }
}
