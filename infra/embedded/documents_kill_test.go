package embedded_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"fernweh/infra/embedded"
	"fernweh/schemas"
)

// documentVictimDir tells the test binary to be a process that writes documents
// until it is killed.
const documentVictimDir = "FERNWEH_TEST_DOCUMENT_VICTIM"

// victims are how many documents each index of the victim has.
const victims = 40

// victimIndex is where the victim writes a round: it changes over now and then
// and drops the index before.
func victimIndex(round int64) string { return schemas.IndexVisitorsBatch(round / 5) }

// victimDocument is one of a round.
func victimDocument(round int64, i int) schemas.Document {
	return schemas.VisitorDocument{Device: fmt.Sprint("device", i), State: schemas.StateExact, Generation: round}.
		Document(victimIndex(round), round)
}

// documentVictim writes round by round, and says on w which one is there.
func documentVictim(ctx context.Context, dir string, w io.Writer) error {
	d, err := embedded.OpenDocuments(dir)
	if err != nil {
		return err
	}
	from, err := lastRound(ctx, d)
	if err != nil {
		return err
	}
	for round := from + 1; ; round++ {
		var docs []schemas.Document
		for i := range victims {
			docs = append(docs, victimDocument(round, i))
		}
		if err := d.Write(ctx, docs...); err != nil {
			return err
		}
		if err := d.Alias(ctx, schemas.KindVisitors, victimIndex(round)); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(w, round); err != nil {
			return err
		}
		if before := victimIndex(round - 5); round >= 5 {
			if err := d.Drop(ctx, before); err != nil {
				return err
			}
		}
	}
}

// lastRound is the greatest that the alias has whole; it is an error if what
// it means is not whole.
func lastRound(ctx context.Context, d *embedded.Documents) (int64, error) {
	hits, err := d.Search(ctx, schemas.Query{Index: schemas.KindVisitors, Limit: victims, Sort: "generation"})
	if err != nil || hits.Total == 0 {
		return 0, err
	}
	if hits.Total != victims {
		return 0, fmt.Errorf("the alias has %d documents, want %d", hits.Total, victims)
	}
	for _, doc := range hits.Documents {
		got, found, err := d.Get(ctx, doc.Index, doc.ID)
		if err != nil || !found || got.Version != doc.Version {
			return 0, fmt.Errorf("search finds %s in version %d, get in version %d: %w", doc.ID, doc.Version, got.Version, err)
		}
	}
	return hits.Documents[0].Version, nil
}

// TestKilledDocumentsAreThere kills a process among writes, switches and drops,
// four times on one directory. What it said is there, each document once.
func TestKilledDocumentsAreThere(t *testing.T) {
	dir := t.TempDir()
	for kill := range 4 {
		said := killDocuments(t, dir, 20+3*kill)
		d := documents(t, dir)
		there, err := lastRound(t.Context(), d)
		if err != nil {
			t.Fatalf("kill %d: %v", kill, err)
		}
		if there < said {
			t.Errorf("kill %d: round %d is there, and %d was acknowledged", kill, there, said)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, gone := range []string{"*~dropped", ".temp-*"} {
		if left, err := filepath.Glob(filepath.Join(dir, gone)); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	}
}

// killDocuments runs the victim, kills it after so many rounds, and gives the
// last one that it said.
func killDocuments(t *testing.T, dir string, rounds int) (said int64) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), documentVictimDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	n := 0
	for lines := bufio.NewScanner(out); lines.Scan(); n++ {
		if _, err := fmt.Sscan(lines.Text(), &said); err != nil {
			t.Fatal(err)
		}
		if n == rounds {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || n < rounds {
		t.Fatalf("the victim said %d rounds and ended with %v, want it killed after %d", n, err, rounds)
	}
	return said
}

// TestManyIndicesRest: a year of days does not keep a year of indices open.
func TestManyIndicesRest(t *testing.T) {
	d := documents(t, t.TempDir())
	defer d.Close()
	const days, day = 60, 86_400_000_000
	var docs []schemas.Document
	for i := range int64(days) {
		docs = append(docs, (&schemas.Decision{Id: fmt.Sprintf("0-%d-segment", i), Device: "d", Offset: i, Time: i * day}).Document())
	}
	before := runtime.NumGoroutine()
	if err := d.Write(t.Context(), docs...); err != nil {
		t.Fatal(err)
	}
	hits, err := d.Search(t.Context(), schemas.Query{Index: schemas.KindDecisions, Limit: 1, Descending: true})
	if err != nil || hits.Total != days {
		t.Fatalf("search over %d days: got %d, %v", days, hits.Total, err)
	}
	const most = 40 // of eight indices at rest, and some that end just now
	deadline := time.Now().Add(10 * time.Second)
	for runtime.NumGoroutine()-before > most && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	if n := runtime.NumGoroutine() - before; n > most {
		t.Errorf("%d goroutines more than before with %d indices at rest, want at most %d", n, days, most)
	}
}
