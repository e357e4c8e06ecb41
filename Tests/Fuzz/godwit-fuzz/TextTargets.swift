import Configuration
import Primitives
import Tunnel

@testable import Driver
@testable import LocalEndpoint

/// Bytes in the longest SOCKS5 message (RFC 1929 §2).
private let longestSOCKSMessage = 513

/// The first byte chooses whether a password is wanted, the second where the bytes are cut.
func fuzzSOCKS5(_ input: [UInt8]) {
    var input = FuzzInput(input)
    let handshake = input.byte() & 1 == 0 ? SOCKS5Handshake() : SOCKS5Handshake(user: "me", password: "pw")
    let (whole, first, second) = pieces(input.rest())
    let atOnce = negotiate(handshake, [whole])
    let inPieces = negotiate(handshake, [first, second])
    require(atOnce == inPieces, "\(atOnce) at once, \(inPieces) in two pieces")
    require(atOnce.taken <= 3 * longestSOCKSMessage, "\(atOnce.taken) bytes taken")
}

private struct Negotiated: Equatable {
    var taken = 0
    var isOver = false
    var actions: [SOCKS5Handshake.Action] = []
}

private func negotiate(_ handshake: SOCKS5Handshake, _ pieces: [[UInt8]]) -> Negotiated {
    var handshake = handshake
    var negotiated = Negotiated()
    for piece in pieces {
        let taken = handshake.receive(piece.span)
        require(taken == piece.count || handshake.isOver, "bytes left though more are wanted")
        negotiated.taken += taken
        while let action = handshake.nextAction() { negotiated.actions.append(action) }
    }
    negotiated.isOver = handshake.isOver
    return negotiated
}

/// The first byte chooses whether a password is wanted, the second where the bytes are cut.
func fuzzHTTPProxy(_ input: [UInt8]) {
    var input = FuzzInput(input)
    let handshake = input.byte() & 1 == 0 ? HTTPProxyHandshake() : HTTPProxyHandshake(user: "me", password: "pw")
    let (whole, first, second) = pieces(input.rest())
    var atOnce = handshake
    let taken = atOnce.receive(whole.span)
    require(taken == whole.count || atOnce.outcome != nil, "bytes left though more are wanted")
    var inPieces = handshake
    let takenInPieces = inPieces.receive(first.span) + inPieces.receive(second.span)
    require(taken == takenInPieces && atOnce.outcome == inPieces.outcome, "another outcome in two pieces")
    switch atOnce.outcome {
    case .fail(let answer, _): require(answer.starts(with: Array("HTTP/1.1 ".utf8)), "an answer that is none")
    case .request(let request): check(request, behind: Array(whole[taken...]))
    case nil: break
    }
}

private func check(_ request: HTTPProxyRequest, behind: [UInt8]) {
    require(request.destination.port > 0, "a destination without a port")
    guard case .forward(let head, let body) = request.kind else { return }
    let text = String(decoding: head, as: UTF8.self)
    require(text.hasSuffix("\r\n\r\n"), "a head that does not end")
    // Whoever reads the head must see one request in it: no line break but those between fields.
    require(!head.split(separator: 0x0a).dropLast().contains { $0.last != 0x0d }, "a bare line feed in the head")
    require(!text.lowercased().contains("\nproxy-authorization:"), "the proxy's password goes to the origin")
    var atOnce = body
    let taken = atOnce.accept(behind.span)
    var inPieces = body
    var count = 0
    for byte in behind where inPieces.accept([byte].span) == 1 { count += 1 }
    require(taken == count && atOnce == inPieces, "\(taken) bytes of the body at once, \(count) in pieces")
}

/// The first byte chooses the kind of file, the rest is its text.
func fuzzConfiguration(_ input: [UInt8]) {
    var input = FuzzInput(input)
    let kind = input.number(below: 3)
    let text = String(decoding: input.rest(), as: UTF8.self)
    let surroundings = Surroundings(variables: ["XDG_RUNTIME_DIR": "/run/user/1", "HOME": "/home/a"], userID: 1)
    let source = "/etc/godwit/file.toml"
    do throws(ConfigurationError) {
        switch kind {
        case 0: _ = try GatewayConfiguration(text: text, source: source, surroundings: surroundings)
        case 1:
            _ = try LocalConfiguration(
                text: text, source: source, surroundings: surroundings,
                invites: { (_) throws(ConfigurationError) in "" })
        default:
            let users = try UsersFile(text: text, source: source)
            require((try? UsersFile(text: users.text, source: source)) == users, "other users after writing")
        }
    } catch {
        let sentence = "\(error)"
        require(sentence.hasPrefix(source), "a sentence that does not say where: \(sentence)")
        require(!sentence.utf8.contains { $0 < 0x20 || $0 == 0x7f }, "control characters in a sentence")
    }
}

/// An invite, and a list of them.
func fuzzInvites(_ input: [UInt8]) {
    let text = String(decoding: input, as: UTF8.self)
    do throws(InviteError) {
        let invite = try Invite(text)
        require((try? Invite(invite.text)) == invite, "another invite after writing")
        require(!invite.description.contains(invite.token.text), "a secret in a description")
    } catch {
        let sentence = "\(error)"
        require(!sentence.utf8.contains { $0 < 0x20 || $0 == 0x7f }, "control characters in a sentence")
    }
    _ = try? Invite.list(text, source: "invites")
}

/// The first byte chooses where the bytes are cut, the rest comes through the control socket.
func fuzzControl(_ input: [UInt8]) {
    let (whole, first, second) = pieces(input)
    var atOnce = ControlLine(atMost: 64)
    var inPieces = ControlLine(atMost: 64)
    let progress = atOnce.take(whole)
    var progressInPieces = inPieces.take(first)
    if progressInPieces == .incomplete { progressInPieces = inPieces.take(second) }
    require(progress == progressInPieces, "\(progress) at once, \(progressInPieces) in two pieces")
    guard case .line(let line) = progress, case .open(let destination) = LocalCommand(line) else { return }
    guard case .open(let again) = LocalCommand("open \(destination.host) \(destination.port)") else {
        violated("\(destination) is no destination any more")
    }
    require(again == destination, "\(destination) is \(again) after writing")
}
