package tracker_test

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"fernweh/ingest/tracker"
	"fernweh/model/visitor"
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

// TestScriptSendsNoMoreThanIsTaken holds the script's number against the filter's.
func TestScriptSendsNoMoreThanIsTaken(t *testing.T) {
	script, err := os.ReadFile("fernweh.js")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`MOST_AT_ONCE = (\d+);`).FindSubmatch(script)
	if found == nil {
		t.Fatal("the script says nowhere how many events it sends at once")
	}
	if n, _ := strconv.Atoi(string(found[1])); n < 1 || n > visitor.Remembered {
		t.Errorf("the script sends %d events at once, want 1 to %d", n, visitor.Remembered)
	}
}
