package index_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"fernweh/model/kpi"
	"fernweh/model/visitor"
	"fernweh/schemas"
	"fernweh/serving/index"

	"github.com/prometheus/client_golang/prometheus"
)

// now is the moment of all tests.
var now = time.Date(2026, 11, 22, 20, 15, 0, 0, time.UTC)

// A portal is what a follower works with: the decisions of one partition, the
// views, and the documents, all in memory.
type portal struct {
	*testing.T
	mu      sync.Mutex
	said    []schemas.DecisionRecord
	rows    map[schemas.Key]schemas.Row
	docs    map[string]map[string]schemas.Document // by index and id; without a body: deleted
	aliases map[string][]string
	writes  int
}

func newPortal(t *testing.T) *portal {
	return &portal{
		T: t, rows: map[schemas.Key]schemas.Row{}, docs: map[string]map[string]schemas.Document{}, aliases: map[string][]string{},
	}
}

func (p *portal) follower() *index.Follower {
	return &index.Follower{
		Views: p, Documents: documents{p}, Decisions: p, Keep: 30 * 24 * time.Hour,
		Now: func() time.Time { return now }, Metrics: index.NewMetrics(prometheus.NewRegistry()),
	}
}

// say appends a decision on a device to the topic.
func (p *portal) say(device, segment string, change func(*schemas.Decision)) {
	offset := int64(10 * len(p.said)) // of the event; most events decide nothing new
	d := &schemas.Decision{
		Id: fmt.Sprintf("0-%d-segment", offset), Device: device, Offset: offset, Time: now.Add(-time.Hour).UnixMicro(), Segment: segment,
	}
	if change != nil {
		change(d)
	}
	p.said = append(p.said, schemas.DecisionRecord{Offset: int64(len(p.said)), Decision: d})
}

// follow lets a follower read all decisions, in batches of two.
func (p *portal) follow() error {
	start, handle, err := index.Open(p.follower(), p.Context(), 0)
	if err != nil {
		return err
	}
	for from := max(start, 0); from < int64(len(p.said)); from += 2 {
		if err := handle(p.Context(), p.said[from:min(from+2, int64(len(p.said)))]); err != nil {
			return err
		}
	}
	return nil
}

// has expects the ids of an index, ascending.
func (p *portal) has(index string, want ...string) {
	p.Helper()
	var got []string
	for id, d := range p.docs[index] {
		if d.Body != nil {
			got = append(got, id)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		p.Errorf("index %s has %q, want %q", index, got, want)
	}
}

func (p *portal) put(key schemas.Key, column string, stamp int64, value []byte) {
	row := p.rows[key]
	row.Key = key
	row.Cells = append(row.Cells, schemas.Cell{Key: key, Column: column, Stamp: stamp, Value: value})
	p.rows[key] = row
}

// publish writes what is published.
func (p *portal) publish(published schemas.Published) {
	delete(p.rows, schemas.KeyPublished)
	p.put(schemas.KeyPublished, schemas.ColumnValue, 1, schemas.EncodeJSON(published))
}

// visited writes a visitor of a generation who has opened some pages.
func (p *portal) visited(device string, generation int64, pages int) {
	var v visitor.Visitor
	for i := range pages {
		v.Apply(int64(i), &schemas.Event{
			Id: fmt.Sprint(device, i), Device: device, Kind: schemas.Kind_KIND_PAGE, User: "K-1",
			Time: now.Add(time.Duration(i) * time.Second).UnixMicro(), AssumedConsent: true,
		})
	}
	v.Cell.Decided = nil
	b, err := v.Cell.AppendBinary(nil)
	if err != nil {
		p.Fatal(err)
	}
	p.put(schemas.VisitorKey(device), schemas.ColumnBatch(generation), generation, b)
}

func (p *portal) Get(ctx context.Context, keys ...schemas.Key) (rows []schemas.Row, err error) {
	for _, k := range keys {
		row := p.rows[k]
		row.Key = k
		rows = append(rows, row)
	}
	return rows, nil
}

func (p *portal) Scan(_ context.Context, table schemas.Table, _, _ string, fn func(schemas.Row) error) error {
	for k, row := range p.rows {
		if k.Table != table {
			continue
		}
		if err := fn(row); err != nil {
			return err
		}
	}
	return nil
}

// Consume is not used: the tests hand the records on themselves.
func (p *portal) Consume(context.Context, func(context.Context, int32) (
	int64, func(context.Context, []schemas.DecisionRecord) error, error)) error {
	return errors.New("nobody consumes")
}

// documents are the portal's documents as the follower sees them.
type documents struct{ *portal }

func (p *portal) Write(_ context.Context, docs ...schemas.Document) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writes += len(docs)
	for _, d := range docs {
		if d.Body != nil {
			if _, err := d.Values(); err != nil {
				return err
			}
		}
		if p.docs[d.Index] == nil {
			p.docs[d.Index] = map[string]schemas.Document{}
		}
		if old, ok := p.docs[d.Index][d.ID]; !ok || old.Version <= d.Version {
			p.docs[d.Index][d.ID] = d
		}
	}
	return nil
}

