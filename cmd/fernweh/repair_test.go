package main

import (
	"fmt"
	"strings"
	"testing"

	"fernweh/infra/embedded"
	"fernweh/infra/kafka"
	"fernweh/model/visitor"
	"fernweh/schemas"
)

// TestRepairBringsBackAllOnce: events that a producer which counts two partitions
// writes into a topic of three are in no view; after a repair each counts once, as if
// it had been written where it belongs; a second repair appends nothing.
func TestRepairBringsBackAllOnce(t *testing.T) {
	const partitions = 3
	broker, err := embedded.OpenBroker(t.TempDir(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	cfg := kafka.Config{Brokers: []string{broker.Addr()}, ClientID: "test"}
	if err := kafka.EnsureTopics(t.Context(), cfg, schemas.Topics(partitions), 1); err != nil {
		t.Fatal(err)
	}
	var events, actions []*schemas.Event
	for i := range 40 {
		events = append(events, &schemas.Event{Id: fmt.Sprint("m", i), Device: fmt.Sprint("d", i%20), Kind: schemas.Kind_KIND_PAGE,
			Time: 1, Received: 1, Source: []string{"web", ""}[i%2], AssumedConsent: true})
	}
	actions = append(actions, &schemas.Event{Id: "a", Device: "d0", Kind: schemas.Kind_KIND_ACTION, Source: "web", Action: &schemas.Action{Campaign: "c"}})
	write := func(partitions int32, events []*schemas.Event) int64 {
		p, err := kafka.NewProducer(cfg, partitions)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		if _, err := p.Append(t.Context(), events); err != nil {
			t.Fatal(err)
		}
		return int64(len(events))
	}
	records := write(2, events)
	records += write(2, events[:7]) // some of them twice
	records += write(2, actions)
	records += write(partitions, events[30:])
	wrong := 0
	for _, e := range events {
		if schemas.Partition(e.Device, 2) != schemas.Partition(e.Device, partitions) {
			wrong++
		}
	}
	fix := func(dry bool) (now int64, said string) {
		r := &repair{dry: dry, scan: func(fn func(schemas.Record) error) error { return kafka.Scan(t.Context(), cfg, partitions, fn) },
			put: func(events []*schemas.Event) error { write(partitions, events); return nil }}
		if err := r.run(); err != nil {
			t.Fatal(err)
		}
		for _, c := range r.sources {
			now += c.now
		}
		var out strings.Builder
		r.print(&out)
		return now, out.String()
	}
	accepted := func() (n int, kept int64) {
		filters := map[string]*visitor.Filter{}
		err := kafka.Scan(t.Context(), cfg, partitions, func(r schemas.Record) error {
			kept++
			if e := r.Event; e != nil && e.Kind == schemas.Kind_KIND_PAGE {
				if filters[e.Device] == nil {
					filters[e.Device] = new(visitor.Filter)
				}
				if v, _ := filters[e.Device].Pass(visitor.Limits{}, visitor.HashID(e.Id), e); v == visitor.Accepted {
					n++
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return n, kept
	}
	before, _ := accepted()
	if before >= len(events) || wrong == 0 {
		t.Fatalf("%d of %d events count before the repair, %d are misplaced: nothing to repair", before, len(events), wrong)
	}
	todo, said := fix(true)
	if n, kept := accepted(); n != before || kept != records || todo != int64(len(events)-before) || !strings.Contains(said, "to append") {
		t.Errorf("a dry run says %d are to be appended of %d, and the log has %d records, want %d:\n%s", todo, len(events)-before, kept, records, said)
	}
	done, said := fix(false)
	if n, kept := accepted(); n != len(events) || done != todo || kept != records+done {
		t.Errorf("after the repair of %d events %d of %d count, the log has %d records, want %d", done, n, len(events), kept, records+done)
	}
	for _, source := range []string{"web", "(none)"} {
		if !strings.Contains(said, source) {
			t.Errorf("the source %s is not named:\n%s", source, said)
		}
	}
	if again, _ := fix(false); again != 0 {
		t.Errorf("a second repair appends %d events", again)
	}
}
