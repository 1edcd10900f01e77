package archive_test

import (
	"context"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"fernweh/batch/archive"
	"fernweh/model/visitor"
	"fernweh/schemas"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

var create = flag.Bool("create", false, "write the golden archive if it is not there yet")

// goldenLog is the log of the golden archive: an event with every field, one with
// none but what the filter needs, bytes that are no event, a cut; as many events
// as are worth compressing; a cut.
func goldenLog() []schemas.Record {
	full := &schemas.Event{
		Id: "m-1", Device: "herr-mueller-laptop", User: "K-1001", Kind: schemas.Kind_KIND_BOOKING, Name: "Order Completed",
		Time: 1_700_000_000_000_001, Received: 1_700_000_000_000_002, Source: "website", AssumedConsent: true,
		Choice: schemas.Choice_CHOICE_DENIED,
		Context: &schemas.Context{Path: "/hotel/h1", Title: "Haus am Watt", Referrer: "search.example", CampaignSource: "letter",
			CampaignMedium: "email", CampaignName: "autumn", Locale: "de-DE", Timezone: "Europe/Berlin",
			DeviceClass: schemas.DeviceClass_DEVICE_CLASS_DESKTOP, Library: "analytics.js/2"},
		Search: &schemas.Search{Destination: "Sylt", Depart: 19_700, Nights: 7, Adults: 2, Children: 1,
			Filters: []string{"quiet", "sea view"}, Results: -1, Query: "ruhiges Hotel"},
		Offer: &schemas.Offer{Id: "h1", Kind: schemas.OfferKind_OFFER_KIND_HOTEL, Destination: "List", Latitude: 54_907_000,
			Longitude: -8_310_000, Styles: []schemas.Style{schemas.Style_STYLE_QUIET, schemas.Style_STYLE_PARTY}, Stars: 45,
			Price: 189_900, Currency: "EUR", Available: schemas.Choice_CHOICE_GRANTED, Quantity: 2},
		Order:      &schemas.Order{Id: "o-1", Amount: 379_800, Currency: "CHF", Offers: []string{"h1", "i1"}},
		Placement:  &schemas.Placement{Slot: "top", Offer: "h2", Decision: "t-1", Arm: "b"},
		Erasure:    &schemas.Erasure{Login: "K-7"},
		Properties: `{"room":"sea"}`,
	}
	log := []schemas.Record{
		{Event: full},
		{Event: &schemas.Event{Id: "m-2", Device: "d", Kind: schemas.Kind_KIND_PAGE}},
		{}, {Cut: 7},
	}
	for i := range goldenLimit {
		log = append(log, schemas.Record{Event: &schemas.Event{Id: fmt.Sprint("n-", i), Device: fmt.Sprint("d", i%9),
			Kind: schemas.Kind_KIND_SEARCH, Time: int64(i), Search: &schemas.Search{Destination: "Wien", Nights: int32(i % 8)}}})
	}
	log = append(log, schemas.Record{Cut: 8})
	for i := range log {
		log[i].Offset, log[i].At = int64(i), 1_700_000_000_000_000+int64(i)
	}
	return log
}

const goldenLimit = 1024

// TestArchiveGolden: an archive that was ever written reads as the log that it
// was written from, and so does its manifest.
func TestArchiveGolden(t *testing.T) {
	t.Run("of v0.1.0", func(t *testing.T) { checkGolden(t, "archive-1", events(goldenLog())) })
	t.Run("with what is no event", func(t *testing.T) { checkGolden(t, "archive-2", goldenLog2(t)) })
}

// events are the records of a log that v0.1.0 kept.
func events(log []schemas.Record) []schemas.Record {
	return slices.DeleteFunc(log, func(r schemas.Record) bool { return r.Event == nil })
}

// goldenLog2 is the golden log with the messages that the records were read from,
// and behind it what a later release, and others, may have written.
func goldenLog2(t *testing.T) []schemas.Record {
	t.Helper()
	later := protowire.AppendString(protowire.AppendTag(nil, 40, protowire.BytesType), "of a later release")
	e, err := proto.Marshal(&schemas.Event{Id: "m-3", Device: "d", Kind: schemas.Kind_KIND_PAGE})
	if err != nil {
		t.Fatal(err)
	}
	log := goldenLog()
	last := log[len(log)-1]
	log = log[:len(log)-1]
	for _, m := range []schemas.Message{
		{Key: []byte("d"), Value: slices.Concat(e, later)},
		{Key: []byte("d"), Value: slices.Concat(later, e)},
		{Headers: []schemas.Header{{Key: "fernweh-later", Value: []byte("1")}, {Key: "empty", Value: []byte{}}, {Key: "null"}}, Value: later},
		{Key: []byte{}, Value: []byte{0xff}},
		{},
	} {
		r := schemas.Record{Offset: int64(len(log)), At: last.At}
		r.Read(m, 1)
		log = append(log, r)
	}
	last.Offset = int64(len(log))
	return append(log, last)
}

func checkGolden(t *testing.T, folder string, want []schemas.Record) {
	files := goldenFiles(t, folder, want)
	pinned, err := archive.ReadManifest(t.Context(), files, 8)
	if err != nil {
		t.Fatal(err)
	}
	found, err := archive.NewChain(files, 1).Manifest(t.Context(), 8)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(pinned, found) {
		t.Errorf("the manifest says\n%+v, the footers\n%+v", pinned, found)
	}
	var got []schemas.Record
	for _, f := range pinned.Partitions[0] {
		got = append(got, rows(t, files, f)...)
	}
	if !slices.EqualFunc(got, want, same) {
		t.Errorf("%d records read, want %d; the first is\n%v, want\n%v", len(got), len(want), got[0].Event, want[0].Event)
	}
	checkHashes(t, files, pinned.Partitions[0][0], want)
	last := pinned.Partitions[0][len(pinned.Partitions[0])-1]
	if cuts := pinned.Cuts(); !slices.Equal(cuts, []int64{last.Next - 1}) || last.Next < goldenLimit+5 {
		t.Errorf("cut at %v, want at the end of the log, %d", cuts, last.Next-1)
	}
}

// checkHashes: the filter knows an archived event by the hash beside its id.
func checkHashes(t *testing.T, files shelf, f archive.FileSpan, want []schemas.Record) {
	t.Helper()
	err := archive.Scan(t.Context(), files, f, []string{schemas.ColumnID}, func(b arrow.Record) error {
		hashes := b.Column(b.Schema().FieldIndices(schemas.ColumnID)[0]).(*array.Uint64)
		for i := range hashes.Len() {
			if want[i].Event == nil {
				continue
			}
			if id := want[i].Event.Id; hashes.Value(i) != visitor.HashID(id) {
				t.Errorf("event %s is archived with the hash %x, want %x", id, hashes.Value(i), visitor.HashID(id))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// goldenFiles reads the golden archive.
func goldenFiles(t *testing.T, folder string, log []schemas.Record) shelf {
	t.Helper()
	root := filepath.Join("testdata", folder)
	if _, err := os.Stat(root); os.IsNotExist(err) && *create {
		createGolden(t, root, log)
	}
	files := shelf{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		files[filepath.ToSlash(name)], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func createGolden(t *testing.T, root string, log []schemas.Record) {
	t.Helper()
	ctx, files := context.Background(), shelf{}
	w, err := archive.NewWriter(ctx, files, 0, archive.Limits{Rows: goldenLimit})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Handle(ctx, log); err != nil {
		t.Fatal(err)
	}
	m, err := archive.NewChain(files, 1).Manifest(ctx, 8)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := archive.Pin(ctx, files, m); err != nil {
		t.Fatal(err)
	}
	for name, b := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
