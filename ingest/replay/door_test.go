package replay_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"fernweh/ingest/client"
	"fernweh/ingest/segment"
	"fernweh/schemas"
)

// TestRecordingsPassTheDoor reads every recorded event as the collector does:
// it arrives as it was told, at its own time, except for the few that no portal
// can have.
func TestRecordingsPassTheDoor(t *testing.T) {
	tests := []struct {
		format, file string
		refused      int // see docs/formats/replay.md
	}{
		{"hotel-bookings", "hotel-bookings/resort.csv.gz", 1}, // at a negative price
		{"yoochoose-100k", "yoochoose-100k/test.tsv.gz", 0},
		{"flickr-tours", "flickr-tours/osaka-traj.csv.gz", 0},
		{"flickr-tours", "flickr-tours/glasgow-traj.csv.gz", 11},   // cameras that say 1864 to 1985
		{"flickr-tours", "flickr-tours/edinburgh-traj.csv.gz", 17}, // 1982 to 1989
	}
	received := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC).UnixMicro()
	for _, tt := range tests {
		refused := 0
		for _, e := range read(t, tt.format, recorded(t, tt.file)) {
			got, reason := arrive(t, e, received)
			if got == nil {
				refused++
				t.Logf("%s: %s", e.Id, reason) // shown when the number is wrong
				continue
			}
			want := proto.CloneOf(e.Event)
			want.Received, want.Name, want.Context = received, got.Name, &schemas.Context{}
			if !proto.Equal(got, want) {
				t.Fatalf("%s: sent    %v\narrived %v", tt.file, want, got)
			}
		}
		if refused != tt.refused {
			t.Errorf("%s: %d events were refused, want %d", tt.file, refused, tt.refused)
		}
	}
}

// arrive is what the door makes of an event, or why it refuses it.
func arrive(t *testing.T, e client.Event, received int64) (*schemas.Event, string) {
	t.Helper()
	b, err := e.AppendJSON([]byte(`{"batch":[`))
	if err != nil {
		t.Fatal(err)
	}
	body, err := segment.Parse(append(b, "]}"...), 10_000)
	if err != nil {
		t.Fatal(err)
	}
	item := body.Items(segment.Request{Received: received, MaxEvent: 32 << 10})[0]
	return item.Event, item.Reason
}
