package elastic

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"sync"

	"github.com/elastic/go-elasticsearch/v8/esapi"
	"golang.org/x/sync/errgroup"

	"fernweh/schemas"
)

// Write writes whole documents, several bulk requests at a time. The highest
// version stays; what is older is left out. A document that can never be
// written is named by a schemas.Refused in the error, and the others are written.
// While the server is busy or away it is tried again, until ctx is done or
// patience is over; callers wait meanwhile for their turn.
func (d *Documents) Write(ctx context.Context, docs ...schemas.Document) error {
	b := d.bulk(opIndex, func(doc schemas.Document) error {
		_, err := doc.Values()
		return err
	})
	if err := b.run(ctx, docs); err != nil {
		return fmt.Errorf("write %s: %w", describe(docs), err)
	}
	return nil
}

// Delete removes documents, unless a higher version is there. An index that is
// not there stays so: the server would make it to remember the deletion.
func (d *Documents) Delete(ctx context.Context, docs ...schemas.Document) error {
	if err := d.remove(ctx, docs); err != nil {
		return fmt.Errorf("delete %s: %w", describe(docs), err)
	}
	return nil
}

func (d *Documents) remove(ctx context.Context, docs []schemas.Document) error {
	there, err := d.Indices(ctx, "")
	if err != nil {
		return err
	}
	docs = slices.DeleteFunc(slices.Clone(docs), func(doc schemas.Document) bool {
		return schemas.CheckIndex(doc.Index) == nil && !slices.Contains(there, doc.Index)
	})
	return d.bulk(opDelete, schemas.Document.CheckVersion).run(ctx, docs)
}

// describe names documents in an error.
func describe(docs []schemas.Document) string {
	if len(docs) == 1 {
		return fmt.Sprintf("document %q of %q", clip(docs[0].ID), docs[0].Index)
	}
	return fmt.Sprintf("%d documents", len(docs))
}

// Operations of a bulk request.
const (
	opIndex  = "index"
	opDelete = "delete"
)

// A bulk is one operation on any number of documents, request by request.
type bulk struct {
	*Documents
	operation string
	check     func(schemas.Document) error // a document before it is sent

	mu      sync.Mutex
	refused []*schemas.Refused // guarded by mu
}

func (d *Documents) bulk(operation string, check func(schemas.Document) error) *bulk {
	return &bulk{Documents: d, operation: operation, check: check}
}

// sound gives the documents that pass the check.
func (b *bulk) sound(docs []schemas.Document) []schemas.Document {
	sound := make([]schemas.Document, 0, len(docs))
	for _, doc := range docs {
		if err := b.check(doc); err != nil {
			b.refuse(schemas.RefusedIn(err)...)
			continue
		}
		sound = append(sound, doc)
	}
	return sound
}

// refuse notes documents that can never be written.
func (b *bulk) refuse(r ...*schemas.Refused) {
	b.metrics.item(outcomeRefused, len(r))
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refused = append(b.refused, r...)
}

// run sends documents. Each request waits for a slot: that is the queue, and
// its end is the caller.
func (b *bulk) run(ctx context.Context, docs []schemas.Document) error {
	if err := b.enter(ctx); err != nil {
		return err
	}
	defer b.calls.Done()
	b.metrics.queue.Add(float64(len(docs)))
	defer b.metrics.queue.Sub(float64(len(docs)))
	g, working := errgroup.WithContext(ctx)
	for len(docs) > 0 && working.Err() == nil {
		n := b.fit(docs)
		part := docs[:n]
		docs = docs[n:]
		select {
		case b.slots <- struct{}{}:
		case <-working.Done():
			continue
		}
		g.Go(func() error {
			defer func() { <-b.slots }()
			return b.sendAll(working, b.sound(part))
		})
	}
	err := g.Wait()
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return err
	}
	return schemas.JoinRefused(b.refused)
}

// What a document costs in a request besides its body, and how many fit in one at most.
const (
	actionBytes  = 120
	maxDocuments = 10_000
)

// fit is how many of some documents go into one request: at least one.
func (b *bulk) fit(docs []schemas.Document) int {
	size := 0
	for i := range docs {
		size += actionBytes + len(docs[i].ID) + len(docs[i].Body)
		if i > 0 && size > b.config.Bulk || i == maxDocuments {
			return i
		}
	}
	return len(docs)
}

