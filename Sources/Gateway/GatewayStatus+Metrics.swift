import Primitives
import Telemetry
import Tunnel

extension GatewayStatus {
    /// The numbers in the text format of Prometheus.
    var metrics: String {
        var text = ""
        func add(_ name: String, _ type: String, _ samples: [(labels: String, value: String)]) {
            text += "# TYPE godwit_\(name) \(type)\n"
            for sample in samples { text += "godwit_\(name)\(sample.labels) \(sample.value)\n" }
        }
        for (name, path) in Counters.all { add("\(name)_total", "counter", [("", "\(counters[keyPath: path])")]) }
        add("clients", "gauge", [("", "\(clients.count)")])
        add("tunnels", "gauge", [("", "\(tunnelCount)")])
        add("held_tunnels", "gauge", [("", "\(heldTunnels)")])
        add("draining", "gauge", [("", draining == nil ? "0" : "1")])
        guard !replicas.isEmpty else { return text }
        // Hosts and ports have no character that a label would have to escape.
        let labelled = replicas.map { replica in
            (labels: "{name=\"\(replica.name)\",replica=\"\(replica.statistics.replica)\"}", replica.statistics)
        }
        add("replica_usable", "gauge", labelled.map { ($0.labels, $0.1.health == .usable ? "1" : "0") })
        add("replica_connections", "gauge", labelled.map { ($0.labels, "\($0.1.connections)") })
        return text
    }
}
