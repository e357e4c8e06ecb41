import FoundationEssentials

/// A folder for what a run writes: keys among it, so nobody else may have made it or may look into it.
enum ScratchFolder {
    /// Makes one for this process in the system's place for temporary files.
    ///
    /// - Parameter purpose: a word for its name.
    /// - Throws: what Foundation says when it is there already or cannot be made.
    static func make(_ purpose: String) throws -> String {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
            "godwit-\(purpose)-\(ProcessInfo.processInfo.processIdentifier)")
        // Without intermediate directories one that is there already is an error.
        try FileManager.default.createDirectory(
            at: folder, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
        return folder.path
    }
}
