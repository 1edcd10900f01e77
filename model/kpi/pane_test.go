package kpi_test

import (
	"bytes"
	"encoding/hex"
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"

	"fernweh/model/kpi"
)

var create = flag.Bool("create", false, "write the golden file if it is not there yet")

// goldenPanes are values of panes whose bytes must decode for ever.
func goldenPanes() []struct {
	name  string
	value kpi.Value
} {
	return []struct {
		name  string
		value kpi.Value
	}{
		{"nothing", kpi.Value{}},
		{"one", kpi.Value{Sum: 1}},
		{"revenue", kpi.Value{Sum: 1_234_567}},
		{"erased", kpi.Value{Sum: -300}},
		{"devices", kpi.Value{Devices: *sketchOf(device(1), device(2))}},
		{"both", kpi.Value{Sum: 2, Devices: *sketchOf(device(1))}},
	}
}

// TestPaneGolden: a pane that was ever written reads as what it was.
func TestPaneGolden(t *testing.T) {
	const path = "testdata/panes.golden"
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) && *create {
		var lines strings.Builder
		for _, p := range goldenPanes() {
			b, _ := p.value.AppendBinary(nil)
			lines.WriteString(p.name + " " + hex.EncodeToString(b) + "\n")
		}
		text, err = []byte(lines.String()), os.WriteFile(path, []byte(lines.String()), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	for i, p := range goldenPanes() {
		name, digits, _ := strings.Cut(lines[i], " ")
		want, err := hex.DecodeString(digits)
		if err != nil || name != p.name {
			t.Fatalf("line %d is %q of %q, error %v", i+1, name, p.name, err)
		}
		var got kpi.Value
		if err := got.UnmarshalBinary(want); err != nil || !reflect.DeepEqual(got, p.value) {
			t.Errorf("%s: reads as sum %d and %d devices, error %v", p.name, got.Sum, got.Devices.Estimate(), err)
		}
		if b, _ := p.value.AppendBinary(nil); !bytes.Equal(b, want) {
			t.Errorf("%s: is written as %x, golden %x", p.name, b, want)
		}
	}
}

// TestDeltasCompact: what one event does to a pane is one difference, and what
// cancels out is none; distinct devices are hashes and never add up.
func TestDeltasCompact(t *testing.T) {
	views := kpi.Pane{Measure: kpi.Views, Minute: 7}
	sylt := kpi.Pane{Measure: kpi.Views, Minute: 7, Dim: kpi.Dim{By: kpi.ByDestination, Value: "Sylt"}}
	came := kpi.Pane{Measure: kpi.Visitors, Minute: 7}
	tests := []struct {
		name      string
		got, want kpi.Deltas
	}{
		{"nothing", nil, nil},
		{"sorted", kpi.Deltas{{Pane: sylt, N: 1}, {Pane: views, N: 1}}, kpi.Deltas{{Pane: views, N: 1}, {Pane: sylt, N: 1}}},
		{"summed", kpi.Deltas{{Pane: views, N: 1}, {Pane: sylt, N: 4}, {Pane: views, N: 2}}, kpi.Deltas{{Pane: views, N: 3}, {Pane: sylt, N: 4}}},
		{"cancelled first", kpi.Deltas{{Pane: views, N: 1}, {Pane: sylt, N: 4}, {Pane: views, N: -1}}, kpi.Deltas{{Pane: sylt, N: 4}}},
		{"cancelled last", kpi.Deltas{{Pane: sylt, N: 1}, {Pane: views, N: 4}, {Pane: sylt, N: -1}}, kpi.Deltas{{Pane: views, N: 4}}},
		{"a device twice", kpi.Deltas{{Pane: came, N: 5}, {Pane: came, N: 5}}, kpi.Deltas{{Pane: came, N: 5}}},
		{"two devices", kpi.Deltas{{Pane: came, N: 5}, {Pane: came, N: -5}}, kpi.Deltas{{Pane: came, N: 5}, {Pane: came, N: -5}}},
		{"a device of hash 0", kpi.Deltas{{Pane: came, N: 0}}, kpi.Deltas{{Pane: came, N: 0}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.got.Compact(); len(got)+len(tt.want) > 0 && !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
