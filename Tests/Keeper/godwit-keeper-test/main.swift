import EventLoop
import Glibc
import Keeper

// What the tests of the keeper run: a keeper, its worker, and a look at a worker after each of its instructions.
//
//   godwit-keeper-test keep COUNT-FILE STEPS PORT-FILE    a keeper whose n-th worker kills itself at the n-th of STEPS
//   godwit-keeper-test work COUNT-FILE STEPS PORT-FILE    for the keeper
//   godwit-keeper-test trace                              every instruction of a read, a growth, a release and an end

let arguments = CommandLine.arguments

/// Says what the keeper says.
final class Teller: KeeperObserver {
    func keeper(_ event: KeeperEvent) { say("keeper: \(event)") }
}

func keep() throws -> Int32 {
    let loop = try EventLoop()
    let teller = Teller()
    let worker = [arguments[0], "work"] + arguments.dropFirst(2)
    return try KeeperProcess(arguments: worker, on: loop, observer: teller).run()
}

do {
    switch arguments.dropFirst().first {
    case "keep" where arguments.count == 5: exit(try keep())
    case "work" where arguments.count == 5:
        exit(try EchoWorker.run(countFile: arguments[2], steps: arguments[3], portFile: arguments[4]))
    case "trace": exit(try Trace.run())
    default:
        say("usage: godwit-keeper-test keep|work COUNT-FILE STEPS PORT-FILE | trace")
        exit(2)
    }
} catch {
    say("godwit-keeper-test: \(error)")
    exit(1)
}
