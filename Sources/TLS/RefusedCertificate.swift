internal import COpenSSL
internal import Cryptography
internal import Primitives

/// The certificate at which verification of the peer's chain ended, and OpenSSL's code for why.
struct RefusedCertificate {
    let code: Int32
    let certificate: Certificate?
    /// The Unix time by which it was judged.
    let time: Int64

    func error(alert: TLSAlert, expectedName: String, isPinned: Bool) -> TLSError {
        let subject = (certificate?.subject).map { $0.isEmpty ? "without a subject" : $0 } ?? "without a subject"
        let what = "the peer's certificate (\(subject))"
        guard !isPinned else {
            return TLSError(
                .pinMismatch, alert: alert,
                "\(what) has another public key than the pinned one; if the key was replaced, ask for an invite with the new pin"
            )
        }
        switch code {
        case X509_V_ERR_CERT_HAS_EXPIRED:
            return TLSError(
                .certificateExpired, alert: alert,
                "\(what) expired at \(Self.time(certificate?.notAfter)), and this machine's clock says "
                    + "\(Self.time(time)); renew it, or set the clock if it is ahead")
        case X509_V_ERR_CERT_NOT_YET_VALID:
            return TLSError(
                .certificateNotYetValid, alert: alert,
                "\(what) is valid only from \(Self.time(certificate?.notBefore)) on, and this machine's clock says "
                    + "\(Self.time(time)); set the clock if it is behind")
        case X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH:
            return TLSError(
                .hostNameMismatch, alert: alert,
                "\(what) is not for \(expectedName.debugDescription); use a name that it is for, or an invite with the pin of its key"
            )
        case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN,
            X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
            X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, X509_V_ERR_CERT_UNTRUSTED:
            return TLSError(
                .unknownAuthority, alert: alert,
                "\(what) is not signed by an authority trusted here; an invite with the pin of its key needs none")
        default:
            return TLSError(.certificateInvalid, alert: alert, "\(what) does not verify: \(explanation)")
        }
    }

    private var explanation: String {
        // The text is a constant of the library.
        guard let text = unsafe X509_verify_cert_error_string(Int(code)) else { return "code \(code)" }
        return unsafe String(cString: text)
    }

    private static func time(_ unixTime: Int64?) -> String {
        unixTime.map { "\(CivilTime(unixTime: $0))Z" } ?? "an unknown time"
    }
}
