package promise_test

import (
	"flag"
	"os"
	"runtime/debug"
	"strings"
	"testing"
)

var (
	histories = flag.Int("histories", 1000, "random histories that TestMergedEqualsFold lives through")
	history   = flag.Uint64("history", 0, "the one history to live through and tell; 0: all")
)

// TestMain lets the heap grow before it is swept: worlds are small and make
// much garbage, and collecting it took half of the time. It costs some 200 MB.
func TestMain(m *testing.M) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(1000)
	}
	os.Exit(m.Run())
}

// TestMergedEqualsFold is the promise: at every step of every history, through
// kills, frozen owners that wake, failing stores, racing archivers, repeated and
// overtaken cuts, failed runs and rollbacks, the merged view of every visitor and
// every pane is one fold over the prefix of the log that it names, and in the
// end over all that was acknowledged.
func TestMergedEqualsFold(t *testing.T) {
	if *history > 0 {
		w, err := live(t.Context(), *history, lawful, inMemory)
		t.Log(strings.Join(w.story, "\n"))
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	const lots = 20
	for lot := range lots {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			for seed := lot + 1; seed <= *histories; seed += lots {
				if w, err := live(t.Context(), uint64(seed), lawful, inMemory); err != nil {
					t.Fatalf("history %d (again with -history %d), after %d turns, the last of them\n%s\n%v",
						seed, seed, len(w.story), strings.Join(w.story[max(0, len(w.story)-12):], "\n"), err)
				}
			}
		})
	}
}

// TestEveryLawIsNeeded breaks one law at a time, and the same histories must
// bring it to light.
func TestEveryLawIsNeeded(t *testing.T) {
	for _, law := range []sabotage{
		forgetFilter, halfHistory, shiftedCut, everyCutCounts, lastWriteWins, decideTwice, overwriteFiles, skipOnFailure,
		erasureIsADelete,
	} {
		t.Run(string(law), func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(400) {
				if _, err := live(t.Context(), seed+1, law, inMemory); err != nil {
					t.Logf("brought to light by history %d: %.300s", seed+1, err)
					return
				}
			}
			t.Errorf("400 histories did not notice")
		})
	}
}