// sendAll sends documents in one request, and what the server was too busy for
// again, until nothing is left.
func (b *bulk) sendAll(ctx context.Context, docs []schemas.Document) error {
	w := b.wait(b.operation)
	var body bytes.Buffer
	for len(docs) > 0 {
		body.Reset()
		for _, doc := range docs {
			if err := b.encode(&body, doc); err != nil {
				return err
			}
		}
		var answer bulkAnswer
		err := b.attempt(ctx, b.operation, esapi.BulkRequest{
			Body: bytes.NewReader(body.Bytes()), FilterPath: bulkAnswerPaths,
		}, &answer)
		if err == nil && len(answer.Items) != len(docs) {
			err = fmt.Errorf("Elasticsearch answers %d of %d documents", len(answer.Items), len(docs))
		}
		if err == nil {
			before := len(docs)
			if docs, err = b.settle(docs, answer.Items); err == nil {
				return nil
			}
			if len(docs) < before {
				w.again()
			}
		}
		if !hopeful(err) {
			return err
		}
		if err := w.pause(ctx, err); err != nil {
			return err
		}
	}
	return nil
}

// encode appends one document: the action in a line, and, if it has one, the body in another.
func (b *bulk) encode(to *bytes.Buffer, doc schemas.Document) error {
	id, err := json.Marshal(doc.ID)
	if err != nil {
		return err
	}
	line := append(to.AvailableBuffer(), `{"`...)
	line = append(line, b.operation...)
	line = append(line, `":{"_index":"`...)
	line = append(line, b.name(doc.Index)...)
	line = append(line, `","_id":`...)
	line = append(line, id...)
	line = append(line, `,"version":`...)
	line = strconv.AppendInt(line, doc.Version, 10)
	line = append(line, `,"version_type":"external_gte"}}`+"\n"...)
	to.Write(line)
	if b.operation == opDelete {
		return nil
	}
	if bytes.IndexByte(doc.Body, '\n') < 0 {
		to.Write(doc.Body)
	} else if err := json.Compact(to, doc.Body); err != nil { // a line must not end within
		return err
	}
	to.WriteByte('\n')
	return nil
}

// A bulkAnswer is what the server says of a bulk request, document by document
// in the order of the request.
type bulkAnswer struct {
	Items []struct{ Index, Delete *bulkItem }
}

type bulkItem struct {
	Status int
	Error  struct {
		Type, Reason string
		Cause        struct{ Reason string } `json:"caused_by"`
	}
}

// bulkAnswerPaths leave out of the answer what nobody reads: most of it.
var bulkAnswerPaths = []string{"items.*.status", "items.*.error.type", "items.*.error.reason", "items.*.error.caused_by.reason"}

// settle looks at the answer to each document and gives back those that the
// server was too busy for, with an error that says why.
func (b *bulk) settle(docs []schemas.Document, items []struct{ Index, Delete *bulkItem }) (again []schemas.Document, err error) {
	outcomes := make(map[string]int)
	for i, both := range items {
		item := both.Index
		if b.operation == opDelete {
			item = both.Delete
		}
		if item == nil {
			return docs, fmt.Errorf("Elasticsearch does not say what became of document %q", clip(docs[i].ID))
		}
		outcome := b.outcome(item)
		outcomes[outcome]++
		switch outcome {
		case outcomeRefused:
			if item.Status == http.StatusForbidden {
				return docs, &refusal{item.Status, item.Error.Type, item.Error.Reason}
			}
			b.refuse(item.refused(docs[i]))
		case outcomeRetried:
			again = append(again, docs[i])
			err = &refusal{item.Status, item.Error.Type, item.Error.Reason}
		}
	}
	delete(outcomes, outcomeRefused) // which refuse has counted
	for outcome, n := range outcomes {
		b.metrics.item(outcome, n)
	}
	return again, err
}

// outcome says what became of one document.
func (b *bulk) outcome(item *bulkItem) string {
	switch {
	case item.Status == http.StatusConflict:
		return outcomeOlder
	case b.operation == opDelete && item.Status == http.StatusNotFound:
		return outcomeMissing
	case passing(item.Status):
		return outcomeRetried
	case item.Status >= 300:
		return outcomeRefused
	case b.operation == opDelete:
		return outcomeDeleted
	}
	return outcomeWritten
}

// namedField finds the field in what the server says of a document.
var namedField = regexp.MustCompile(`(?:field|introduction of) \[([^\]]+)\]`)

// refused is what the server's word means for a document.
func (i *bulkItem) refused(doc schemas.Document) *schemas.Refused {
	r := &schemas.Refused{Index: doc.Index, ID: doc.ID, Reason: clip(i.Error.Type + ": " + i.Error.Reason)}
	if i.Error.Cause.Reason != "" {
		r.Reason += ": " + clip(i.Error.Cause.Reason)
	}
	if m := namedField.FindStringSubmatch(i.Error.Reason); m != nil {
		r.Field = m[1]
	}
	return r
}
