extension Int {
    /// The integer part, or the nearest integer that can be expressed; not-a-number becomes zero.
    init(saturating value: Double) {
        if value >= 9.2e18 {
            self = .max
        } else if value <= -9.2e18 {
            self = .min
        } else if value == value {
            self = Int(value)
        } else {
            self = 0
        }
    }
}
