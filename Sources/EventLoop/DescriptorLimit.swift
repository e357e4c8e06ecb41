internal import CSockets

/// How many descriptors this process may have open. Each tunnel takes one, and the usual limit of 1,024 is for programs
/// that still use select(2).
public enum DescriptorLimit {
    /// Raises the limit to what the system allows the process.
    ///
    /// - Returns: the limit from now on; nil where the system refuses, and what held before goes on to hold.
    @discardableResult
    public static func raise() -> Int? {
        let limit = gw_raise_descriptor_limit()
        return limit >= 0 ? Int(limit) : nil
    }
}
