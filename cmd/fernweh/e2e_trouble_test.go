package main_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"fernweh/infra/embedded"
	"fernweh/schemas"

	"github.com/IBM/sarama"
	"google.golang.org/protobuf/proto"
)

// booked is a call in which a device books for so many euros.
func booked(device, id string, euros int) string {
	return fmt.Sprintf(`{"type":"track","event":"Order Completed","anonymousId":%q,"messageId":%q,`+
		`"properties":{"order_id":%q,"revenue":%d,"currency":"EUR"}}`, device, id, id, euros)
}

// takes sends calls, which must be accepted, and waits until speed has them.
func (p *portal) takes(calls ...string) {
	p.Helper()
	answer, after, err := p.post(`{"batch":[` + strings.Join(calls, ",") + `]}`)
	if err != nil || strings.Count(string(answer), `"accepted"`) != len(calls) {
		p.Fatalf("send %d calls: %v: %s", len(calls), err, answer)
	}
	if w := read[window](p, "/v1/kpis?window=1m&deadline=5s&after="+url.QueryEscape(after)); w.Stale {
		p.Fatalf("speed did not reach %s", after)
	}
}

// events is how many events of a device are in the answer.
func (p *portal) events(device string) int64 {
	p.Helper()
	return read[person](p, "/v1/visitors/"+device).Totals.Events
}

// TestBadRequests: what cannot be taken is refused by name, and nothing else is
// harmed.
func TestBadRequests(t *testing.T) {
	broker := door(t)
	p := newPortal(t, "--broker-port", strings.Split(broker, ":")[1])
	p.up()
	p.takes(booked("mueller", "before", 1))

	good := `{"batch":[` + booked("stranger", "none", 1) + `]}`
	stranger := http.Header{"Authorization": {"Basic c3RyYW5nZXI6"}}
	for _, c := range []struct {
		name, body string
		header     http.Header
		status     int
		says       string
	}{
		{"malformed JSON", `{"batch":[{"type":"track",}]}`, demo, http.StatusBadRequest, "body is not JSON at byte 26"},
		{"cut off", good[:60], demo, http.StatusBadRequest, "at byte 60"},
		{"no JSON at all", "hello", demo, http.StatusBadRequest, "at byte"},
		{"10 MB", `{"batch":[` + strings.Repeat(" ", 10_000_000) + `]}`, demo, http.StatusRequestEntityTooLarge, "4194304 bytes"},
		{"wrong key", good, stranger, http.StatusUnauthorized, "no known write key"},
		{"no key", good, nil, http.StatusUnauthorized, "no known write key"},
	} {
		_, _, err := send("POST", "http://"+p.doors[0]+"/v1/batch", []byte(c.body), c.header)
		if statusOf(err) != c.status || !strings.Contains(fmt.Sprint(err), c.says) {
			t.Errorf("%s: got %v, want %d and %q", c.name, err, c.status, c.says)
		}
	}
	if _, err := p.ask("GET", "/v1/visitors/stranger", nil); statusOf(err) != http.StatusNotFound {
		t.Errorf("whom nobody may speak of: got %v, want 404", err)
	}

	late := strings.Replace(booked("mueller", "impossible", 1), "{", `{"timestamp":"0001-01-01T00:00:00Z",`, 1)
	answer, _, err := p.post(`{"batch":[` + booked("mueller", "m1", 2) + "," + late + "," + booked("mueller", "m2", 3) + `]}`)
	if err != nil || strings.Count(string(answer), `"accepted"`) != 2 ||
		!strings.Contains(string(answer), `{"id":"impossible","status":"rejected","reason":"impossible time 0001-01-01T00:00:00Z"}`) {
		t.Errorf("an impossible time between two good calls: %v: %s", err, answer)
	}
	p.takes(booked("mueller", "after", 4))
	if v := read[person](p, "/v1/visitors/mueller").Totals; v.Events != 4 || len(v.Money) != 1 || v.Money[0].Booked != 1000 {
		t.Errorf("mueller: got %d events, %v, want 4 and 1000 cents", v.Events, v.Money)
	}
	letters := deadLetters(t, broker, 4)
	for _, want := range []string{"byte 26", "byte 60", "at byte", "impossible time 0001-01-01T00:00:00Z"} {
		if !slices.ContainsFunc(letters, func(l *schemas.DeadLetter) bool { return strings.Contains(l.Reason, want) }) {
			t.Errorf("no dead letter says %q: %v", want, letters)
		}
	}
	if last := letters[len(letters)-1]; string(last.Original) != late {
		t.Errorf("the letter of the impossible time keeps %s, want %s", last.Original, late)
	}
}

