import HTTP3
public import Primitives
import QUIC

// What each end tells the other about what it has handed to TCP.
extension TunnelRelay {
    /// Longest time from the first byte that was not reported to the report.
    static let reportDelay = Interval.milliseconds(50)
    /// Fewest bytes, and most, that make a report due before that. In between an eighth of the burst: a fast sender needs few.
    static let reportThresholds: ClosedRange<UInt64> = 16 << 10...256 << 10

    /// How many unreported bytes make a report due, `burst` bytes after a pause.
    static func reportThreshold(burst: UInt64) -> UInt64 {
        min(max(burst / 8, reportThresholds.lowerBound), reportThresholds.upperBound)
    }

    /// When `deadlineReached` is to be called at the latest; nil when nothing waits for time to pass.
    public var nextDeadline: Instant? {
        forgetStaleReports()
        return reportsDue.first?.at
    }

    /// Time has passed.
    public func deadlineReached(at now: Instant) {
        latest = now
        forgetStaleReports()
        while let first = reportsDue.first, first.at <= now {
            if let session = session(first.id), let attachment = session.attachment {
                report(session, attachment)
                attachment.burstStart = session.delivered
            }
            forgetStaleReports()
        }
    }

    private func forgetStaleReports() {
        while let first = reportsDue.first, session(first.id)?.attachment?.reportDue != first.at {
            reportsDue.removeFirst()
        }
    }

    /// Payload was handed to TCP: reports it, now or later.
    func payloadDelivered(_ session: TunnelSession) {
        guard let attachment = session.attachment else { return }
        let unreported = session.deliveredPosition - attachment.reported
        guard unreported > 0 else { return }
        let burst = session.delivered - min(attachment.burstStart, session.delivered)
        guard session.incoming != .ended, unreported < Self.reportThreshold(burst: burst) else {
            report(session, attachment)
            return
        }
        scheduleReport(session, attachment)
    }

    /// A report is due a while from now, unless one is due already.
    func scheduleReport(_ session: TunnelSession, _ attachment: TunnelAttachment) {
        guard attachment.reportDue == nil else { return }
        let due = latest + Self.reportDelay
        attachment.reportDue = due
        // The time between is always the same, so the queue is in order.
        reportsDue.append((due, session.id))
    }

    private func report(_ session: TunnelSession, _ attachment: TunnelAttachment) {
        attachment.reportDue = nil
        guard let stream = session.stream else { return }
        attachment.reported = session.deliveredPosition
        var capsule: [UInt8] = []
        TunnelDelivered.append(attachment.reported, to: &capsule)
        http.sendContent(capsule, on: stream)
    }

    /// The peer has reported a position.
    func deliveredReported(_ session: TunnelSession, _ position: UInt64) throws(CapsuleError) {
        guard let attachment = session.attachment, let stream = session.stream else { return }
        guard position >= attachment.peerDelivered else { throw CapsuleError(reason: "a reported position goes back") }
        guard position <= session.sentPosition else {
            throw CapsuleError(reason: "a reported position is beyond what was sent")
        }
        attachment.confirmation = .given
        attachment.peerDelivered = position
        release(session, stream)
    }
}
