package main_test

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A disk is a small file system that only the portal's process sees; it is gone
// with the process that holds it, whatever becomes of the test.
type disk struct {
	*testing.T
	seen string // where it lies for this process
}

// onSmallDisk gives the portal a data directory of so many MiB.
func (p *portal) onSmallDisk(size int) disk {
	p.Helper()
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		p.Fatal(err)
	}
	const script = `mount -t tmpfs -o size="$1"m tmpfs "$2" && echo mounted && exec sleep 600`
	holder := exec.Command("unshare", "-rm", "sh", "-c", script, "sh", fmt.Sprint(size), p.dir)
	complaints := new(transcript)
	holder.Stderr = complaints
	out, err := holder.StdoutPipe()
	if err == nil {
		err = holder.Start()
	}
	if err != nil {
		p.Fatalf("a small disk needs unshare (Debian: apt-get install util-linux): %v", err)
	}
	p.Cleanup(func() {
		p.kill()
		_ = holder.Process.Kill() // it may be gone already
		_ = holder.Wait()
	})
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "mounted\n" {
		if os.Getenv("CI") != "" {
			p.Fatalf("CI must try a full disk, and cannot mount a small one: %s", complaints)
		}
		p.Skipf("this machine lets nobody mount a small disk in a namespace of their own: %s", complaints)
	}
	pid := fmt.Sprint(holder.Process.Pid)
	p.wrap = []string{"nsenter", "-t", pid, "-U", "-m", "--preserve-credentials", "--wdns=" + p.dir}
	return disk{p.T, filepath.Join("/proc", pid, "root", p.dir)}
}

// fill leaves no byte free.
func (d disk) fill() {
	d.Helper()
	f, err := os.OpenFile(filepath.Join(d.seen, "ballast"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		d.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		if _, err = f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		d.Fatalf("fill the disk: %v", err)
	}
}

// free gives back what fill took.
func (d disk) free() {
	d.Helper()
	if err := os.Remove(filepath.Join(d.seen, "ballast")); err != nil {
		d.Fatal(err)
	}
}

// TestFullDisk: senders are told to come back, what was acknowledged is there,
// and when there is room again all goes on by itself.
func TestFullDisk(t *testing.T) {
	p := newPortal(t)
	disk := p.onSmallDisk(64)
	p.up()
	const each = 50
	sent := 0
	calls := func(n int) (calls []string) {
		for i := range each {
			calls = append(calls, booked(fmt.Sprintf("device-%d", n), fmt.Sprintf("m-%d-%d", n, i), 1))
		}
		return calls
	}
	batch := func(n int) string { return `{"batch":[` + strings.Join(calls(n), ",") + `]}` }
	for ; sent < 5; sent++ {
		p.takes(calls(sent)...)
	}

	disk.fill()
	var waiting []int
	for deadline := time.Now().Add(20 * time.Second); len(waiting) < 2 && time.Now().Before(deadline); sent++ {
		_, header, err := send("POST", "http://"+p.doors[0]+"/v1/batch", []byte(batch(sent)), demo)
		switch status := statusOf(err); {
		case err == nil: // it found a place
		case (status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable) && header.Get("Retry-After") != "":
			waiting = append(waiting, sent)
		default:
			t.Errorf("with a full disk: got %v, want 429 or 503 with Retry-After", err)
		}
	}
	if len(waiting) == 0 {
		t.Error("the disk is full and nobody is told to come back")
	}
	p.alive()
	if n := p.events("device-0"); n != each {
		t.Errorf("with a full disk: got %d events of device-0, want %d", n, each)
	}
	if b, _, err := send("GET", "http://"+p.doors[0]+"/healthz", nil, nil); err != nil || !strings.Contains(string(b), "refusing") {
		t.Errorf("health of the collector: %s, %v, want refusing", b, err)
	}

	p.until("with a full disk the portal is not ready", 30*time.Second, func() error {
		if _, err := p.ask("GET", "/v1/health/ready", nil); statusOf(err) != http.StatusServiceUnavailable {
			return fmt.Errorf("got %v, want 503", err)
		}
		return nil
	})

	disk.free()
	p.recovers()
	p.comeBack(batch, waiting)
	p.complete(sent, each, "after the disk was full")

	disk.fill()
	p.kill()
	p.start()
	p.until("on a full disk the process works or ends", 20*time.Second, func() error {
		select {
		case <-p.gone:
			if said := p.said.String(); !strings.Contains(said, "no space left on device") {
				t.Errorf("on a full disk the process said %q, want what is the matter", said)
			}
			return nil
		default:
			_, err := p.ask("GET", "/v1/health/ready", nil)
			return err
		}
	})
	p.kill()
	disk.free()
	p.up()
	p.comeBack(batch, []int{sent})
	p.complete(sent+1, each, "after a kill with a full disk")
	p.batch()
	p.complete(sent+1, each, "after a batch run")
}

// recovers waits until nothing is in trouble, as a balancer waits that sends
// nothing to a portal which is not ready.
func (p *portal) recovers() {
	p.Helper()
	p.until("without an event all works again", 60*time.Second, func() error {
		p.alive()
		if s := read[status](p, "/v1/status"); len(s.Degraded) > 0 || !s.Ready {
			return fmt.Errorf("ready %t, %v", s.Ready, s.Degraded)
		}
		b, _, err := send("GET", "http://"+p.doors[0]+"/healthz", nil, nil)
		if err == nil && !strings.Contains(string(b), `"status":"ok"`) {
			err = fmt.Errorf("the collector says %s", b)
		}
		return err
	})
}

// comeBack sends again what had to wait, as clients do.
func (p *portal) comeBack(batch func(int) string, waiting []int) {
	p.Helper()
	for _, n := range waiting {
		p.until("a batch that had to wait is taken", 30*time.Second, func() error {
			_, _, err := p.post(batch(n))
			return err
		})
	}
}

// complete says whether every one of the devices has all its events, once, as
// soon as speed has them.
func (p *portal) complete(devices int, each int64, when string) {
	p.Helper()
	for n := range devices {
		device := fmt.Sprintf("device-%d", n)
		p.until(device+" "+when, 30*time.Second, func() error {
			b, err := p.ask("GET", "/v1/visitors/"+url.PathEscape(device), nil)
			if err == nil && !strings.Contains(string(b), fmt.Sprintf(`"kinds":{"booking":%d}`, each)) {
				err = fmt.Errorf("%s", b)
			}
			return err
		})
	}
}
