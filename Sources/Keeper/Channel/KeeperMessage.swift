/// What the keeper and a worker say to each other. Descriptors travel beside the keys of a message, one for each.
///
/// ```
///   worker                         keeper
///     ready ───────────────────────►
///     ◄──────────────── inherit … ──
///     ◄───────────── inheritedAll ──
///     serving ─────────────────────►
///     protect, release … ──────────►
///     ◄──────────────────── letGo ──     another worker is ready to take over
///     released ────────────────────►     nothing is read or written here any more
/// ```
enum KeeperMessage: Equatable {
    /// Hold these descriptors.
    case protect([DescriptorKey])
    /// Close these.
    case release([DescriptorKey])
    /// The worker is prepared as far as it can be without what it inherits.
    case ready
    /// The worker does its work.
    case serving
    /// The worker has stopped to use what another one takes over.
    case released
    /// Descriptors for the worker.
    case inherit([DescriptorKey])
    /// They were all.
    case inheritedAll
    /// Stop using everything that was protected.
    case letGo

    /// Keys in one message at most: so many descriptors the system passes at once.
    static let mostKeys = 253
    /// Bytes of a message at most.
    static let mostBytes = 8 + 8 * mostKeys

    private var tag: UInt8 {
        switch self {
        case .protect: 1
        case .release: 2
        case .ready: 3
        case .serving: 4
        case .released: 5
        case .inherit: 6
        case .inheritedAll: 7
        case .letGo: 8
        }
    }

    /// The keys in it.
    var keys: [DescriptorKey] {
        switch self {
        case .protect(let keys), .release(let keys), .inherit(let keys): keys
        case .ready, .serving, .released, .inheritedAll, .letGo: []
        }
    }

    /// Whether descriptors come with it.
    var carriesDescriptors: Bool {
        switch self {
        case .protect, .inherit: true
        case .release, .ready, .serving, .released, .inheritedAll, .letGo: false
        }
    }

    /// The message as bytes: its tag in a word, then the words of the keys.
    var encoded: [UInt8] {
        ([UInt64(tag)] + keys.map(\.word)).flatMap { word in
            (0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64(8 * $0)) }
        }
    }

    /// The message of these bytes, with so many descriptors; nil for anything else.
    init?(_ bytes: some RandomAccessCollection<UInt8>, descriptors: Int) {
        guard bytes.count % 8 == 0, bytes.count <= Self.mostBytes else { return nil }
        var words: [UInt64] = []
        for (index, byte) in bytes.enumerated() {
            if index % 8 == 0 { words.append(0) }
            words[words.count - 1] |= UInt64(byte) << UInt64(8 * (index % 8))
        }
        let keys = words.dropFirst().compactMap { DescriptorKey(word: $0) }
        guard let tag = words.first, keys.count == words.count - 1 else { return nil }
        switch tag {
        case 1: self = .protect(keys)
        case 2: self = .release(keys)
        case 3: self = .ready
        case 4: self = .serving
        case 5: self = .released
        case 6: self = .inherit(keys)
        case 7: self = .inheritedAll
        case 8: self = .letGo
        default: return nil
        }
        guard self.keys.count == keys.count, descriptors == (carriesDescriptors ? keys.count : 0) else { return nil }
    }
}
