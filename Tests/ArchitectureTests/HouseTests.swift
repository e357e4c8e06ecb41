import Testing

@Suite("The house")
struct HouseTests {
    @Test(arguments: Rule.allCases)
    func keepsTheRule(rule: Rule) {
        for file in SourceTree.package.files {
            for violation in rule.violations(in: file) { Issue.record("\(violation)") }
        }
    }

    @Test func wasReadAtAll() {
        let paths = SourceTree.package.files.map(\.path)
        #expect(paths.contains("Sources/Primitives/Instant.swift"))
        #expect(paths.contains("Tests/ArchitectureTests/HouseTests.swift"))
    }

    @Test func hasTheRoomsOfThePlan() {
        let planned = Set(House.rooms.keys)
        #expect(SourceTree.package.rooms == planned, "the folders in Sources are not the rooms in House.swift")
        #expect(
            Set(SourceTree.package.manifest.dependencies.keys) == planned,
            "the targets in Package.swift are not the rooms in House.swift")
    }

    @Test func dependsInOneDirectionOnly() {
        for (name, dependencies) in SourceTree.package.manifest.dependencies {
            let allowed = House.rooms[name]?.mayImport ?? []
            let extra = dependencies.subtracting(allowed).sorted()
            #expect(extra.isEmpty, "Package.swift lets \(name) depend on \(extra), the plan in House.swift does not")
        }
    }

    @Test func importsOnlyWhatPackageDeclares() {
        for file in SourceTree.package.files where file.isSource {
            let declared = SourceTree.package.manifest.dependencies[file.room] ?? []
            let modules = Set(declared.flatMap { House.modulesOfProduct[$0] ?? [$0] })
                .union(House.rooms[file.room]?.systemModules ?? [])
            for (module, line) in file.imports where !modules.contains(module) {
                Issue.record(
                    "\(file.path):\(line): \(file.room) imports \(module), which Package.swift does not give it")
            }
        }
    }

    @Test func planHasNoCycle() {
        var sorted: Set<String> = []
        var left = House.rooms
        while !left.isEmpty {
            let ready = left.filter { room in
                room.value.mayImport.allSatisfy { sorted.contains($0) || House.rooms[$0] == nil }
            }
            guard !ready.isEmpty else {
                Issue.record("these rooms know each other in a circle: \(left.keys.sorted())")
                return
            }
            for name in ready.keys {
                sorted.insert(name)
                left[name] = nil
            }
        }
    }
}
