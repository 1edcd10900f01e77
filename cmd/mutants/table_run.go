package main

// runMutants break what a run knows of itself: its number, its publication, its hour,
// and what is exact once it has published.
func runMutants() []mutant {
	const swap, run, number, hours = "batch/swap.go", "batch/run.go", "batch/number.go", "batch/schedule.go"
	const kpis = "serving/kpis.go"
	batch := func(test string) []string { return []string{"./batch -run " + test} }
	serving := func(test string) []string { return []string{"./serving -run " + test} }
	return []mutant{
		{"an unsure switch is called failed", "law 3", swap, "case bytes.Equal(there, value):", "case false:", batch("Unsure|ASwitch")},
		{"another's value is taken for ours", "law 3", swap, "case !bytes.Equal(there, old):\n\t\t\treturn false, nil", "case !bytes.Equal(there, old):\n\t\t\treturn true, nil", batch("ALeaseThatAnother")},
		{"a younger publication hides ours", "law 3", run, "; ours { // and", "; ours && false { // and", batch("ASwitch")},
		{"what nobody could say stays failed", "law 3", run, "record.State == schemas.RunFailed && !ok", "record.State == schemas.RunFailed", batch("ASwitch")},
		{"the archive is looked at as often as ever", "law 5", run, "look = min(2*look, longestLook)", "look = firstLook", batch("LookedAt")},
		{"a partition that has come to the cut is listed again", "law 5", "batch/archive/manifest.go", "c.reached[p] = files", "", batch("LookedAt")},
		{"a lost counter begins at one", "law 3", number, "next := max(counter, least+1)", "next := max(counter, 1)", batch("NoNumber")},
		{"a number without a cut is drawn twice", "law 3", number, "least = atMost(least, r.Number, reached+schemas.MaxStep)", "_ = r", batch("NeverDrawn")},
		{"a partition far behind stays there", "law 3", run, "r.record.Number-last > schemas.MaxStep", "r.record.Number-last < 0", batch("NoNumber")},
		{"an hour that was served is served again", "schedule", hours, "case served:", "case served && false:", batch("NextRun")},
		{"a run is tried again at night", "schedule", hours, "at = s.loud(at);", "at = at.Add(0);", batch("NextRun")},
		{"a try does not wait for the next hour", "schedule", hours, "next.Sub(at) < nearHour", "next.Sub(at) < 0", batch("NextRun")},
		{"each try waits as long as the first", "schedule", hours, "wait *= 2", "n--", batch("NextRun")},
		{"a new portal has missed an hour", "schedule", hours, "tried.n == 0 && len(runs) == 0:", "false:", batch("NextRun")},
		{"what failed without a record is tried at once", "schedule", hours, "failed.n, failed.last = failed.n+1, l.Now()", "", batch("AFailureWithout")},
		{"it is not noted when a cut was appended", "law 3", "batch/archive/writer.go", "w.span.Cut, w.span.CutAt = r.Cut, r.At", "w.span.Cut = r.Cut", batch("KnowsWhen")},
		{"exact up to the last of the cuts", "exact", "schemas/meta.go", "return slices.Min(g.CutTimes)", "return slices.Max(g.CutTimes)", serving("ExactMeans")},
		{"exact up to the publication", "exact", kpis, "w.To*60_000_000 <= g.FoldedUntil()", "w.To*60_000_000 <= g.At", serving("ExactMeans")},
		{"what was exact holds what came late", "exact", "serving/window.go", "series.Batch.Merge(&sums.batch)", "series.Batch.Merge(&sums.all)", serving("ALateEvent")},
		{"the prefix ends before the last event", "exact", "serving/window.go", "p.cell.Stamp+1", "p.cell.Stamp", serving("OnePrefix")},
		{"an erasure of nobody is a success", "law 6", "serving/erase.go", "if len(rows[0].Cells) == 0 {", "if len(rows[0].Cells) < 0 {", serving("ErasureOfNobody")},
	}
}
