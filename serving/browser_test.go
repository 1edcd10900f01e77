package serving_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fernweh/layer"
	"fernweh/schemas"
)

// scripts is where the page's test lies, with what it needs in node_modules.
const scripts = "dashboard/test"

// node prepares a script; what is missing fails the test with what to install.
func node(t *testing.T, script string, env ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath("node")
	if err != nil {
		t.Fatal("node is missing: install it (Debian: apt-get install nodejs npm)")
	}
	if _, err := os.Stat(filepath.Join(scripts, "node_modules", "playwright-core")); err != nil {
		t.Fatal("the page's test needs its packages: npm ci --prefix serving/dashboard/test")
	}
	c := exec.CommandContext(t.Context(), path, script)
	c.Dir = scripts
	c.Env = append(os.Environ(), env...)
	return c
}

// chromium is the browser that is installed.
func chromium(t *testing.T) string {
	t.Helper()
	names := []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatalf("none of %s is there: install one (Debian: apt-get install chromium)", strings.Join(names, ", "))
	return ""
}

func TestTheAPIDescribesItselfAsOpenAPI31(t *testing.T) {
	s := serve(t, newPortal(t, 1), nil)
	document := get(t, s, "/openapi.json").body
	c := node(t, "openapi.mjs")
	c.Stdin = bytes.NewReader(document)
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	for _, path := range []string{"/v1/visitors/{id}", "/v1/persons/{customer}", "/v1/segments", "/v1/kpis", "/v1/runs",
		"/v1/runs/{number}", "/v1/generations/rollback", "/v1/status", "/v1/health/live", "/v1/health/ready"} {
		if !strings.Contains(string(document), `"`+path+`":`) {
			t.Errorf("the description lacks %s", path)
		}
	}
}

func TestThePageInARealBrowser(t *testing.T) {
	p := newPortal(t, 4)
	afternoon(p)
	control := http.NewServeMux()
	control.HandleFunc("/book", func(http.ResponseWriter, *http.Request) { p.happens(booking("couple-1", "Sylt-1", "Sylt", 123_400)) })
	control.HandleFunc("/break", func(http.ResponseWriter, *http.Request) {
		p.breaks(errors.New("the disk is full"))
		p.passes(10 * time.Second)
	})
	control.HandleFunc("/mend", func(http.ResponseWriter, *http.Request) { p.breaks(nil) })
	empty := newPortal(t, 2)
	empty.health = layer.NewHealth(empty.clock)
	control.HandleFunc("/limit", func(http.ResponseWriter, *http.Request) {
		empty.health.Limited("collector", errors.New("events wait in the spool"))
	})
	control.HandleFunc("/refuse", func(http.ResponseWriter, *http.Request) {
		empty.health.Down("collector", errors.New("no space left on device"))
		empty.health.Down("speed partition 3", errors.New("panic: nil map"))
	})
	control.HandleFunc("/accept", func(http.ResponseWriter, *http.Request) {
		empty.health.Up("collector")
		empty.health.Up("speed partition 3")
	})
	hand := httptest.NewServer(control)
	defer hand.Close()

	c := node(t, "page.mjs", "CHROMIUM="+chromium(t), "PORTAL="+serve(t, p, nil).URL,
		"EMPTY="+serve(t, empty, nil).URL, "CONTROL="+hand.URL, "SHOTS="+os.Getenv("FERNWEH_SCREENSHOTS"))
	out, err := c.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}

// afternoon is four hours and a half of a portal, with a batch run after three.
func afternoon(p *portal) {
	r := rand.New(rand.NewPCG(1, 2))
	mueller(p)
	p.happens(login("mueller-phone", "4711"))
	for minute := range 270 {
		for range 2 + r.IntN(4+minute/30) {
			visit(p, r)
		}
		if minute == 180 {
			p.runs("model-1")
		}
		p.passes(time.Minute)
	}
	p.happens(view("mueller-laptop", "Sylt-2", "Sylt", schemas.Style_STYLE_QUIET, schemas.Style_STYLE_UPSCALE))
	p.says(&schemas.Decision{Id: "1-2-segment", Device: "mueller-laptop", Segment: "s2", Model: "model-1", Time: p.clock().UnixMicro()})
}

// visit lets one of three kinds of travellers do something.
func visit(p *portal, r *rand.Rand) {
	place := func(names ...string) string { return names[r.IntN(len(names))] }
	switch n := r.IntN(10); {
	case n < 4:
		device, to := fmt.Sprint("couple-", r.IntN(60)), place("Sylt", "Sylt", "Rügen", "Südtirol")
		p.happens(search(device, to, 2, 0))
		p.happens(view(device, to+"-1", to, schemas.Style_STYLE_QUIET, schemas.Style_STYLE_UPSCALE, schemas.Style_STYLE_WELLNESS))
	case n < 8:
		device, to := fmt.Sprint("family-", r.IntN(80)), place("Mallorca", "Mallorca", "Kreta", "Antalya", "Fuerteventura")
		p.happens(search(device, to, 2, 2))
		p.happens(view(device, to+"-7", to, schemas.Style_STYLE_FAMILY, schemas.Style_STYLE_BEACH))
		if r.IntN(12) == 0 {
			p.happens(booking(device, to+"-7", to, int64(180_000+r.IntN(300_000))))
		}
	default:
		p.happens(page(fmt.Sprint("passer-by-", r.IntN(5000))))
	}
}
