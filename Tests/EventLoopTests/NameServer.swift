import EventLoop
import Primitives

/// A name server on loopback that answers from a table (RFC 1035), with what a resolver has to cope with.
final class NameServer: UDPSocketHandler {
    enum Answer {
        /// These addresses, each for the question of its family; none: the name exists without such an address.
        case addresses([IPAddress])
        case noSuchName
        case serverFailure
        case silence
    }

    private struct Question {
        var name: String
        var family: IPAddress.Family?
        /// The bytes of the question section.
        var section: [UInt8]
    }

    var answers: [String: Answer] = [:]
    private(set) var questions: [String] = []
    private var batch: ReceiveBatch
    private var socket: UDPSocket?

    init(on loop: EventLoop) throws {
        batch = try ReceiveBatch()
        socket = try UDPSocket(loopback(), on: loop, handler: self)
    }

    var address: NetworkAddress { socket?.localAddress ?? loopback() }

    /// A configuration that asks only this server.
    var configuration: Resolver.Configuration {
        var configuration = Resolver.Configuration()
        configuration.nameServers = [address]
        configuration.hostsFile = "/nonexistent"
        return configuration
    }

    func close() { socket?.close() }

    func socketReadable(_ socket: UDPSocket) {
        while true {
            let outcome = socket.receive(into: &batch)
            for index in 0..<batch.count {
                let from = batch[index].from
                for number in 0..<batch[index].datagramCount { answer(index, number, from, socket) }
            }
            if outcome == .drained { return }
        }
    }

    func socketWritable(_ socket: UDPSocket) {}

    private func answer(_ index: Int, _ number: Int, _ from: NetworkAddress, _ socket: UDPSocket) {
        var query: [UInt8] = []
        let datagram = batch.datagram(number, at: index)
        for offset in 0..<datagram.count { query.append(datagram[offset]) }
        guard let question = parse(query) else { return }
        questions.append(question.name)
        guard let reply = reply(to: query, question) else { return }
        _ = socket.send(reply.span, segmentSize: reply.count, to: from)
    }

    private func parse(_ query: [UInt8]) -> Question? {
        var position = 12
        var labels: [String] = []
        while position < query.count, query[position] != 0 {
            let end = position + 1 + Int(query[position])
            guard end < query.count else { return nil }
            labels.append(String(decoding: query[position + 1..<end], as: UTF8.self))
            position = end
        }
        guard position + 5 <= query.count else { return nil }
        let family: IPAddress.Family? =
            switch query[position + 2] {
            case 1: .ipv4
            case 28: .ipv6
            default: nil
            }
        return Question(
            name: labels.joined(separator: ".").lowercased(), family: family, section: Array(query[12..<position + 5]))
    }

    private func reply(to query: [UInt8], _ question: Question) -> [UInt8]? {
        var code: UInt8 = 0
        var records: [[UInt8]] = []
        switch answers[question.name] ?? .noSuchName {
        case .silence: return nil
        case .noSuchName: code = 3
        case .serverFailure: code = 2
        case .addresses(let addresses):
            for address in addresses where address.family == question.family {
                let bytes = address.bytes
                // A pointer to the question's name, its type, class IN, a time to live of 60 s, the address.
                records.append(
                    [0xc0, 12, 0, address.family == .ipv4 ? 1 : 28, 0, 1, 0, 0, 0, 60, 0, UInt8(bytes.count)] + bytes)
            }
        }
        return query[..<2] + [0x81, 0x80 | code, 0, 1, 0, UInt8(records.count), 0, 0, 0, 0] + question.section
            + records.flatMap { $0 }
    }
}
