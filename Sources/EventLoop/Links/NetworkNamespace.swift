internal import CSockets

/// A network beside that of the process, with interfaces and addresses of its own, as `ip netns add` makes it.
public enum NetworkNamespace {
    /// Sockets that the calling thread makes from now on are in the namespace of this name. Needs root.
    public static func enter(_ name: String) throws(SystemError) {
        let path = "/run/netns/\(name)"
        _ = try check(unsafe gw_enter_network(path), .enterNetwork, .path(path))  // copies the path
    }
}
