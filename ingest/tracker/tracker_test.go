package tracker_test

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"fernweh/ingest/tracker"
)

// TestInBrowser runs the script's own tests; node is needed, as for `make test`.
func TestInBrowser(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "node", "--test", "--test-reporter=spec", "testdata/tracker.test.js").CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestScriptIsServed(t *testing.T) {
	w := httptest.NewRecorder()
	tracker.ServeHTTP(w, httptest.NewRequest("GET", "/fernweh.js", nil))
	want, err := os.ReadFile("fernweh.js")
	if err != nil {
		t.Fatal(err)
	}
	if w.Body.String() != string(want) || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/javascript") {
		t.Errorf("served %d bytes as %s, want %d as text/javascript", w.Body.Len(), w.Header().Get("Content-Type"), len(want))
	}
}
