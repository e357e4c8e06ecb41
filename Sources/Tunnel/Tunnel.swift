/// Tunnels.
