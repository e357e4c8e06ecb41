internal import Primitives

/// When a worker that died is started again: at once, unless it keeps dying as soon as it is started.
struct RestartSchedule {
    /// A worker that served for so long was not killed by its beginning.
    static let healthyLife = Interval.milliseconds(500)
    /// Quick deaths in a row that bring no pause yet: what kills one worker may kill its successor by chance.
    static let freeDeaths = 2
    /// The first pause; each further one is twice as long.
    static let firstPause = Interval.milliseconds(50)
    /// The longest pause.
    static let longestPause = Interval.seconds(5)
    /// After so many quick deaths in a row it is called a loop.
    static let loopLength = 3

    /// Workers in a row that did not live long.
    private(set) var quickDeaths = 0

    var isLoop: Bool { quickDeaths >= Self.loopLength }

    /// How long to wait after the death of a worker that served for so long.
    mutating func pause(afterServing life: Interval) -> Interval {
        guard life < Self.healthyLife else {
            quickDeaths = 0
            return .zero
        }
        quickDeaths += 1
        guard quickDeaths > Self.freeDeaths else { return .zero }
        let doublings = min(quickDeaths - Self.freeDeaths - 1, 20)
        return min(Interval(nanoseconds: Self.firstPause.nanoseconds << Int64(doublings)), Self.longestPause)
    }
}
