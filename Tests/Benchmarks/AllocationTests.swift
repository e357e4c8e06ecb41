import CCosts
import Testing

/// A packet of a bulk transfer costs no allocation, at neither end: what it needs was there before.
@Suite("Allocations of a bulk transfer")
struct AllocationTests {
    // Of optimised code only: without optimisation Swift keeps on the heap what would otherwise not be there at all.
    #if !DEBUG
        @Test("none for a packet in the steady state")
        func steadyState() throws {
            let transfer = try BulkTransfer()
            // Windows and tables grow to what the transfer needs; the table of received packets, which has a range for each
            // number that the sender left out, grows longest.
            transfer.run(packets: 200_000)
            let (packets, received, before) = (transfer.packets, transfer.received, gw_allocation_count())
            transfer.run(packets: 50_000)
            let allocations = gw_allocation_count() - before
            #expect(transfer.packets - packets >= 50_000)
            #expect(transfer.received - received > 50_000 * 1200)
            #expect(allocations == 0)
        }
    #endif

    @Test("are counted")
    func counting() {
        let before = gw_allocation_count()
        var arrays: [[UInt8]] = []
        for count in 1...10 { arrays.append([UInt8](repeating: 1, count: count)) }
        #expect(arrays.count == 10)
        #expect(gw_allocation_count() >= before + 10)
    }
}
