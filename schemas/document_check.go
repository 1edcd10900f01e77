package schemas

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxKeyword is the longest value of a keyword field in bytes.
const MaxKeyword = 32_766

// Refused says why a document can never be written as it is. To try it again
// is no use.
type Refused struct {
	Index, ID string
	Field     string // empty: the document as a whole
	Reason    string
}

// Error is one sentence that names the document, and the field if it is one.
func (r *Refused) Error() string {
	id := r.ID
	if len(id) > 80 {
		id = id[:80] + "…"
	}
	if r.Field == "" {
		return fmt.Sprintf("document %q of index %q: %s", id, r.Index, r.Reason)
	}
	return fmt.Sprintf("document %q of index %q: field %q: %s", id, r.Index, r.Field, r.Reason)
}

// A FieldValue is one value of a document.
type FieldValue struct {
	Field
	Text   string  // of a keyword
	Int    int64   // of a long; of a date in UTC microseconds
	Double float64 // of a double
}

// CheckVersion says what keeps a document's place from being written or deleted.
func (d Document) CheckVersion() error {
	refuse := func(reason string) error { return &Refused{Index: d.Index, ID: d.ID, Reason: reason} }
	if err := CheckIndex(d.Index); err != nil {
		return refuse(err.Error())
	}
	switch {
	case d.ID == "":
		return refuse("its id is empty")
	case len(d.ID) > MaxDocumentID:
		return refuse(fmt.Sprintf("its id has %d bytes, want at most %d (see DocumentID)", len(d.ID), MaxDocumentID))
	case !utf8.ValidString(d.ID):
		return refuse("its id is not UTF-8")
	case d.Version < 0:
		return refuse(fmt.Sprintf("its version is %d, want none below 0", d.Version))
	}
	return nil
}

// Values reads what is to be found of a document, in its order there, or says
// by a Refused what is wrong with it: an unknown field, a value of another type, an id that does
// not follow from the key field.
func (d Document) Values() ([]FieldValue, error) {
	if err := d.CheckVersion(); err != nil {
		return nil, err
	}
	if len(d.Body) > MaxDocument {
		return nil, &Refused{Index: d.Index, ID: d.ID, Reason: fmt.Sprintf("it has %d bytes, want at most %d", len(d.Body), MaxDocument)}
	}
	m, err := MappingOf(d.Index)
	if err != nil {
		return nil, &Refused{Index: d.Index, ID: d.ID, Reason: err.Error()}
	}
	r := bodyReader{mapping: m, body: d.Body, values: make([]FieldValue, 0, len(m.Fields))}
	if err := r.object(); err != nil {
		return nil, &Refused{d.Index, d.ID, r.field, err.Error()}
	}
	if DocumentID(r.key) != d.ID {
		return nil, &Refused{d.Index, d.ID, m.Key, "the document's id does not follow from it"}
	}
	return r.values, nil
}

// A bodyReader reads a body value by value: a field that stands there twice, or
// something in it that no field can hold, does not get lost on the way. Every
// document passes here, so it reads in place what encoding/json has found valid.
type bodyReader struct {
	mapping Mapping
	body    []byte
	at      int    // of the next byte
	seen    uint64 // a bit a field of the mapping
	field   string // that is being read
	key     string // value of the key field
	values  []FieldValue
}

// object reads the body.
func (r *bodyReader) object() error {
	if r.next() != '{' {
		return errors.New("its body is not a JSON object")
	}
	if !json.Valid(r.body) {
		return r.invalid()
	}
	for r.at++; r.next() != '}'; r.comma() {
		r.field = r.text()
		r.next()
		r.at++ // the colon
		if err := r.one(); err != nil {
			return err
		}
	}
	r.field = ""
	return nil
}

// invalid says what is wrong with a body that begins like an object.
func (r *bodyReader) invalid() error {
	var whole json.RawMessage
	if err := json.NewDecoder(bytes.NewReader(r.body)).Decode(&whole); err != nil {
		return fmt.Errorf("its body is not JSON: %w", err)
	}
	return errors.New("something follows its body")
}

// next is the next byte that is no space; 0 at the end.
func (r *bodyReader) next() byte {
	for ; r.at < len(r.body); r.at++ {
		switch b := r.body[r.at]; b {
		case ' ', '\t', '\r', '\n':
		default:
			return b
		}
	}
	return 0
}

// comma goes past a comma, if there is one.
func (r *bodyReader) comma() {
	if r.next() == ',' {
		r.at++
	}
}

