package hbase_test

import (
	"slices"
	"testing"

	"fernweh/infra/hbase"
	"fernweh/schemas"
)

// TestSetsAreFoundAndNoneIsMade: who looks for a set leaves HBase as it is.
func TestSetsAreFoundAndNoneIsMade(t *testing.T) {
	v := views(t)
	there := config(t)
	missing := there
	missing.Prefix += "_x"
	for range 2 {
		sets, err := hbase.Sets(t.Context(), missing)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(sets, there.Prefix) || slices.Contains(sets, missing.Prefix) || !slices.IsSorted(sets) {
			t.Errorf("sets %v, want %s among them, not %s, ascending", sets, there.Prefix, missing.Prefix)
		}
	}
	want := schemas.EncodeJSON(schemas.Origin{Topic: "t", Partitions: 3, Fold: 1})
	if origin, err := hbase.OriginOf(t.Context(), there); err != nil || origin != nil {
		t.Errorf("before it says: made from %q, %v, want nothing", origin, err)
	}
	if _, err := v.CompareAndSet(t.Context(), schemas.KeyTopic, schemas.ColumnValue, nil, want); err != nil {
		t.Fatal(err)
	}
	if origin, err := hbase.OriginOf(t.Context(), there); err != nil || string(origin) != string(want) {
		t.Errorf("made from %q, %v, want %q", origin, err, want)
	}
}
