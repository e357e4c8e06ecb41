import Testing

@testable import QUIC

/// RFC 9000 §3.1 and §3.2 as tables: every state with every event.
@Suite("Stream states")
struct StreamsStateTests {
    static let ready = SendState.ready
    static let send = SendState.send
    static let dataSent = SendState.dataSent(finalSize: 9)
    static let resetSent = SendState.resetSent(finalSize: 5, errorCode: 3)
    static let dataReceived = SendState.dataReceived
    static let resetReceived = SendState.resetReceived

    static let reset = SendState.Event.reset(finalSize: 5, errorCode: 3)
    static let fin = SendState.Event.finSent(finalSize: 9)

    static let sendTable: [(SendState, SendState.Event, SendState, SendState.Action)] = [
        (ready, .dataSent, send, .proceed),
        (ready, fin, dataSent, .proceed),
        (ready, reset, resetSent, .abandonContent),
        (ready, .allAcknowledged, ready, .illegal),
        (ready, .resetAcknowledged, ready, .illegal),
        (send, .dataSent, send, .proceed),
        (send, fin, dataSent, .proceed),
        (send, reset, resetSent, .abandonContent),
        (send, .allAcknowledged, send, .illegal),
        (send, .resetAcknowledged, send, .illegal),
        (dataSent, .dataSent, dataSent, .proceed),
        (dataSent, fin, dataSent, .proceed),
        (dataSent, .finSent(finalSize: 8), dataSent, .illegal),
        (dataSent, reset, resetSent, .abandonContent),
        (dataSent, .allAcknowledged, dataReceived, .complete),
        (dataSent, .resetAcknowledged, dataSent, .illegal),
        (resetSent, .dataSent, resetSent, .illegal),
        (resetSent, fin, resetSent, .illegal),
        (resetSent, .reset(finalSize: 7, errorCode: 8), resetSent, .ignore),
        (resetSent, .allAcknowledged, resetSent, .ignore),
        (resetSent, .resetAcknowledged, resetReceived, .complete),
        (dataReceived, .dataSent, dataReceived, .illegal),
        (dataReceived, fin, dataReceived, .illegal),
        (dataReceived, reset, dataReceived, .ignore),
        (dataReceived, .allAcknowledged, dataReceived, .ignore),
        (dataReceived, .resetAcknowledged, dataReceived, .illegal),
        (resetReceived, .dataSent, resetReceived, .illegal),
        (resetReceived, fin, resetReceived, .illegal),
        (resetReceived, reset, resetReceived, .ignore),
        (resetReceived, .allAcknowledged, resetReceived, .ignore),
        (resetReceived, .resetAcknowledged, resetReceived, .ignore),
    ]

    @Test(arguments: 0..<sendTable.count)
    func `the sending half follows RFC 9000 figure 2`(row: Int) {
        let (state, event, expected, expectedAction) = Self.sendTable[row]
        var machine = state
        let action = machine.handle(event)
        #expect(machine == expected, "\(state) × \(event)")
        #expect(action == expectedAction, "\(state) × \(event)")
    }

    static let receive = ReceiveState.receive
    static let sizeKnown = ReceiveState.sizeKnown(finalSize: 9)
    static let allReceived = ReceiveState.dataReceived(finalSize: 9)
    static let dataRead = ReceiveState.dataRead(finalSize: 9)
    static let resetArrived = ReceiveState.resetReceived(finalSize: 9, errorCode: 3)
    static let resetRead = ReceiveState.resetRead(finalSize: 9)

    static let finEvent = ReceiveState.Event.finArrived(finalSize: 9)
    static let resetEvent = ReceiveState.Event.resetArrived(finalSize: 9, errorCode: 3)

    static let receiveTable: [(ReceiveState, ReceiveState.Event, ReceiveState, ReceiveState.Action)] = [
        (receive, finEvent, sizeKnown, .proceed),
        (receive, resetEvent, resetArrived, .dropContent),
        (receive, .allArrived, receive, .illegal),
        (receive, .allRead, receive, .illegal),
        (receive, .resetRead, receive, .illegal),
        (sizeKnown, finEvent, sizeKnown, .ignore),
        (sizeKnown, resetEvent, resetArrived, .dropContent),
        (sizeKnown, .allArrived, allReceived, .proceed),
        (sizeKnown, .allRead, sizeKnown, .illegal),
        (sizeKnown, .resetRead, sizeKnown, .illegal),
        (allReceived, finEvent, allReceived, .ignore),
        (allReceived, resetEvent, allReceived, .ignore),
        (allReceived, .allArrived, allReceived, .illegal),
        (allReceived, .allRead, dataRead, .complete),
        (allReceived, .resetRead, allReceived, .illegal),
        (dataRead, finEvent, dataRead, .ignore),
        (dataRead, resetEvent, dataRead, .ignore),
        (dataRead, .allArrived, dataRead, .illegal),
        (dataRead, .allRead, dataRead, .illegal),
        (dataRead, .resetRead, dataRead, .illegal),
        (resetArrived, finEvent, resetArrived, .ignore),
        (resetArrived, resetEvent, resetArrived, .ignore),
        (resetArrived, .allArrived, resetArrived, .illegal),
        (resetArrived, .allRead, resetArrived, .illegal),
        (resetArrived, .resetRead, resetRead, .complete),
        (resetRead, finEvent, resetRead, .ignore),
        (resetRead, resetEvent, resetRead, .ignore),
        (resetRead, .allArrived, resetRead, .illegal),
        (resetRead, .allRead, resetRead, .illegal),
        (resetRead, .resetRead, resetRead, .illegal),
    ]

    @Test(arguments: 0..<receiveTable.count)
    func `the receiving half follows RFC 9000 figure 3`(row: Int) {
        let (state, event, expected, expectedAction) = Self.receiveTable[row]
        var machine = state
        let action = machine.handle(event)
        #expect(machine == expected, "\(state) × \(event)")
        #expect(action == expectedAction, "\(state) × \(event)")
    }

    @Test func `only the last states are terminal and only the early ones carry data`() {
        let sending = [Self.ready, Self.send, Self.dataSent, Self.resetSent, Self.dataReceived, Self.resetReceived]
        #expect(sending.map(\.isTerminal) == [false, false, false, false, true, true])
        #expect(sending.map(\.maySendData) == [true, true, true, false, false, false])
        let receiving = [
            Self.receive, Self.sizeKnown, Self.allReceived, Self.dataRead, Self.resetArrived, Self.resetRead,
        ]
        #expect(receiving.map(\.isTerminal) == [false, false, false, true, false, true])
        #expect(receiving.map(\.awaitsData) == [true, true, false, false, false, false])
        #expect(receiving.map(\.finalSize) == [nil, 9, 9, 9, 9, 9])
    }
}
