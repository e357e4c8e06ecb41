public import EventLoop
public import Primitives
public import QUIC

/// A connection together with its timer and what runs over it.
public final class DrivenConnection: TimerHandler {
    /// Names the connection to its endpoint.
    public let handle: ConnectionHandle
    /// The connection itself. After a call that may give it something to send, call `needsService`.
    public let connection: Connection
    var application: (any ConnectionApplication)?
    private var timer: TimerHandle?
    var isDue = false
    /// Let go of when the connection ends, which breaks the cycle.
    private var driver: EndpointDriver?

    init(_ handle: ConnectionHandle, _ connection: Connection, driver: EndpointDriver) {
        self.handle = handle
        self.connection = connection
        self.driver = driver
        timer = driver.loop.addTimer(self)
    }

    /// The connection has, or may have, something to send or to tell: it is served at the end of the turn.
    public func needsService() { driver?.serve(self) }

    /// For the loop.
    public func timerFired(_ timer: TimerHandle, at now: Instant) {
        connection.deadlineReached(at: now)
        needsService()
    }

    func armTimer() {
        guard let timer else { return }
        driver?.loop.arm(timer, at: connection.nextDeadline())
    }

    /// Lets go of the timer and of what runs over the connection.
    func end() {
        if let timer { driver?.loop.removeTimer(timer) }
        driver = nil
        timer = nil
        application = nil
    }
}
