import EventLoop
import Glibc
import Testing

@Suite("The limit of descriptors")
struct DescriptorLimitTests {
    @Test("is raised to what the system allows, also when it is there already")
    func raise() throws {
        let raised = try #require(DescriptorLimit.raise())
        #expect(sysconf(Int32(_SC_OPEN_MAX)) == raised)
        #expect(DescriptorLimit.raise() == raised)
    }
}
