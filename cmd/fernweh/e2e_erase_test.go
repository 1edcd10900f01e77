package main_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestErasedIsForgotten erases a customer through the API and a device by the
// command, and looks for them everywhere, before and after a batch run.
func TestErasedIsForgotten(t *testing.T) {
	p := newPortal(t)
	p.up()
	visit := func(device, user string, n int) (after string) {
		t.Helper()
		for i := range n {
			var err error
			_, after, err = p.post(fmt.Sprintf(`{"batch":[{"type":"page","messageId":"%s-%s-%d-%d","anonymousId":"%s","userId":"%s"}]}`,
				device, user, i, time.Now().UnixNano(), device, user))
			if err != nil {
				t.Fatal(err)
			}
		}
		return after
	}
	visit("laptop", "", 2)
	visit("laptop", "K-1", 3)
	visit("tablet", "K-1", 2)
	visit("tablet", "K-2", 4) // the family's tablet
	visit("phone", "", 5)
	p.until("all is seen", 20*time.Second, func() error {
		if n := p.known("tablet") + p.known("laptop") + p.known("phone"); n != 16 {
			return fmt.Errorf("%d of 16 events", n)
		}
		b, err := p.ask("GET", "/v1/persons/K-1", nil) // links are written after visitors
		var known struct{ Devices []struct{} }
		if err == nil {
			err = json.Unmarshal(b, &known)
		}
		if err == nil && len(known.Devices) != 2 {
			err = fmt.Errorf("%d of 2 devices of K-1", len(known.Devices))
		}
		return err
	})

	b, err := p.ask("DELETE", "/v1/persons/K-1", nil)
	var erased struct {
		Devices int
		After   string
	}
	if err == nil {
		err = json.Unmarshal(b, &erased)
	}
	if err != nil || erased.Devices != 2 || erased.After == "" {
		t.Fatalf("erase customer K-1: %s, %v, want two devices and what to wait for", b, err)
	}
	if _, err := p.ask("GET", "/v1/persons/K-1?deadline=5s&after="+url.QueryEscape(erased.After), nil); statusOf(err) != http.StatusNotFound {
		t.Errorf("customer K-1 after the erasure: %v, want nothing known", err)
	}
	eraser := &portal{T: t, args: []string{"erase", "--data-dir", p.dir, "--device", "phone"}}
	eraser.start()
	<-eraser.gone
	if !eraser.process.ProcessState.Success() {
		t.Fatalf("fernweh erase: %v: %s", eraser.process.ProcessState, eraser.said)
	}
	gone := func(when string) {
		t.Helper()
		p.until(when+" the phone is forgotten", 20*time.Second, func() error {
			if n := p.known("phone"); n != 0 {
				return fmt.Errorf("%d events", n)
			}
			return nil
		})
		for device, want := range map[string]int64{"laptop": 0, "tablet": 4, "phone": 0} {
			if got := p.known(device); got != want {
				t.Errorf("%s the answer knows %d events of the %s, want %d", when, got, device, want)
			}
		}
		if _, err := p.ask("GET", "/v1/persons/K-1", nil); statusOf(err) != http.StatusNotFound {
			t.Errorf("%s customer K-1: %v, want nothing known", when, err)
		}
		if _, err := p.ask("GET", "/v1/persons/K-2", nil); err != nil {
			t.Errorf("%s customer K-2: %v, want what the family's tablet knows", when, err)
		}
	}
	gone("after the erasure")
	p.batch()
	gone("after a batch run")
	visit("phone", "", 1)
	p.until("what comes later counts", 20*time.Second, func() error {
		if n := p.known("phone"); n != 1 {
			return fmt.Errorf("%d events", n)
		}
		return nil
	})
	if _, err := p.ask("DELETE", "/v1/persons/nobody", nil); statusOf(err) != http.StatusNotFound {
		t.Errorf("erase a customer that nobody knows: %v, want 404", err)
	}
	nobody := func(how string) {
		t.Helper()
		for _, args := range [][]string{{"--device", "nobody"}, {"--customer", "K-9"}, {"--device", "nobody", "--force"}} {
			out, err := fernweh(t, append([]string{"erase", "--data-dir", p.dir, "--partitions", fmt.Sprint(partitions)}, args...)...).CombinedOutput()
			forced := len(args) == 3
			if (err == nil) != forced || strings.Contains(string(out), "nothing is known") == forced {
				t.Errorf("%s: erase %v, whom nobody knows: %v: %s; want it refused unless it is forced", how, args, err, out)
			}
		}
	}
	nobody("by the process that runs")
	p.stop()
	nobody("by the command itself")
}

// An erasure that nobody would read is refused, and nothing is made for it.
func TestErasureNeedsAPortal(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "nothing")
	p := &portal{T: t, args: []string{"erase", "--data-dir", dir, "--device", "phone"}}
	p.start()
	<-p.gone
	if said := p.said.String(); p.process.ProcessState.Success() || !strings.Contains(said, dir) || !strings.Contains(said, "kafka-brokers") {
		t.Errorf("erase where there is no portal: %v: %s; want it refused, with the directory and the setting", p.process.ProcessState, said)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after the refusal %s is there (%v)", dir, err)
	}
}

// known is how many events an answer knows of a device; none where nothing is known.
func (p *portal) known(device string) int64 {
	p.Helper()
	b, err := p.ask("GET", "/v1/visitors/"+device, nil)
	if statusOf(err) == http.StatusNotFound {
		return 0
	}
	var v person
	if err == nil {
		err = json.Unmarshal(b, &v)
	}
	if err != nil {
		p.Fatalf("ask for the %s: %v", device, err)
	}
	return v.Totals.Events
}
