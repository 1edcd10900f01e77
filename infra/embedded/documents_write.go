package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/blevesearch/bleve/v2/document"
	"github.com/blevesearch/bleve/v2/numeric"
	index "github.com/blevesearch/bleve_index_api"

	"fernweh/schemas"
)

// Fields that Bleve holds of each document beside those of its mapping.
const (
	fieldVersion = "_version" // sixteen hexadecimal digits
	fieldBody    = "_body"    // stored, not found
	fieldLive    = "_live"    // live; a deletion lacks it
	live         = "1"
)

// How a field is held: what is found is also looked at, to sort and to count.
const (
	found  = index.IndexField | index.DocValues
	stored = index.StoreField
)

// What is written at once, at most: the next who waits has its turn after that.
const (
	batchDocuments = 1000
	batchBytes     = 8 << 20
)

// Write writes whole documents. The highest version stays; what is older is left
// out. A document that can never be written is named by a schemas.Refused in
// the error, and the others are written.
func (d *Documents) Write(ctx context.Context, docs ...schemas.Document) error {
	var refused []*schemas.Refused
	ops := make([]writing, 0, len(docs))
	for _, doc := range docs {
		values, err := doc.Values()
		if err != nil {
			refused = append(refused, schemas.RefusedIn(err)...)
			continue
		}
		ops = append(ops, writing{doc, values, false})
	}
	err := d.apply(ctx, ops, true)
	if err == nil {
		err = schemas.JoinRefused(refused)
	}
	if err != nil {
		return fmt.Errorf("write %d documents: %w", len(docs), err)
	}
	return nil
}

// Delete removes documents, unless a higher version is there. The deletion's
// version is kept as long as the index is.
func (d *Documents) Delete(ctx context.Context, docs ...schemas.Document) error {
	var refused []*schemas.Refused
	ops := make([]writing, 0, len(docs))
	for _, doc := range docs {
		if err := doc.CheckVersion(); err != nil {
			refused = append(refused, schemas.RefusedIn(err)...)
			continue
		}
		ops = append(ops, writing{doc, nil, true})
	}
	err := d.apply(ctx, ops, false)
	if err == nil {
		err = schemas.JoinRefused(refused)
	}
	if err != nil {
		return fmt.Errorf("delete %d documents: %w", len(docs), err)
	}
	return nil
}

// A writing is a document on its way, or the deletion of one.
type writing struct {
	schemas.Document
	values  []schemas.FieldValue
	deletes bool
}

// size is about how many bytes a writing has.
func (w writing) size() int { return len(w.ID) + len(w.Body) + 100 }

// apply writes index by index. An index that is not there is made, or, without
// create, left out.
func (d *Documents) apply(ctx context.Context, ops []writing, create bool) error {
	byIndex := make(map[string][]writing)
	var names []string
	for _, op := range ops {
		if byIndex[op.Index] == nil {
			names = append(names, op.Index)
		}
		byIndex[op.Index] = append(byIndex[op.Index], op)
	}
	if create {
		if err := d.makeAll(ctx, names); err != nil {
			return err
		}
	}
	if err := d.enter(ctx); err != nil {
		return err
	}
	defer d.set.RUnlock()
	for _, name := range names {
		s := d.shelves[name]
		if s == nil && !create {
			continue
		}
		if s == nil {
			return fmt.Errorf("index %s was dropped meanwhile", name)
		}
		if err := d.fill(ctx, s, byIndex[name]); err != nil {
			return fmt.Errorf("index %s: %w", name, err)
		}
	}
	return nil
}

// makeAll makes the indices that are not there.
func (d *Documents) makeAll(ctx context.Context, names []string) error {
	if err := d.enter(ctx); err != nil {
		return err
	}
	missing := slices.ContainsFunc(names, func(name string) bool { return d.shelves[name] == nil })
	d.set.RUnlock()
	if !missing {
		return nil
	}
	if err := d.enterAlone(ctx); err != nil {
		return err
	}
	defer d.set.Unlock()
	for _, name := range names {
		if err := d.make(name); err != nil {
			return err
		}
	}
	return nil
}

// fill writes to one index, part by part.
func (d *Documents) fill(ctx context.Context, s *shelf, ops []writing) (err error) {
	i, err := d.desk.borrow(s, d.analysts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.desk.give(s)) }()
	for len(ops) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, size := 0, 0
		for n < len(ops) && n < batchDocuments && (n == 0 || size+ops[n].size() <= batchBytes) {
			size += ops[n].size()
			n++
		}
		if err := s.batch(i, ops[:n]); err != nil {
			return err
		}
		ops = ops[n:]
	}
	return nil
}

// batch writes what is not older than what is there, all of it or nothing.
func (s *shelf) batch(i index.Index, ops []writing) error {
	s.write.Lock()
	defer s.write.Unlock()
	newest := make(map[string]writing, len(ops))
	for _, op := range ops {
		if other, ok := newest[op.ID]; !ok || op.Version >= other.Version {
			newest[op.ID] = op
		}
	}
	batch := index.NewBatch()
	if err := newerOnly(i, newest); err != nil {
		return err
	}
	for _, op := range newest {
		batch.Update(op.document())
	}
	if len(newest) == 0 {
		return nil
	}
	return i.Batch(batch)
}

// newerOnly leaves out what is older than what an index has.
func newerOnly(i index.Index, newest map[string]writing) (err error) {
	r, err := i.Reader()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	versions, err := r.DocValueReader([]string{fieldVersion})
	if err != nil {
		return err
	}
	for id, op := range newest {
		at, err := r.InternalID(id)
		if err != nil {
			return err
		}
		if at == nil {
			continue
		}
		there, err := readVersion(versions, at)
		if err != nil {
			return err
		}
		if there > op.Version {
			delete(newest, id)
		}
	}
	return nil
}

// readVersion is the version of a document.
func readVersion(versions index.DocValueReader, at index.IndexInternalID) (version int64, err error) {
	parsed := errors.New("it has no version")
	err = versions.VisitDocValues(at, func(_ string, term []byte) {
		version, parsed = strconv.ParseInt(string(term), 16, 64)
	})
	return version, errors.Join(err, parsed)
}

// document is what Bleve holds of a writing.
func (w writing) document() *document.Document {
	doc := document.NewDocument(w.ID)
	doc.AddField(text(fieldVersion, fmt.Sprintf("%016x", w.Version), found))
	if w.deletes {
		return doc
	}
	doc.AddField(text(fieldLive, live, index.IndexField))
	doc.AddField(document.NewTextFieldWithIndexingOptions(fieldBody, nil, bytes.Clone(w.Body), stored))
	for _, v := range w.values {
		switch v.Type {
		case schemas.FieldKeyword:
			doc.AddField(text(v.Name, v.Text, found))
		case schemas.FieldDouble:
			doc.AddField(document.NewNumericFieldWithIndexingOptions(v.Name, nil, v.Double, found))
		default:
			doc.AddField(document.NewNumericFieldWithIndexingOptions(v.Name, nil, ordered(v.Int), found))
		}
	}
	return doc
}

// text is a field that is found whole.
func text(name, value string, how index.FieldIndexingOptions) *document.TextField {
	return document.NewTextFieldWithIndexingOptions(name, nil, []byte(value), how)
}

// ordered is the float whose place in Bleve's order of floats is n. Bleve holds
// only that place, so integers of all 64 bits lie there as they are; their
// nearest floats would make one of two neighbours above 2^53.
func ordered(n int64) float64 { return numeric.Int64ToFloat64(n) }
