package index

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"fernweh/schemas"
)

// A partition follows one partition of the decision topic.
type partition struct {
	*Follower
	number int32
	stored int64 // position in the store; schemas.Oldest: there is none
}

// decisionsFollower names the positions of what follows decisions.
const decisionsFollower = "decisions"

// errMoved says that the position is not what this follower left there: another
// one has gone on, or the store was emptied.
var errMoved = errors.New("the documents' position is another than was written here")

func (f *Follower) open(ctx context.Context, number int32) (
	start int64, handle func(context.Context, []schemas.DecisionRecord) error, err error,
) {
	p := &partition{Follower: f, number: number}
	if p.stored, err = p.position(ctx); err != nil {
		return 0, nil, err
	}
	return p.stored, p.handle, nil
}

// position is what the store says about how far the documents are.
func (p *partition) position(ctx context.Context) (int64, error) {
	id := schemas.DocumentID(schemas.PositionID(decisionsFollower, p.number))
	doc, found, err := p.Documents.Get(ctx, schemas.IndexPositions, id)
	if err != nil || !found {
		return schemas.Oldest, err
	}
	at, err := schemas.DecodePosition(doc.Body)
	if err != nil {
		return 0, fmt.Errorf("read the documents' position in partition %d: %w", p.number, err)
	}
	return at.Offset, nil
}

// handle writes what some decisions say, and then that it is written. The
// position is looked at first: of documents that were lost no later one may
// pretend that they are there.
func (p *partition) handle(ctx context.Context, records []schemas.DecisionRecord) error {
	stored, err := p.position(ctx)
	if err != nil {
		return err
	}
	if stored != p.stored {
		return fmt.Errorf("partition %d at %d instead of %d: %w", p.number, stored, p.stored, errMoved)
	}
	next := records[len(records)-1].Offset + 1
	for len(records) > 0 {
		n := untilErasure(records)
		if err := p.write(ctx, records[:n]); err != nil {
			return err
		}
		if n < len(records) {
			if err := p.forget(ctx, records[n].Decision); err != nil {
				return err
			}
			n++
		}
		records = records[n:]
	}
	at := schemas.PositionDocument{
		Follower: decisionsFollower, Partition: p.number, Offset: next, At: schemas.DocTime(p.Now().UnixMicro()),
	}
	if err := p.Documents.Write(ctx, at.Document()); err != nil {
		return err
	}
	p.stored = next
	return nil
}

func untilErasure(records []schemas.DecisionRecord) int {
	for i := range records {
		if d := records[i].Decision; d != nil && d.Erased {
			return i
		}
	}
	return len(records)
}

// write writes the document of each decision, and of each visitor the latest.
func (p *partition) write(ctx context.Context, records []schemas.DecisionRecord) error {
	var docs []schemas.Document
	latest := make(map[string]int, len(records)) // index of the visitor's document by its id and index
	oldest := p.Now().Add(-p.Keep).UnixMicro()
	for _, r := range records {
		d := r.Decision
		if d == nil || d.Time < oldest {
			continue // nobody can read it; its index has been dropped, or will be
		}
		docs = append(docs, d.Document())
		if !p.keeps(d.Epoch) {
			continue
		}
		doc := liveVisitor(d)
		at, known := latest[doc.Index+"/"+doc.ID]
		if known {
			docs[at] = doc
			continue
		}
		latest[doc.Index+"/"+doc.ID] = len(docs)
		docs = append(docs, doc)
	}
	if err := p.Documents.Write(ctx, docs...); err != nil {
		return err
	}
	p.Metrics.documents.WithLabelValues(schemas.KindVisitors).Add(float64(len(latest)))
	p.Metrics.documents.WithLabelValues(schemas.KindDecisions).Add(float64(len(docs) - len(latest)))
	return nil
}

// keeps says whether an epoch is still to be found: it is not older than every
// kept generation.
func (f *Follower) keeps(epoch int64) bool {
	published := f.published.Load()
	return published == nil || epoch >= published.Oldest().Run
}

// liveVisitor is the visitor as speed last spoke of it. What a visitor did is
// counted by batch.
func liveVisitor(d *schemas.Decision) schemas.Document {
	return schemas.VisitorDocument{
		At: schemas.DocTime(d.Time), Device: d.Device, State: schemas.StateLive, Generation: d.Epoch,
		Login: d.Login, Segment: d.Segment, Distance: d.Distance, Model: d.Model,
	}.Document(schemas.IndexVisitorsSpeed(d.Epoch), d.Offset)
}

// forget removes what was said of a device before an erasure, or of one login of
// it. The visitor's documents go in either case: those of batch come again with
// the next generation, less what was erased.
func (p *partition) forget(ctx context.Context, d *schemas.Decision) error {
	if err := p.forgetDecisions(ctx, d); err != nil {
		return fmt.Errorf("forget decisions of %s: %w", d.Device, err)
	}
	indices, err := p.Documents.Indices(ctx, schemas.KindVisitors+"-")
	if err != nil {
		return err
	}
	var docs []schemas.Document
	for _, index := range indices {
		version := d.Offset
		if g, ok := generationOf(index); ok {
			version = g
		}
		docs = append(docs, schemas.Document{Index: index, ID: schemas.DocumentID(d.Device), Version: version})
	}
	if err := p.Documents.Delete(ctx, docs...); err != nil {
		return err
	}
	p.Metrics.forgotten.Inc()
	return nil
}

// forgetDecisions removes decisions until none is found any more.
func (p *partition) forgetDecisions(ctx context.Context, d *schemas.Decision) error {
	q := schemas.Query{
		Index: schemas.KindDecisions, Limit: 1000,
		Terms:  []schemas.Term{{Field: "device", Values: []string{d.Device}}},
		Ranges: []schemas.Range{{Field: "offset", From: 0, To: d.Offset}},
	}
	if d.Login != "" {
		q.Terms = append(q.Terms, schemas.Term{Field: "login", Values: []string{d.Login}})
	}
	for {
		indices, err := p.Documents.Indices(ctx, schemas.KindDecisions+"-")
		if err != nil || len(indices) == 0 {
			return err
		}
		if err := p.Documents.Refresh(ctx, indices...); err != nil {
			return err
		}
		hits, err := p.Documents.Search(ctx, q)
		if err != nil || len(hits.Documents) == 0 {
			return err
		}
		if err := p.Documents.Delete(ctx, hits.Documents...); err != nil {
			return err
		}
	}
}

// generationOf is the generation whose visitors or panes an index holds.
func generationOf(index string) (g int64, ok bool) { return numberOf(index, "-b") }

// epochOf is the epoch whose visitors an index holds.
func epochOf(index string) (e int64, ok bool) { return numberOf(index, "-s") }

func numberOf(index, letter string) (n int64, ok bool) {
	_, text, found := strings.Cut(index, letter)
	if !found {
		return 0, false
	}
	_, err := fmt.Sscanf(text, "%d", &n)
	return n, err == nil
}
