import Primitives

/// From the model to rate and window (draft-ietf-ccwg-bbr §5.6).
extension BBR {
    var pacingGain: Double {
        switch state {
        case .startup: Self.startupPacingGain
        case .drain: Self.drainPacingGain
        case .down: Self.downPacingGain
        case .cruise, .refill, .probeRTT: 1
        case .up: Self.upPacingGain
        }
    }

    var windowGain: Double {
        switch state {
        case .startup, .drain, .down, .cruise, .refill: Self.windowGain
        case .up: Self.upWindowGain
        case .probeRTT: Self.probeRTTWindowGain
        }
    }

    /// Until the path was full once, a lower sample may only mean that there was little to send.
    mutating func setPacingRate(gain: Double) {
        let rate = gain * bandwidth * (1 - Self.pacingMargin)
        if wasEverFull || rate > pacingRate { pacingRate = rate }
    }

    /// Bytes that should be in flight at so many bandwidth-delay products.
    func targetInFlight(gain: Double, bandwidth: Double? = nil) -> Int {
        guard let minimumRTT else { return window }
        return quantized(gain * (bandwidth ?? self.bandwidth) * minimumRTT.seconds)
    }

    /// What a burst of the pacer, and acknowledgements of every second packet, need at least.
    private func quantized(_ volume: Double) -> Int {
        let burst = min(max(pacingRate * RTTEstimator.granularity.seconds, 2 * Double(datagramSize)), 65_536)
        let volume = max(Int(saturating: max(volume, burst)), minimumWindow)
        return state == .up ? volume.addingSaturating(2 * datagramSize) : volume
    }

    var probeRTTWindow: Int {
        max(Int(saturating: Self.probeRTTWindowGain * (bandwidthDelayProduct ?? 0)), minimumWindow)
    }

    mutating func setWindow(_ sample: RateSampler.Sample, initialWindow: Int) {
        let most =
            minimumRTT.map { quantized(windowGain * bandwidth * $0.seconds + Double(aggregation.extra)) }
            ?? initialWindow
        if wasEverFull {
            window = min(window.addingSaturating(sample.acknowledged), most)
        } else if window < most || delivered < UInt64(initialWindow) {
            window = window.addingSaturating(sample.acknowledged)
        }
        window = max(window, minimumWindow)
        if isInProbeRTT { window = min(window, probeRTTWindow) }
        window = min(window, max(modelCap, minimumWindow), CongestionController.maximumWindow)
    }

    private var modelCap: Int {
        let longTerm: Int =
            switch state {
            case .startup, .drain: .max
            case .down, .refill, .up: Int(saturating: inflightLongTerm)
            case .cruise, .probeRTT: inflightWithHeadroom
            }
        return min(longTerm, Int(saturating: inflightShortTerm))
    }

    /// The window, or the one before it was narrowed to see the path's round-trip time.
    var carriedWindow: Int { isInProbeRTT ? max(window, priorWindow) : window }

    mutating func saveWindow() {
        priorWindow = isInProbeRTT || isLossInRound ? max(priorWindow, window) : window
    }
}
