internal import COpenSSL
internal import Cryptography

/// The certificate at which verification of the peer's chain ended, and OpenSSL's code for why.
struct RefusedCertificate {
    let code: Int32
    let certificate: Certificate?

    func error(alert: TLSAlert, expectedName: String, isPinned: Bool) -> TLSError {
        let subject = (certificate?.subject).map { $0.isEmpty ? "without a subject" : $0 } ?? "without a subject"
        let what = "the peer's certificate (\(subject))"
        guard !isPinned else {
            return TLSError(.pinMismatch, alert: alert, "\(what) has another public key than the pinned one")
        }
        switch code {
        case X509_V_ERR_CERT_HAS_EXPIRED:
            return TLSError(
                .certificateExpired, alert: alert,
                "\(what) expired on \(Self.date(certificate?.notAfter)); if it has not, this machine's clock is ahead")
        case X509_V_ERR_CERT_NOT_YET_VALID:
            return TLSError(
                .certificateNotYetValid, alert: alert,
                "\(what) is valid only from \(Self.date(certificate?.notBefore)) on; check this machine's clock")
        case X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH:
            return TLSError(.hostNameMismatch, alert: alert, "\(what) is not for \(expectedName.debugDescription)")
        case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN,
            X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
            X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, X509_V_ERR_CERT_UNTRUSTED:
            return TLSError(.unknownAuthority, alert: alert, "\(what) is not signed by an authority trusted here")
        default:
            return TLSError(.certificateInvalid, alert: alert, "\(what) does not verify: \(explanation)")
        }
    }

    private var explanation: String {
        // The text is a constant of the library.
        guard let text = unsafe X509_verify_cert_error_string(Int(code)) else { return "code \(code)" }
        return unsafe String(cString: text)
    }

    /// The UTC date of a Unix time, such as 2026-03-01.
    static func date(_ unixSeconds: Int64?) -> String {
        guard let unixSeconds else { return "an unknown date" }
        // The proleptic Gregorian calendar in eras of 400 years that begin on 1 March, so that leap days come last.
        let day = Int64(unixSeconds.magnitude / 86_400)
        let days = (unixSeconds < 0 ? -day - 1 : day) + 719_468
        let era = (days >= 0 ? days : days - 146_096) / 146_097
        let dayOfEra = days - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shifted = (5 * dayOfYear + 2) / 153
        let month = shifted < 10 ? shifted + 3 : shifted - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        let dayOfMonth = dayOfYear - (153 * shifted + 2) / 5 + 1
        func padded(_ number: Int64) -> String { number < 10 ? "0\(number)" : "\(number)" }
        return "\(year)-\(padded(month))-\(padded(dayOfMonth))"
    }
}
