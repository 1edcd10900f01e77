package embedded_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"fernweh/infra/embedded"
)

// TestAcknowledgedGolden holds the file of what was acknowledged to docs/formats/log.md.
func TestAcknowledgedGolden(t *testing.T) {
	want, err := os.ReadFile("testdata/acknowledged.golden")
	if err != nil {
		t.Fatal(err)
	}
	got, err := embedded.Reencode(want)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("read and written again: %v, got\n%s\nwant\n%s", err, got, want)
	}
	padded := append(bytes.Clone(want), bytes.Repeat([]byte("\n"), 100)...)
	if got, err = embedded.Reencode(padded); err != nil || !bytes.Equal(got, want) {
		t.Errorf("in a slot: %v, got\n%s", err, got)
	}
	for at := range want[:len(want)-1] {
		for bit := range 8 {
			b := bytes.Clone(want)
			b[at] ^= 1 << bit
			if got, err := embedded.Reencode(b); err == nil && !bytes.Equal(got, want) {
				t.Fatalf("bit %d of byte %d changed: read as\n%s", bit, at, got)
			}
		}
	}
	for n := range want[:len(want)-1] {
		if _, err := embedded.Reencode(want[:n]); err == nil {
			t.Errorf("%d of %d bytes: read without an error", n, len(want))
		}
	}
	if !strings.HasPrefix(string(want), "fernweh-acknowledged 1\n") {
		t.Errorf("the golden file begins with %q", want[:30])
	}
}