// deadLetters reads so many letters from the log.
func deadLetters(t *testing.T, broker string, n int) (letters []*schemas.DeadLetter) {
	t.Helper()
	consumer, err := sarama.NewConsumer([]string{broker}, sarama.NewConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close()
	records, err := consumer.ConsumePartition(schemas.TopicDeadLetters, 0, sarama.OffsetOldest)
	if err != nil {
		t.Fatal(err)
	}
	defer records.Close()
	for deadline := time.After(20 * time.Second); len(letters) < n; {
		select {
		case r := <-records.Messages():
			l := new(schemas.DeadLetter)
			if err := proto.Unmarshal(r.Value, l); err != nil {
				t.Fatal(err)
			}
			letters = append(letters, l)
		case <-deadline:
			t.Fatalf("%d dead letters, want %d", len(letters), n)
		}
	}
	return letters
}

// TestWrongCalls: what the program cannot do it says, names the thing, and
// leaves.
func TestWrongCalls(t *testing.T) {
	p := newPortal(t)
	p.up()
	free := []string{"--ingest-addr", "127.0.0.1:0", "--serve-addr", "127.0.0.1:0"}
	other := filepath.Join(t.TempDir(), "other")
	for _, c := range []struct {
		name string
		args []string
		code int
		says []string
	}{
		{"no command", nil, 2, []string{"which command?"}},
		{"no such command", []string{"serv"}, 2, []string{`"serv"`, "did you mean serve?"}},
		{"no such setting", []string{"up", "--data-dri", "x"}, 2, []string{"--data-dri", "did you mean --data-dir?"}},
		{"a setting of another command", []string{"serve", "--ingest-addr", "127.0.0.1:1"}, 2, []string{"--ingest-addr", "ingest"}},
		{"an impossible value", []string{"up", "--partitions", "many"}, 2, []string{"--partitions", `"many"`}},
		{"a setting without a value", []string{"up", "--data-dir"}, 2, []string{"--data-dir"}},
		{"a settings file that is not there", []string{"up", "--config", other + ".yaml"}, 2, []string{other + ".yaml"}},
		{"a format that is not there", []string{"replay", "--replay-format", "cuneiform", "x"}, 2, []string{"cuneiform"}},
		{"a file that is not there", []string{"replay", "--replay-format", "hotel-bookings", other}, 1, []string{other}},
		{"the demo key for everybody", []string{"up", "--ingest-addr", "0.0.0.0:0", "--data-dir", other}, 2, []string{"ingest-write-keys"}},
		{"a directory that is taken", append([]string{"up", "--data-dir", p.dir, "--partitions", "4"}, free...), 1,
			[]string{p.dir, fmt.Sprintf("process %d", p.process.Process.Pid), p.doors[1]}},
		{"a port that is taken", []string{"up", "--data-dir", other, "--ingest-addr", p.doors[0], "--serve-addr", "127.0.0.1:0"}, 1,
			[]string{p.doors[0], "in use"}},
	} {
		wrong := fernweh(t, c.args...)
		out, err := wrong.CombinedOutput()
		if code := wrong.ProcessState.ExitCode(); code != c.code {
			t.Errorf("%s: exit code %d (%v), want %d\n%s", c.name, code, err, c.code, out)
		}
		for _, want := range c.says {
			if !strings.Contains(string(out), want) {
				t.Errorf("%s: said %q, want %q in it", c.name, out, want)
			}
		}
	}
	if _, err := os.Stat(other); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a call that went wrong has touched %s: %v", other, err)
	}
	p.takes(booked("mueller", "m1", 1))
	p.stop()
}

// TestOtherPartitions: a directory that was made otherwise is not taken.
func TestOtherPartitions(t *testing.T) {
	p := newPortal(t)
	p.up()
	p.takes(booked("mueller", "m1", 1))
	p.stop()
	other := fernweh(t, "up", "--data-dir", p.dir, "--partitions", "7", "--ingest-addr", "127.0.0.1:0", "--serve-addr", "127.0.0.1:0")
	out, _ := other.CombinedOutput()
	if code := other.ProcessState.ExitCode(); code != 1 || !strings.Contains(string(out), "partitions") {
		t.Errorf("7 partitions where there were 4: exit code %d, said %q", code, out)
	}
	p.up()
	if n := p.events("mueller"); n != 1 {
		t.Errorf("mueller: got %d events, want 1", n)
	}
}

