package schemas

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Kinds of documents. An index is named after the kind of what is in it.
const (
	KindDecisions = "decisions" // what speed said, one document a decision
	KindVisitors  = "visitors"  // what is known of a device
	KindPanes     = "panes"     // the portal's numbers, minute by minute
	KindPositions = "positions" // how far who fills the others is
)

// FieldType says how a field of a document is read and found.
type FieldType string

// Types of fields, by their names in Elasticsearch.
const (
	FieldKeyword FieldType = "keyword" // a string that is found whole
	FieldLong    FieldType = "long"    // an integer
	FieldDouble  FieldType = "double"  // any other number
	FieldDate    FieldType = "date"    // a string as DocTime writes it
)

// A Field of a document. It may be missing.
type Field struct {
	Name string
	Type FieldType
	List bool // may be a list of values
}

// A Mapping declares the fields of a kind of document. It is strict: a field
// that is not in it is an error.
type Mapping struct {
	Kind   string
	Key    string // the keyword field, always there, that the document's id follows from
	Fields []Field
}

// Field finds a field by its name.
func (m Mapping) Field(name string) (Field, bool) {
	for _, f := range m.Fields {
		if f.Name == name {
			return f, true
		}
	}
	return Field{}, false
}

// names are the names of the fields for an error.
func (m Mapping) names() string {
	names := make([]string, len(m.Fields))
	for i, f := range m.Fields {
		names[i] = f.Name
	}
	return strings.Join(names, ", ")
}

// MappingOf finds the mapping of an index or alias by its name.
func MappingOf(name string) (Mapping, error) {
	kind, _, _ := strings.Cut(name, "-")
	for _, m := range mappings {
		if m.Kind == kind {
			return m, nil
		}
	}
	return Mapping{}, fmt.Errorf("%q is neither an index nor an alias; there are %s, %s, %s and %s, and indices named %q",
		name, KindDecisions, KindVisitors, KindPanes, KindPositions, KindVisitors+"-b7")
}

// Mappings declares all kinds.
func Mappings() []Mapping { return append([]Mapping(nil), mappings[:]...) }

// mappings is a table; nothing changes it.
var mappings = [...]Mapping{
	{KindDecisions, "id", []Field{
		{"@timestamp", FieldDate, false}, {"id", FieldKeyword, false},
		{"device", FieldKeyword, false}, {"login", FieldKeyword, false},
		{"partition", FieldLong, false}, {"offset", FieldLong, false}, {"epoch", FieldLong, false},
		{"segment", FieldKeyword, false}, {"distance", FieldDouble, false}, {"model", FieldKeyword, false},
	}},
	{KindVisitors, "device", []Field{
		{"@timestamp", FieldDate, false}, {"device", FieldKeyword, false},
		{"state", FieldKeyword, false}, {"generation", FieldLong, false},
		{"consent", FieldKeyword, false}, {"login", FieldKeyword, false}, {"customers", FieldKeyword, true},
		{"segment", FieldKeyword, false}, {"distance", FieldDouble, false}, {"model", FieldKeyword, false},
		{"first", FieldDate, false}, {"last", FieldDate, false},
		{"sessions", FieldLong, false}, {"bounces", FieldLong, false}, {"events", FieldLong, false},
		{"searches", FieldLong, false}, {"views", FieldLong, false}, {"carts", FieldLong, false},
		{"bookings", FieldLong, false}, {"cancellations", FieldLong, false},
		{"currency", FieldKeyword, false}, {"booked", FieldLong, false}, {"cancelled", FieldLong, false},
		{"party", FieldKeyword, false}, {"styles", FieldKeyword, true},
		{"destinations", FieldKeyword, true}, {"offers", FieldKeyword, true},
	}},
	{KindPanes, "id", []Field{
		{"@timestamp", FieldDate, false}, {"id", FieldKeyword, false},
		{"state", FieldKeyword, false}, {"generation", FieldLong, false},
		{"measure", FieldKeyword, false}, {"dimension", FieldKeyword, false}, {"key", FieldKeyword, false},
		{"value", FieldLong, false}, {"distinct", FieldLong, false},
	}},
	{KindPositions, "id", []Field{
		{"id", FieldKeyword, false}, {"follower", FieldKeyword, false},
		{"partition", FieldLong, false}, {"offset", FieldLong, false}, {"at", FieldDate, false},
	}},
}

// States of what a document says.
const (
	StateExact = "exact" // batch computed it from the whole history
	StateLive  = "live"  // speed has added to it, or said it
)

// decisionDocument is a Decision as search finds it.
type decisionDocument struct {
	At        DocTime `json:"@timestamp"` // of the event
	ID        string  `json:"id"`
	Device    string  `json:"device"`
	Login     string  `json:"login,omitzero"`
	Partition int32   `json:"partition"`
	Offset    int64   `json:"offset"`
	Epoch     int64   `json:"epoch"`
	Segment   string  `json:"segment,omitzero"`
	Distance  float64 `json:"distance"`
	Model     string  `json:"model,omitzero"`
}

// Document is the decision as search finds it, in the index of its day. Its
// version is its offset. An erasure says nothing that is to be found: its
// document has no body, and deletes what was said under its id.
func (d *Decision) Document() Document {
	doc := Document{Index: IndexDecisions(d.Time), ID: DocumentID(d.Id), Version: d.Offset}
	if !d.Erased {
		doc.Body = EncodeJSON(decisionDocument{
			DocTime(d.Time), d.Id, d.Device, d.Login, d.Partition, d.Offset, d.Epoch, d.Segment, finite(d.Distance), d.Model,
		})
	}
	return doc
}

