public import HTTP3

// Error codes of tunnel resumption. Numbers of our own, drawn at random from those that anyone may use (RFC 9114 §11.2.3).
extension HTTP3ErrorCode {
    /// TUNNEL_RESUMPTION_RESTART closes a connection: the gateway process ends and another one takes its tunnels over, so clients resume at once.
    public static let tunnelResumptionRestart = HTTP3ErrorCode(rawValue: 0x1b2d_a45b)
    /// TUNNEL_DETACHED ends a stream: the tunnel that it carried goes on elsewhere. It is no TCP reset.
    public static let tunnelDetached = HTTP3ErrorCode(rawValue: 0x21fa_a826)
}
