public import Primitives

/// A tunnel that was found in the vault of a process that is no more.
///
/// Exactly one of `restore` and `abandon` is called.
public struct RecoveredTunnel {
    /// Its record, which goes on in this process.
    public let record: VaultTunnel

    init(_ record: VaultTunnel) { self.record = record }

    /// What was noted at its opening.
    public var entry: TunnelEntry { record.entry }
    /// The name of its TCP descriptor among the inherited ones; a closed stream has none.
    public var key: DescriptorKey? { record.marks.contains(.closed) ? nil : record.key }

    /// The two directions of a tunnel as they stand.
    public struct Streams {
        /// Bytes read from TCP that the peer has not delivered; more is read into it.
        public var ring: ByteRing
        /// Bytes of the peer that were written to TCP.
        public var written: UInt64
        /// Whether the end has been written to TCP; without it, but with the mark `.endWritten`, it is still to be written.
        public var hasWrittenEnd: Bool
        /// Whether TCP is there still.
        public var stage: Stage
    }

    /// Whether TCP is there still.
    public enum Stage: Hashable, Sendable {
        /// It is. Its end can be read again.
        case open
        /// It has ended in order.
        case closed
        /// It broke after its end had been read.
        case broken
    }

    /// Why a tunnel cannot go on: it is to be reset at both ends.
    public enum Loss: Error, Hashable, Sendable {
        /// The process was killed before the keeper had the TCP descriptor.
        case descriptorMissing
        /// The descriptor that came is that of another connection.
        case descriptorMixedUp
        /// The TCP connection is broken.
        case connectionBroken
        /// The kernel's counters and the journal contradict each other.
        case contradiction
    }

    /// Puts the tunnel together from its record, its ring and what the kernel says of its TCP stream.
    ///
    /// - Parameter descriptor: The inherited descriptor of `key`; stays the caller's.
    /// - Parameter limit: How many bytes the ring may hold.
    public func restore(descriptor: Int32?, limit: Int) throws(Loss) -> Streams {
        do throws(Loss) {
            let marks = record.marks
            if marks.contains(.closed) { return try noted(.closed, limit) }
            if marks.contains(.broken) { return try noted(.broken, limit) }
            guard let descriptor else { throw .descriptorMissing }
            let (progress, stage) = try progress(of: descriptor)
            guard let ring = record.ring(limit: limit, upTo: progress.consumed) else { throw .contradiction }
            return Streams(
                ring: ring, written: progress.written, hasWrittenEnd: progress.hasFinished,
                stage: stage)
        } catch {
            abandon()
            throw error
        }
    }

    /// What was noted of a stream for which the kernel cannot be asked any more.
    private func noted(_ stage: Stage, _ limit: Int) throws(Loss) -> Streams {
        let noted = record.noted
        guard let ring = record.ring(limit: limit, upTo: noted.readEnd) else { throw .contradiction }
        return Streams(ring: ring, written: noted.written, hasWrittenEnd: stage == .closed, stage: stage)
    }

    private func progress(of descriptor: Int32) throws(Loss) -> (TCPProgress, Stage) {
        do throws(TCPProgress.Fault) {
            do throws(TCPProgress.Fault) {
                let progress = try TCPProgress(of: descriptor, since: entry.origin)
                // An end that was sent was noted before: a connection that says otherwise was broken, and the error taken.
                guard !progress.hasFinished || record.marks.contains(.endWritten) else { throw .broken }
                return (progress, .open)
            } catch {
                // A connection that broke after its end had been read has handed out everything.
                guard error == .broken, record.marks.contains(.endRead) else { throw error }
                var progress = try TCPProgress.atBreak(of: descriptor, since: entry.origin)
                guard record.marks.contains(.endWritten), progress.written > 0 else { return (progress, .broken) }
                progress.written -= 1
                progress.hasFinished = true
                return (progress, .closed)
            }
        } catch {
            switch error {
            case .otherSocket: throw .descriptorMixedUp
            case .broken, .notConnected: throw .connectionBroken
            case .unsettled, .impossible: throw .contradiction
            }
        }
    }

    /// Ends the tunnel in the vault.
    public func abandon() {
        record.end()
        record.forgetRing()
    }
}