func (p *portal) Delete(ctx context.Context, docs ...schemas.Document) error {
	docs = slices.Clone(docs)
	for i := range docs {
		docs[i].Body = nil
	}
	return p.Write(ctx, docs...)
}

func (p *portal) Refresh(context.Context, ...string) error { return nil }

// Search finds decisions of a device below an offset.
func (p *portal) Search(_ context.Context, q schemas.Query) (hits schemas.Hits, err error) {
	if err := q.Check(); err != nil {
		return hits, err
	}
	for name, docs := range p.docs {
		if !strings.HasPrefix(name, q.Index+"-") {
			continue
		}
		for _, d := range docs {
			var fields map[string]any
			if d.Body == nil || json.Unmarshal(d.Body, &fields) != nil {
				continue
			}
			meets := true
			for _, term := range q.Terms {
				value, _ := fields[term.Field].(string)
				meets = meets && slices.Contains(term.Values, value)
			}
			for _, r := range q.Ranges {
				value, _ := fields[r.Field].(float64)
				meets = meets && int64(value) >= r.From && int64(value) < r.To
			}
			if meets && len(hits.Documents) < min(q.Limit, 3) { // small pages
				hits.Documents = append(hits.Documents, d)
			}
		}
	}
	return hits, nil
}

func (p *portal) Alias(_ context.Context, name string, indices ...string) error {
	if err := schemas.CheckAlias(name, indices...); err != nil {
		return err
	}
	p.aliases[name] = slices.Sorted(slices.Values(indices))
	for _, i := range indices {
		if p.docs[i] == nil {
			p.docs[i] = map[string]schemas.Document{}
		}
	}
	return nil
}

