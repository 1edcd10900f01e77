package main

// What must notice: each names a package and flags of go test.
const (
	documented = "./cmd/promise/judge"
	cells      = "./model/visitor"
	panes      = "./model/kpi"
)

// table is every mistake.
func table() []mutant {
	var all []mutant
	for _, part := range [][]mutant{filterMutants(), actionMutants(), historyMutants(), countMutants(), measureMutants(), featureMutants(), codecMutants(), runMutants(),
		readMutants()} {
		all = append(all, part...)
	}
	return all
}
