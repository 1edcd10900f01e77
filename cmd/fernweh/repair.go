package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"fernweh/infra/kafka"
	"fernweh/schemas"

	"google.golang.org/protobuf/proto"
)

// runRepair brings misplaced events to the partitions of their devices.
func runRepair(ctx context.Context, c *config, to console) error {
	s, err := openStack(ctx, c, "fernweh repair", 0)
	if err != nil {
		return err
	}
	r := &repair{
		scan: func(fn func(schemas.Record) error) error { return kafka.Scan(ctx, s.kafka, c.Log.Partitions, fn) },
		put: func(events []*schemas.Event) error {
			_, err := s.producer.Append(ctx, events)
			return err
		},
		dry: c.Repair.Dry,
	}
	if c.Repair.Dry {
		err = r.run()
	} else {
		err = s.acting("repair", "", func() (string, error) { return "", r.run() })
	}
	r.print(to.out)
	return errors.Join(err, s.close())
}

// A repair appends every event that lies in another partition than its device's to
// that one, under its id, unless an event of that id and device lies there already.
// So a second repair appends nothing; of two at the same time the filter of the
// device drops the later one's events as duplicates. What is odd stays where it is:
// the log is never changed.
type repair struct {
	scan func(fn func(schemas.Record) error) error // of what the log holds, in the order of each partition
	put  func([]*schemas.Event) error
	dry  bool

	placed  map[[16]byte]bool // misplaced events, and whether they lie where they belong, too
	sources map[string]*repaired
	waiting []*schemas.Event
	bytes   int
}

// repaired counts the misplaced events of one source.
type repaired struct{ misplaced, before, now, left int64 }

// run reads the log three times: what is misplaced, what of it lies in its place
// already, and then what is to be appended, so that memory holds a hash an event.
func (r *repair) run() error {
	r.placed, r.sources = make(map[[16]byte]bool), make(map[string]*repaired)
	err := r.scan(func(record schemas.Record) error {
		if e := record.Misplaced; e != nil {
			r.placed[whose(e)] = false
			r.of(e).misplaced++
		}
		return nil
	})
	if err != nil || len(r.placed) == 0 {
		return err
	}
	err = r.scan(func(record schemas.Record) error {
		if e := record.Event; e != nil {
			if _, is := r.placed[whose(e)]; is {
				r.placed[whose(e)] = true
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := r.scan(func(record schemas.Record) error { return r.one(record.Misplaced) }); err != nil {
		return err
	}
	return r.flush()
}

// one takes a misplaced event; nil: the record is none.
func (r *repair) one(e *schemas.Event) error {
	if e == nil {
		return nil
	}
	key := whose(e)
	placed, seen := r.placed[key]
	switch {
	case !seen: // it came in after the repair began
	case placed:
		r.of(e).before++
	case e.Kind == schemas.Kind_KIND_ACTION: // its cause is an offset of the partition that it lies in
		r.of(e).left++
	default:
		r.of(e).now++
		r.placed[key] = true
		r.waiting = append(r.waiting, e)
		r.bytes += proto.Size(e)
	}
	const most = 4 << 20
	if r.bytes < most {
		return nil
	}
	return r.flush()
}

func (r *repair) flush() error {
	if r.dry || len(r.waiting) == 0 {
		r.waiting, r.bytes = nil, 0
		return nil
	}
	if err := r.put(r.waiting); err != nil {
		return fmt.Errorf("repair %d events (what was appended before stays, and a repair appends none twice): %w", len(r.waiting), err)
	}
	r.waiting, r.bytes = nil, 0
	return nil
}

func (r *repair) of(e *schemas.Event) *repaired {
	c := r.sources[e.Source]
	if c == nil {
		c = new(repaired)
		r.sources[e.Source] = c
	}
	return c
}

// whose is how an event is known: its device and its id.
func whose(e *schemas.Event) (key [16]byte) {
	h := sha256.New()
	fmt.Fprintf(h, "%d:%s%s", len(e.Device), e.Device, e.Id)
	copy(key[:], h.Sum(nil))
	return key
}

func (r *repair) print(w io.Writer) {
	if len(r.sources) == 0 {
		fmt.Fprintln(w, "no event lies in another partition than its device's")
		return
	}
	now := "appended now"
	if r.dry {
		now = "to append"
	}
	fmt.Fprintf(w, "%-24s %12s %12s %14s %12s\n", "source", "misplaced", "in place too", now, "left (actions)")
	for _, source := range slices.Sorted(maps.Keys(r.sources)) {
		c := r.sources[source]
		fmt.Fprintf(w, "%-24s %12d %12d %14d %12d\n", cmp.Or(source, "(none)"), c.misplaced, c.before, c.now, c.left)
	}
}