// one reads the value or the list of the field.
func (r *bodyReader) one() error {
	i := slices.IndexFunc(r.mapping.Fields, func(f Field) bool { return f.Name == r.field })
	if i < 0 {
		return fmt.Errorf("the mapping of %s does not have it; it has %s", r.mapping.Kind, r.mapping.names())
	}
	if r.seen&(1<<i) != 0 {
		return errors.New("it is there twice")
	}
	r.seen |= 1 << i
	f := r.mapping.Fields[i]
	if r.next() != '[' || !f.List {
		return r.value(f)
	}
	for r.at++; r.next() != ']'; r.comma() {
		if err := r.value(f); err != nil {
			return err
		}
	}
	r.at++ // the bracket
	return nil
}

// value reads one value of a field.
func (r *bodyReader) value(f Field) error {
	first, v := r.next(), FieldValue{Field: f}
	var text string
	switch first {
	case '{':
		return fmt.Errorf("an object is no %s", f.Type)
	case '[':
		return fmt.Errorf("a list is no %s", f.Type)
	case '"':
		text = r.text()
	default:
		text = r.literal()
	}
	if err := v.parse(text, first); err != nil {
		return err
	}
	if f.Name == r.mapping.Key {
		r.key = v.Text
	}
	r.values = append(r.values, v)
	return nil
}

// parse reads the text of a value, whose first byte in the body says what it is.
func (v *FieldValue) parse(text string, first byte) (err error) {
	isText := first == '"'
	isNumber := first == '-' || '0' <= first && first <= '9'
	fits := isNumber
	switch v.Type {
	case FieldKeyword:
		v.Text, fits = text, isText
		if isText && len(text) > MaxKeyword {
			return fmt.Errorf("it has %d bytes, want at most %d", len(text), MaxKeyword)
		}
	case FieldDate:
		if fits = isText; fits {
			var at DocTime
			err = at.UnmarshalText([]byte(text))
			v.Int = int64(at)
		}
	case FieldLong:
		v.Int, err = strconv.ParseInt(text, 10, 64)
	case FieldDouble:
		v.Double, err = strconv.ParseFloat(text, 64)
	}
	if !fits || err != nil {
		return fmt.Errorf("%s is no %s%s", clipValue(text, first), v.Type, explain(err))
	}
	return nil
}

// text reads a string.
func (r *bodyReader) text() string {
	from, escaped := r.at, false
	for r.at++; r.body[r.at] != '"'; r.at++ {
		if r.body[r.at] == '\\' {
			escaped = true
			r.at++
		}
	}
	r.at++
	plain := r.body[from+1 : r.at-1]
	if !escaped && utf8.Valid(plain) {
		return string(plain)
	}
	var text string
	if err := json.Unmarshal(r.body[from:r.at], &text); err != nil {
		return string(plain) // the whole body is valid, so this is too
	}
	return text
}

// literal reads a number, true, false or null.
func (r *bodyReader) literal() string {
	from := r.at
	for r.at < len(r.body) && !strings.ContainsRune(",]} \t\r\n", rune(r.body[r.at])) {
		r.at++
	}
	return string(r.body[from:r.at])
}

// explain is the rest of a sentence, where there is more to say.
func explain(err error) string {
	var number *strconv.NumError
	if err == nil || errors.As(err, &number) {
		return ""
	}
	return ": " + err.Error()
}

// clipValue shows a value in an error.
func clipValue(text string, first byte) string {
	if first == 'n' {
		return "null"
	}
	const most = 60
	if shown := fmt.Sprintf("%q", text); len(shown) > most {
		return shown[:most] + "…\""
	}
	return fmt.Sprintf("%q", text)
}

// refusals are several documents that can never be written.
type refusals []error

// Error shows the first few: a bad mapping refuses thousands alike.
func (r refusals) Error() string {
	const shown = 3
	var text strings.Builder
	for i, err := range r[:min(len(r), shown)] {
		if i > 0 {
			text.WriteString("; ")
		}
		text.WriteString(err.Error())
	}
	if len(r) > shown {
		fmt.Fprintf(&text, "; and %d more", len(r)-shown)
	}
	return text.String()
}

// Unwrap lets errors.As find the first.
func (r refusals) Unwrap() []error { return r }

// JoinRefused is one error of some documents that were refused; nil if there is none.
func JoinRefused(refused []*Refused) error {
	if len(refused) == 0 {
		return nil
	}
	r := make(refusals, len(refused))
	for i := range refused {
		r[i] = refused[i]
	}
	return r
}

// RefusedIn finds all documents that an error says are refused.
func RefusedIn(err error) (all []*Refused) {
	switch e := err.(type) {
	case *Refused:
		return []*Refused{e}
	case interface{ Unwrap() []error }:
		for _, part := range e.Unwrap() {
			all = append(all, RefusedIn(part)...)
		}
	case interface{ Unwrap() error }:
		return RefusedIn(e.Unwrap())
	}
	return all
}