// TestParquetFileCutInHalf: batch says which file it is and leaves what is
// published; all else goes on, also over a restart.
func TestParquetFileCutInHalf(t *testing.T) {
	p := newPortal(t, "--archive-rows", "20")
	p.up()
	var calls []string
	for i := range 200 {
		calls = append(calls, booked(fmt.Sprintf("device-%d", i%40), fmt.Sprintf("m-%d", i), 1))
	}
	p.takes(calls...)
	first := p.batch()
	names, err := filepath.Glob(filepath.Join(p.dir, "archive", "events", "p0001", "*", "*.parquet"))
	if err != nil || len(names) < 2 {
		t.Fatalf("%d files in a partition of the archive, want some: %v", len(names), err)
	}
	for _, file := range []string{names[0], names[len(names)-1]} {
		whole, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(file, int64(len(whole)/2)); err != nil {
			t.Fatal(err)
		}
		p.runFailsFor(file)
		p.goesOn(first)
		p.stop()
		p.up()
		p.runFailsFor(file)
		p.goesOn(first)
		if err := os.WriteFile(file, whole, 0o644); err != nil {
			t.Fatal(err)
		}
		if first = p.batch(); p.events("device-7") != 5 {
			t.Errorf("with the whole file again: got %d events of device-7, want 5", p.events("device-7"))
		}
	}
}

// runFailsFor asks for a batch run, which must fail and name the file.
func (p *portal) runFailsFor(file string) {
	p.Helper()
	run, err := p.begin()
	if err != nil {
		p.Fatalf("begin a batch run: %v", err)
	}
	run = p.finished(run.Number)
	if name := filepath.Base(file); run.State != "failed" || !strings.Contains(run.Error, name) {
		p.Errorf("run over half of %s: %s, %q", name, run.State, run.Error)
	}
}

// goesOn sends an event and finds it in the answer, on the generation that was
// published.
func (p *portal) goesOn(generation int64) {
	p.Helper()
	p.alive()
	device := fmt.Sprintf("traveller-%d", time.Now().UnixNano())
	p.takes(booked(device, "m-"+device, 1))
	if n := p.events(device); n != 1 {
		p.Errorf("a new device: got %d events, want 1", n)
	}
	if n := p.events("device-7"); n != 5 {
		p.Errorf("device-7: got %d events, want 5", n)
	}
	if got := read[struct{ Generation int64 }](p, "/v1/status").Generation; got != generation {
		p.Errorf("generation: got %d, want %d", got, generation)
	}
}

// TestMissingModel: a generation names a model that is nowhere.
func TestMissingModel(t *testing.T) {
	p := newPortal(t)
	p.up()
	p.takes(booked("mueller", "m1", 1))
	run := p.batch()
	p.stop()
	p.loseModel(run, "segments-99")
	p.up()

	p.takes(booked("mueller", "m2", 2))
	v := read[person](p, "/v1/visitors/mueller")
	if v.Totals.Events != 2 || v.Segment != nil {
		t.Errorf("mueller: got %d events, segment %v, want 2 and none", v.Totals.Events, v.Segment)
	}
	if got := read[struct{ Problem string }](p, "/v1/segments").Problem; !strings.Contains(got, "segments-99") {
		t.Errorf("segments: the problem is %q, want segments-99 in it", got)
	}
	status := read[status](p, "/v1/status")
	if !status.Ready || !strings.Contains(status.of("model").Reason, "segments-99") {
		t.Errorf("status: got %+v, want ready and a word about segments-99", status)
	}
	p.until("speed says so", 10*time.Second, func() error {
		if said := p.said.String(); !strings.Contains(said, "segments-99") {
			return fmt.Errorf("it said %q", said)
		}
		return nil
	})
	p.batch() // too few for a model: the lost one stays named, and all is counted
	if n := p.events("mueller"); n != 2 {
		t.Errorf("after another run: got %d events of mueller, want 2", n)
	}
}

// loseModel makes the published generation name another model.
func (p *portal) loseModel(run int64, model string) {
	p.Helper()
	views, err := embedded.OpenViews(filepath.Join(p.dir, "views"))
	if err != nil {
		p.Fatal(err)
	}
	defer views.Close()
	rows, err := views.Get(p.Context(), schemas.KeyPublished)
	if err != nil {
		p.Fatal(err)
	}
	cell, _ := rows[0].Cell(schemas.ColumnValue)
	published, err := schemas.DecodeJSON[schemas.Published](cell.Value)
	if err != nil || published.Current != run {
		p.Fatalf("generation %d is published, want %d: %v", published.Current, run, err)
	}
	published.Kept[0].Model = model
	done, err := views.CompareAndSet(p.Context(), schemas.KeyPublished, schemas.ColumnValue, cell.Value, schemas.EncodeJSON(published))
	if err != nil || !done {
		p.Fatalf("publish: %t, %v", done, err)
	}
}
