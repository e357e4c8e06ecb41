internal import CSockets
internal import EventLoop

/// Sparse memory in a descriptor that another process can map again: words and bytes at places.
///
/// What stands there is whatever a process left that was killed between two instructions, or worse. Places outside of it
/// are programming errors and trap: what is read from it is checked before it becomes a place.
///
/// Unchecked: the mapping stays as it is, and the vault says which thread has which place.
@safe
final class VaultMemory: @unchecked Sendable {
    let descriptor: Int32
    /// Bytes from the beginning that were there when it was mapped; what lies behind them reads as zeros and is lost.
    let validBytes: Int
    private let base: UnsafeMutableRawPointer
    private let size: Int

    /// New memory of `size` bytes, all zeros.
    init(size: Int) throws(SystemError) {
        // The name is copied, for /proc only.
        descriptor = try check(unsafe gw_memory_open("godwit-vault", UInt64(size)), .shareMemory)
        self.size = size
        validBytes = size
        do throws(SystemError) { unsafe base = try Self.map(descriptor, size) } catch {
            gw_close(descriptor)
            throw error
        }
    }

    /// Memory that another process made, whose descriptor now belongs to this object.
    init(adopting descriptor: Int32, size: Int) throws(SystemError) {
        self.descriptor = descriptor
        self.size = size
        let length = gw_memory_extend(descriptor, UInt64(size))
        do throws(SystemError) {
            validBytes = Int(try check(length, .shareMemory, .descriptor(descriptor)))
            unsafe base = try Self.map(descriptor, size)
        } catch {
            gw_close(descriptor)
            throw error
        }
    }

    private static func map(_ descriptor: Int32, _ size: Int) throws(SystemError) -> UnsafeMutableRawPointer {
        var code: Int32 = 0
        guard let base = unsafe gw_memory_map(descriptor, UInt64(size), &code) else {
            throw SystemError(.shareMemory, .descriptor(descriptor), code: code)
        }
        return unsafe base
    }

    deinit {
        unsafe gw_memory_unmap(base, UInt64(size))
        gw_close(descriptor)
    }

    // MARK: Words

    func word(at place: Int) -> UInt64 {
        precondition(place >= 0 && place <= size - 8 && place % 8 == 0, "outside the vault")
        // Unsafe: the place was checked just above.
        return unsafe base.load(fromByteOffset: place, as: UInt64.self)
    }

    func store(_ word: UInt64, at place: Int) {
        precondition(place >= 0 && place <= size - 8 && place % 8 == 0, "outside the vault")
        // Unsafe: the place was checked just above.
        unsafe base.storeBytes(of: word, toByteOffset: place, as: UInt64.self)
    }

    /// Stores a word after all stores before it and before all that follow, for whoever reads the memory after a kill.
    func publish(_ word: UInt64, at place: Int) {
        precondition(place >= 0 && place <= size - 8 && place % 8 == 0, "outside the vault")
        // Unsafe: the place was checked just above.
        unsafe gw_publish(base + place, word)
    }

    // MARK: Bytes

    func bytes(at place: Int, count: Int) -> [UInt8] {
        precondition(place >= 0 && count >= 0 && place <= size - count, "outside the vault")
        // Unsafe: the range was checked just above.
        return unsafe Array(UnsafeRawBufferPointer(start: base + place, count: count))
    }

    func store(_ bytes: [UInt8], at place: Int) {
        precondition(place >= 0 && place <= size - bytes.count, "outside the vault")
        for (index, byte) in bytes.enumerated() {
            // Unsafe: the range was checked just above.
            unsafe base.storeBytes(of: byte, toByteOffset: place + index, as: UInt8.self)
        }
    }

    /// The address of a place, for a ring.
    @unsafe
    func address(of place: Int) -> UnsafeMutableRawPointer {
        precondition(place >= 0 && place < size, "outside the vault")
        return unsafe base + place
    }

    /// The place of an address; nil when it is elsewhere.
    func place(of address: UnsafeMutableRawPointer?) -> Int? {
        // Unsafe: addresses are compared, nothing is read.
        guard let address = unsafe address else { return nil }
        let distance = unsafe address - base
        return distance >= 0 && distance < size ? distance : nil
    }

    /// Gives the pages of a range back.
    func punch(_ range: Range<Int>) {
        guard !range.isEmpty else { return }
        // Fails where the system has no such call: the pages then stay until they are used again.
        gw_memory_punch(descriptor, UInt64(range.lowerBound), UInt64(range.count))
    }
}

/// Turns the convention of CSockets, a result or a negated errno, into a value or a typed error.
func check<Result: SignedInteger>(
    _ result: Result, _ operation: SystemError.Operation, _ subject: SystemError.Subject = .none
) throws(SystemError) -> Result {
    guard result >= 0 else { throw SystemError(operation, subject, code: Int32(-result)) }
    return result
}
