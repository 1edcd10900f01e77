package index_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fernweh/model/cluster"
	"fernweh/model/visitor"
	"fernweh/schemas"
	"fernweh/serving/index"
)

// told is the state of each component, as it was told last.
type told map[string]string

func (t told) Down(component string, why error)    { t[component] = "down: " + why.Error() }
func (t told) Limited(component string, why error) { t[component] = "limited: " + why.Error() }
func (t told) Up(component string)                 { delete(t, component) }

// artefact is a model in which every visitor is nearest to one segment.
func artefact(t *testing.T, id, segment string) []byte {
	t.Helper()
	names := visitor.Features()
	m := &cluster.Model{ID: id, Wanted: 1, Vectors: 1, Features: cluster.Unscaled(names), Segments: []cluster.Segment{
		{ID: segment, Name: segment, Size: 1, Centroid: make([]float64, len(names))},
	}}
	b, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestAGenerationWithoutItsModel: it is found all the same, without segments, and
// with them as soon as the model is back.
func TestAGenerationWithoutItsModel(t *testing.T) {
	for name, first := range map[string][]byte{"nowhere": nil, "damaged": []byte("{}")} {
		t.Run(name, func(t *testing.T) {
			p := newPortal(t)
			p.visited("mueller", 3, 4)
			p.visited("weber", 2, 1)
			p.publish(schemas.Published{Current: 2, Kept: []schemas.Generation{{Run: 2}}})
			f := p.follower()
			if err := f.Follow(t.Context()); err != nil {
				t.Fatal(err)
			}
			if first != nil {
				p.put(schemas.ModelKey("m1"), schemas.ColumnValue, 1, first)
			}
			p.publish(schemas.Published{Current: 3, Kept: []schemas.Generation{{Run: 3, Model: "m1"}}})
			lacks := func(when string) {
				t.Helper()
				if err := f.Follow(t.Context()); err == nil || !strings.Contains(err.Error(), "read model m1: ") {
					t.Errorf("%s: got %v, want a word about m1", when, err)
				}
			}
			lacks("without its model")
			p.names("mueller", "")
			if got, want := fmt.Sprint(p.aliases[schemas.KindVisitors]), "[visitors-b3]"; got != want {
				t.Errorf("visitors mean %s, want %s", got, want)
			}
			if p.docs["visitors-b2"] != nil {
				t.Error("generation 2 is no longer kept, and its documents are there")
			}
			writes := p.writes
			lacks("at the next look")
			if p.writes != writes {
				t.Errorf("the second look writes %d documents, want none", p.writes-writes)
			}

			delete(p.rows, schemas.ModelKey("m1"))
			p.put(schemas.ModelKey("m1"), schemas.ColumnValue, 1, artefact(t, "m1", "everybody"))
			if err := f.Follow(t.Context()); err != nil {
				t.Errorf("with its model: %v", err)
			}
			p.names("mueller", "everybody")

			p.publish(schemas.Published{Current: 4, Kept: []schemas.Generation{{Run: 4}}})
			if err := f.Follow(t.Context()); err != nil {
				t.Fatal(err)
			}
			p.has(schemas.IndexPositions, "generation-4/0")
		})
	}
}

// names expects the segment in a visitor's document of generation 3.
func (p *portal) names(device, want string) {
	p.Helper()
	var v schemas.VisitorDocument
	if err := json.Unmarshal(p.docs["visitors-b3"][device].Body, &v); err != nil {
		p.Fatalf("document of %s: %v", device, err)
	}
	if v.Segment != want || v.Events != 4 {
		p.Errorf("%s: got %d events, segment %q, want 4 and %q", device, v.Events, v.Segment, want)
	}
}

// TestAGenerationWithoutItsModelIsLess: the process stays ready, and says what is
// missing until it is there.
func TestAGenerationWithoutItsModelIsLess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, says := newPortal(t), told{}
		p.publish(schemas.Published{Current: 3, Kept: []schemas.Generation{{Run: 3, Model: "m1"}}})
		f := p.follower()
		f.Health = says
		look := func() told {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := index.Generations(f, ctx); err != nil {
				t.Fatal(err)
			}
			return says
		}
		if got := look()["generations"]; !strings.HasPrefix(got, "limited: ") || !strings.Contains(got, "read model m1: ") {
			t.Errorf("without the model: got %q, want limited and a word about m1", got)
		}
		p.put(schemas.ModelKey("m1"), schemas.ColumnValue, 1, artefact(t, "m1", "everybody"))
		if got := look(); len(got) > 0 {
			t.Errorf("with the model: got %v, want nothing", got)
		}
	})
}
