package main

// What must notice: each names a package and flags of go test.
const (
	documented = "./cmd/promise/judge"
	cells      = "./model/visitor"
	panes      = "./model/kpi"
	answers    = "./serving -skip TestThePage|TestTheAPIDescribes" // which need a browser and Node
	histories  = "./cmd/promise -run TestMergedEqualsFold$ -histories 40"
)

// table is every mistake.
func table() []mutant {
	var all []mutant
	for _, part := range [][]mutant{filterMutants(), actionMutants(), historyMutants(), countMutants(), measureMutants(), featureMutants(), codecMutants(), runMutants(),
		readMutants(), flushMutants(), batchMutants(), schemaMutants(), servingMutants()} {
		all = append(all, part...)
	}
	return all
}
