package serving_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"fernweh/schemas"
	"fernweh/serving"
)

// slow is a store that takes so long for each of the next reads.
type slow struct {
	*portal
	reads []time.Duration
}

func (s *slow) Get(ctx context.Context, keys ...schemas.Key) ([]schemas.Row, error) {
	if keys[0].Table == schemas.TableVisitors {
		s.passes(s.reads[0])
		s.reads = s.reads[1:]
	}
	return s.portal.Get(ctx, keys...)
}

func TestARowThatCameTooLateIsReadAgainWithinAFreshHorizon(t *testing.T) {
	p := newPortal(t, 1)
	p.happens(page("anna"))
	s := &slow{p, []time.Duration{serving.HorizonLife + 1, 0}}
	horizons := 0
	r := serving.Reader{Views: s, Now: p.clock, Horizon: func(ctx context.Context) (serving.Horizon, error) {
		horizons++
		return serving.ReadHorizon(ctx, s, 1, p.clock())
	}}
	v, err := r.Visitor(context.Background(), "anna")
	if err != nil || horizons != 2 || v.Through != 1 {
		t.Errorf("got through %d, %d horizons, %v, want 1 through a second horizon", v.Through, horizons, err)
	}
	s.reads = []time.Duration{serving.HorizonLife + 1, serving.HorizonLife + 1}
	if _, err := r.Visitor(context.Background(), "anna"); err == nil || !strings.Contains(err.Error(), "too slow") {
		t.Errorf("twice too late: got %v, want an error that says so", err)
	}
}

func TestAHorizonThatContradictsItselfIsAnError(t *testing.T) {
	p := newPortal(t, 1)
	p.put(schemas.KeyPublished, schemas.ColumnValue, 9, []byte(`{"current":9,"kept":[{"run":8}]}`))
	_, err := serving.ReadHorizon(context.Background(), p, 1, p.clock())
	if want := "find generation 9: it is published but not kept"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	p.put(schemas.KeyPublished, schemas.ColumnValue, 10, []byte(`{"current`))
	if _, err := serving.ReadHorizon(context.Background(), p, 1, p.clock()); err == nil || !strings.HasPrefix(err.Error(), "read published of meta") {
		t.Errorf("half a record: got %v, want an error that names it", err)
	}
}

func FuzzParseOffsets(f *testing.F) {
	for _, s := range []string{"", "0:0", "3:124,5:17", "3:124, 5:17", "9:1", "a:b", ":", "1:", "-1:4", "1:-4", ",", "1:99999999999999999999"} {
		f.Add(s, int32(8))
	}
	f.Fuzz(func(t *testing.T, s string, partitions int32) {
		offsets, err := serving.ParseOffsets(s, partitions)
		for _, o := range offsets {
			if o.Partition < 0 || o.Partition >= partitions || o.Offset < 0 {
				t.Errorf("%q of %d partitions: got %+v, want an error", s, partitions, o)
			}
		}
		if err == nil && s != "" && len(offsets) != strings.Count(s, ",")+1 {
			t.Errorf("%q: got %d offsets, want one for each pair", s, len(offsets))
		}
	})
}