// finite is a number that JSON can hold: what a model could not compute is no
// reason to stop, and no distance.
func finite(f float64) float64 {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return 0
	}
	return f
}

// A VisitorDocument is what dashboards ask of a visitor. Money is that of one
// currency: sums over all of them are in the panes. What speed says has no
// numbers: they are counted by batch.
type VisitorDocument struct {
	At            DocTime  `json:"@timestamp,omitzero"` // of the last event
	Device        string   `json:"device"`
	State         string   `json:"state"`               // StateExact or StateLive
	Generation    int64    `json:"generation"`          // of batch, or the epoch of speed
	Consent       string   `json:"consent,omitzero"`    // granted, denied, unsaid
	Login         string   `json:"login,omitzero"`      // customer number that the device is logged in with
	Customers     []string `json:"customers,omitempty"` // every login of the device
	Segment       string   `json:"segment,omitzero"`
	Distance      float64  `json:"distance,omitzero"`
	Model         string   `json:"model,omitzero"`
	First         DocTime  `json:"first,omitzero"`
	Last          DocTime  `json:"last,omitzero"`
	Sessions      int64    `json:"sessions,omitzero"`
	Bounces       int64    `json:"bounces,omitzero"`
	Events        int64    `json:"events,omitzero"`
	Searches      int64    `json:"searches,omitzero"`
	Views         int64    `json:"views,omitzero"`
	Carts         int64    `json:"carts,omitzero"`
	Bookings      int64    `json:"bookings,omitzero"`
	Cancellations int64    `json:"cancellations,omitzero"`
	Currency      string   `json:"currency,omitzero"`      // the one that most was booked in
	Booked        int64    `json:"booked,omitzero"`        // minor units of Currency
	Cancelled     int64    `json:"cancelled,omitzero"`     // minor units of Currency
	Party         string   `json:"party,omitzero"`         // solo, couple, family, group: the one most asked for
	Styles        []string `json:"styles,omitempty"`       // most viewed first
	Destinations  []string `json:"destinations,omitempty"` // most wanted first
	Offers        []string `json:"offers,omitempty"`       // looked at last first
}

// Document is the visitor as search finds it. For one of speed the version is
// the offset of the last event in it, for one of batch the generation.
func (v VisitorDocument) Document(index string, version int64) Document {
	v.Distance = finite(v.Distance)
	return Document{index, DocumentID(v.Device), version, EncodeJSON(v)}
}

// A PaneDocument is one measure in one minute, in total or of one part.
type PaneDocument struct {
	At         DocTime `json:"@timestamp"` // the minute's beginning
	ID         string  `json:"id"`         // the pane's row, see PaneKey
	State      string  `json:"state"`      // StateExact or StateLive
	Generation int64   `json:"generation"`
	Measure    string  `json:"measure"`
	Dimension  string  `json:"dimension"`         // total, destination, currency
	Key        string  `json:"key,omitzero"`      // which destination, which currency
	Value      int64   `json:"value"`             // minor units for money
	Distinct   int64   `json:"distinct,omitzero"` // devices, estimated, where the measure counts them
}

// DimensionTotal is the dimension of a pane that is not divided.
const DimensionTotal = "total"

// NewPaneDocument begins the document of the pane in a row; what it says is to
// be filled in.
func NewPaneDocument(row string) (PaneDocument, error) {
	measure, minute, dimension, err := ParsePaneKey(row)
	if err != nil {
		return PaneDocument{}, err
	}
	p := PaneDocument{At: DocTime(minute * 60_000_000), ID: row, Measure: measure, Dimension: DimensionTotal}
	if dimension != "" {
		p.Dimension, p.Key, _ = strings.Cut(dimension, "=")
	}
	return p, nil
}

// Document is the pane as search finds it.
func (p PaneDocument) Document(index string, version int64) Document {
	return Document{index, DocumentID(p.ID), version, EncodeJSON(p)}
}

// A PositionDocument says that every document that follows from what lies below
// an offset of a partition has been written.
type PositionDocument struct {
	Follower  string // who says so
	Partition int32
	Offset    int64   // of the next record
	At        DocTime // when it was written, for a person
}

// positionFields are a PositionDocument as it is stored.
type positionFields struct {
	ID        string  `json:"id"`
	Follower  string  `json:"follower"`
	Partition int32   `json:"partition"`
	Offset    int64   `json:"offset"`
	At        DocTime `json:"at"`
}

// Document is the position as it is stored. Its version is its offset: a
// follower that woke late takes nothing back.
func (p PositionDocument) Document() Document {
	id := PositionID(p.Follower, p.Partition)
	body := EncodeJSON(positionFields{id, p.Follower, p.Partition, p.Offset, p.At})
	return Document{IndexPositions, DocumentID(id), p.Offset, body}
}

// PositionID is the id of a follower's position in a partition.
func PositionID(follower string, partition int32) string {
	return follower + "/" + strconv.Itoa(int(partition))
}

// DecodePosition reads the body of a position.
func DecodePosition(body []byte) (PositionDocument, error) {
	p, err := DecodeJSON[positionFields](body)
	return PositionDocument{p.Follower, p.Partition, p.Offset, p.At}, err
}
