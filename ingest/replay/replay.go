// Package replay turns recorded behaviour into the events that it records, at
// the times when it happened.
//
// A format says what one row of a file tells, no more: what a row doesn't say is
// left out, never guessed. Every id follows from the row, so that the same file
// gives the same events for ever, and one that was replayed twice adds nothing
// as long as the filter remembers the device's messages.
package replay

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"fernweh/ingest/client"
	"fernweh/schemas"
)

// A Format is a layout of a file and its meaning.
type Format struct {
	Name    string
	About   string // one sentence
	columns []string
	comma   rune

	// open prepares a file for reading and returns what one of its rows tells. It
	// may look at the file's name and read files beside it.
	open func(file string) (tell, error)
}

// tell gives the events of a row. Where the row is not what the format says, it
// tells the row so and may return anything.
type tell func(r *row) []*schemas.Event

// properties is a JSON object for what the events have no field for.
func properties(extra any) string {
	b, err := json.Marshal(extra)
	if err != nil {
		panic(err) // structs of texts and numbers always have a JSON form
	}
	return string(b)
}

// Formats are all formats, by name.
func Formats() []Format {
	return []Format{
		flickrTours(),
		hotelBookings(),
		yoochoose(),
	}
}

// Lookup finds a format by name.
func Lookup(name string) (Format, error) {
	var names []string
	for _, f := range Formats() {
		if f.Name == name {
			return f, nil
		}
		names = append(names, f.Name)
	}
	return Format{}, fmt.Errorf("look up format %q: there are %s", name, strings.Join(names, ", "))
}

// Read reads a file, plain or gzip, and gives its events in the order in which
// they happened; of two at one time, in the order of the file. It holds the file
// in memory, some 500 bytes an event: recorded files are seldom in order of time,
// and what goes through the door must be, within a device.
func (f Format) Read(file string) ([]client.Event, error) {
	tell, err := f.open(file)
	if err != nil {
		return nil, fmt.Errorf("replay %s: %w", f.Name, err)
	}
	var all []client.Event
	err = eachRow(file, f.comma, f.columns, func(r *row) {
		for _, e := range tell(r) {
			all = append(all, client.Event{Event: e})
		}
	})
	if err != nil {
		return nil, fmt.Errorf("replay %s: %w", f.Name, err)
	}
	slices.SortStableFunc(all, func(a, b client.Event) int { return cmp.Compare(a.Time, b.Time) })
	return all, nil
}