func (p *portal) Indices(_ context.Context, prefix string) (names []string, err error) {
	for name := range p.docs {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

func (p *portal) Drop(_ context.Context, indices ...string) error {
	for _, i := range indices {
		delete(p.docs, i)
	}
	return nil
}

// Get of documents and Get of views have one name; the follower gets each under
// a type of its own.
func (d documents) Get(_ context.Context, index, id string) (schemas.Document, bool, error) {
	doc, ok := d.docs[index][id]
	return doc, ok && doc.Body != nil, nil
}

func TestDecisionsBecomeDocuments(t *testing.T) {
	p := newPortal(t)
	p.say("mueller", "s1", nil)
	p.say("mueller", "s2", nil)
	p.said = append(p.said, schemas.DecisionRecord{Offset: 2}) // bytes that nobody can read
	p.say("weber", "s1", func(d *schemas.Decision) { d.Epoch = 7 })
	p.say("ancient", "s1", func(d *schemas.Decision) { d.Time = now.AddDate(-2, 0, 0).UnixMicro() })
	if err := p.follow(); err != nil {
		t.Fatal(err)
	}
	day := schemas.IndexDecisions(now.UnixMicro())
	p.has(day, "0-0-segment", "0-10-segment", "0-30-segment")
	p.has("visitors-s0", "mueller")
	p.has("visitors-s7", "weber")
	if body := string(p.docs["visitors-s0"]["mueller"].Body); !strings.Contains(body, `"s2"`) || !strings.Contains(body, `"live"`) {
		t.Errorf("the visitor's document is %s, want the latest segment, live", body)
	}
	writes := p.writes
	if err := p.follow(); err != nil || p.writes != writes {
		t.Errorf("a follower that begins again writes %d documents, %v: it is at the end already", p.writes-writes, err)
	}
}

func TestFollowerThatWasOvertakenStops(t *testing.T) {
	p := newPortal(t)
	for range 4 {
		p.say("mueller", "s1", nil)
	}
	_, first, err := index.Open(p.follower(), t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.follow(); err != nil {
		t.Fatal(err)
	}
	if err := first(t.Context(), p.said[:2]); !errors.Is(err, index.ErrMoved) {
		t.Errorf("the first follower, after another has come to the end: got %v, want %v", err, index.ErrMoved)
	}
}

func TestEmptiedStoreIsFilledAgain(t *testing.T) {
	p := newPortal(t)
	p.say("mueller", "s1", nil)
	p.say("weber", "s1", nil)
	start, handle, err := index.Open(p.follower(), t.Context(), 0)
	if err != nil || start != schemas.Oldest {
		t.Fatalf("a new follower begins at %d, %v, want the oldest", start, err)
	}
	if err := handle(t.Context(), p.said); err != nil {
		t.Fatal(err)
	}
	p.docs = map[string]map[string]schemas.Document{}
	p.say("schmidt", "s1", nil)
	if err := handle(t.Context(), p.said[2:]); !errors.Is(err, index.ErrMoved) {
		t.Errorf("going on in an empty store: got %v, want %v", err, index.ErrMoved)
	}
	if err := p.follow(); err != nil {
		t.Fatal(err)
	}
	p.has("visitors-s0", "mueller", "schmidt", "weber")
}

func TestErasureIsForgotten(t *testing.T) {
	tests := []struct {
		name  string
		login string
		left  []string // decisions
	}{
		{"the whole device", "", []string{"0-100-segment", "0-60-segment"}},
		{"one login", "K-1", []string{"0-0-segment", "0-10-segment", "0-100-segment", "0-20-segment", "0-40-segment", "0-60-segment"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := newPortal(t)
			p.visited("mueller", 3, 2)
			p.publish(schemas.Published{Current: 3, Kept: []schemas.Generation{{Run: 3}}})
			if err := p.follower().Follow(t.Context()); err != nil {
				t.Fatal(err)
			}
			p.has("visitors-b3", "mueller")
			for i := range 9 { // of one login each second time
				p.say("mueller", "s1", func(d *schemas.Decision) {
					d.Epoch = 3
					if i%2 == 1 && i > 1 || i > 4 {
						d.Login = "K-1"
					}
				})
			}
			p.said[6].Decision.Device = "weber" // another one, of the same customer
			p.say("mueller", "", func(d *schemas.Decision) { d.Login, d.Erased, d.Epoch = test.login, true, 3 })
			p.has("visitors-s3")
			p.say("mueller", "s2", func(d *schemas.Decision) { d.Login, d.Epoch = "K-1", 3 })
			if err := p.follow(); err != nil {
				t.Fatal(err)
			}
			p.has(schemas.IndexDecisions(now.UnixMicro()), test.left...)
			p.has("visitors-s3", "mueller", "weber")
			p.has("visitors-b3")
		})
	}
}

func TestGenerationIsBroughtOnce(t *testing.T) {
	p := newPortal(t)
	p.visited("mueller", 3, 4)
	p.visited("erased", 3, 2)
	gone := visitor.Cell{Forgot: visitor.Forgotten{All: true}}
	b, err := gone.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	p.put(schemas.VisitorKey("erased"), schemas.ColumnSpeed(3), 99, b)
	value, err := (&kpi.Value{Sum: 42}).AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	p.put(schemas.PaneKey("events", 29_000_000, "destination=Sylt"), schemas.ColumnBatch(3), 3, value)
	p.publish(schemas.Published{Current: 3, Kept: []schemas.Generation{{Run: 3}}})
	f := p.follower()
	if err := f.Follow(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.has("visitors-b3", "mueller")
	p.has("panes-b3", "events|0029000000|destination=Sylt")
	var v schemas.VisitorDocument
	if err := json.Unmarshal(p.docs["visitors-b3"]["mueller"].Body, &v); err != nil {
		t.Fatal(err)
	}
	if v.Events != 4 || v.Sessions != 1 || !slices.Equal(v.Customers, []string{"K-1"}) || v.State != schemas.StateExact {
		t.Errorf("the visitor's document says %+v, want 4 events in one session of customer K-1, exact", v)
	}
	if got, want := fmt.Sprint(p.aliases), "map[panes:[panes-b3] visitors:[visitors-b3]]"; got != want {
		t.Errorf("aliases: got %s, want %s", got, want)
	}
	writes := p.writes
	if err := f.Follow(t.Context()); err != nil || p.writes != writes {
		t.Errorf("the second look writes %d documents, %v, want none", p.writes-writes, err)
	}
}

func TestAliasesFollowWhatIsPublished(t *testing.T) {
	p := newPortal(t)
	f := p.follower()
	look := func(current int64, kept ...int64) {
		t.Helper()
		published := schemas.Published{Current: current, Dropped: true}
		for _, g := range kept {
			published.Kept = append(published.Kept, schemas.Generation{Run: g})
		}
		p.publish(published)
		if err := f.Follow(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for e := range int64(9) {
		if err := p.Write(t.Context(), schemas.VisitorDocument{Device: "mueller", Generation: e}.Document(schemas.IndexVisitorsSpeed(e), e)); err != nil {
			t.Fatal(err)
		}
	}
	means := func(what string, want ...string) {
		t.Helper()
		if got := p.aliases[schemas.KindVisitors]; !slices.Equal(got, want) {
			t.Errorf("%s, visitors mean %q, want %q", what, got, want)
		}
	}
	look(5, 5)
	means("after the first run", "visitors-b5", "visitors-s5", "visitors-s6", "visitors-s7", "visitors-s8")
	look(7, 7, 5)
	means("after the second", "visitors-b7", "visitors-s7", "visitors-s8")
	look(5, 5)
	means("rolled back", "visitors-b5", "visitors-s5", "visitors-s6", "visitors-s7", "visitors-s8")
	if p.docs["visitors-b7"] != nil || p.docs["visitors-s4"] != nil {
		t.Error("what is not kept any more is still there: generation 7, or epoch 4")
	}
	look(8, 8)
	means("with one kept", "visitors-b8", "visitors-s8")
	p.docs["decisions-2025.01.01"] = map[string]schemas.Document{}
	look(8, 8)
	if p.docs["decisions-2025.01.01"] != nil {
		t.Error("decisions of two years ago are still there")
	}
}
