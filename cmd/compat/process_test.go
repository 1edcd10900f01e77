package compat_test

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// scratch holds the built program until all tests are through.
var scratch string

// program builds today's program once.
var program = sync.OnceValues(func() (string, error) {
	path := filepath.Join(scratch, "fernweh")
	out, err := exec.Command("go", "build", "-o", path, "fernweh/cmd/fernweh").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build fernweh: %w: %s", err, out)
	}
	return path, nil
})

func today(t *testing.T) string {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// A portal is a directory and a process of some release that has it.
type portal struct {
	*testing.T
	program, dir string
	args         []string

	process *exec.Cmd
	said    *os.File
	doors   [2]string // collector, API
}

// run prepares a call of the portal's program with no settings but the arguments.
func (p *portal) run(args ...string) *exec.Cmd {
	c := exec.CommandContext(p.Context(), p.program, args...)
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "FERNWEH_") {
			c.Env = append(c.Env, entry)
		}
	}
	return c
}

// up starts every layer and waits until questions are answered.
func (p *portal) up(more ...string) {
	p.Helper()
	p.doors = [2]string{door(p.T), door(p.T)}
	args := append([]string{"up", "--data-dir", p.dir, "--ingest-addr", p.doors[0], "--serve-addr", p.doors[1]}, p.args...)
	p.start(append(args, more...)...)
	p.until("the portal is ready", func() error {
		_, err := p.ask(http.MethodGet, "http://"+p.doors[1]+"/v1/health/ready", "")
		return err
	})
}

func (p *portal) start(args ...string) {
	p.Helper()
	var err error
	if p.said, err = os.CreateTemp(p.TempDir(), "said"); err != nil {
		p.Fatal(err)
	}
	p.process = p.run(args...)
	p.process.Stdout, p.process.Stderr = p.said, p.said
	if err := p.process.Start(); err != nil {
		p.Fatal(err)
	}
}

// rebuild takes the directory of a release with another fold: its views are refused
// by name, and what the refusal tells to do makes others.
func (p *portal) rebuild() {
	p.Helper()
	refused, err := p.run(append([]string{"up", "--data-dir", p.dir, "--ingest-addr", door(p.T), "--serve-addr", door(p.T)}, p.args...)...).CombinedOutput()
	if err == nil || !strings.Contains(string(refused), "fernweh rebuild --views NAME") {
		p.Fatalf("views of another fold are not refused with what to do: %v\n%s", err, refused)
	}
	p.args = append(p.args, "--views", "upgraded")
	if made, err := p.run(append([]string{"rebuild", "--data-dir", p.dir}, p.args...)...).CombinedOutput(); err != nil {
		p.Fatalf("rebuild: %v\n%s", err, made)
	}
}

// end sends a signal and waits for the end.
func (p *portal) end(s syscall.Signal) error {
	if err := p.process.Process.Signal(s); err != nil {
		return err
	}
	return p.process.Wait()
}

func (p *portal) stop() {
	p.Helper()
	if err := p.end(syscall.SIGTERM); err != nil {
		p.Errorf("after SIGTERM: %v\n%s", err, p.words())
	}
}

// words is what the process has said.
func (p *portal) words() string {
	b, _ := os.ReadFile(p.said.Name()) // it is for a failure's text only
	return string(b)
}

// until tries again until there is no error.
func (p *portal) until(what string, try func() error) {
	p.Helper()
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			p.Fatalf("%s: not within a minute: %v\n%s", what, err, p.words())
		}
	}
}

// ask makes one request of the demo source.
func (p *portal) ask(method, url, body string) ([]byte, error) {
	r, err := http.NewRequestWithContext(p.Context(), method, url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.SetBasicAuth("demo", "")
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s: %s", method, url, resp.Status, b)
	}
	return b, err
}

// get asks the API.
func (p *portal) get(path string) []byte {
	p.Helper()
	b, err := p.ask(http.MethodGet, "http://"+p.doors[1]+path, "")
	if err != nil {
		p.Fatal(err)
	}
	return b
}

// post gives events to the collector.
func (p *portal) post(body string) string {
	p.Helper()
	b, err := p.ask(http.MethodPost, "http://"+p.doors[0]+"/v1/batch", body)
	if err != nil {
		p.Fatal(err)
	}
	return string(b)
}

// settle waits until answers hold so many records of the log, cuts among them.
func (p *portal) settle(records int64) {
	p.Helper()
	p.until(fmt.Sprintf("answers hold %d records", records), func() error {
		var s struct {
			Coverage struct{ Partitions []struct{ Through int64 } }
		}
		if err := json.Unmarshal(p.get("/v1/status"), &s); err != nil {
			return err
		}
		var there int64
		for _, c := range s.Coverage.Partitions {
			there += c.Through
		}
		if there != records {
			return fmt.Errorf("they hold %d", there)
		}
		return nil
	})
}

// batch makes a generation and says how many rows it folded.
func (p *portal) batch() int64 {
	p.Helper()
	out, err := p.run(append([]string{"batch", "run", "--data-dir", p.dir}, p.args...)...).CombinedOutput()
	if err != nil {
		p.Fatalf("batch run: %v\n%s", err, out)
	}
	var runs struct {
		Runs []struct {
			State string
			Steps []struct {
				Name string
				Rows int64
			}
		}
	}
	if err := json.Unmarshal(p.get("/v1/runs?limit=1"), &runs); err != nil {
		p.Fatal(err)
	}
	for _, s := range runs.Runs[0].Steps {
		if s.Name == "fold" {
			return s.Rows
		}
	}
	p.Fatalf("the last run has no fold: %+v", runs)
	return 0
}

// door is an address that nobody has.
func door(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// pack writes a directory into one file.
func pack(dir, name string) error {
	// The socket of a process that was killed: dead, and nothing that an archive takes.
	if err := os.Remove(filepath.Join(dir, "access", "api.sock")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	zip, _ := gzip.NewWriterLevel(f, gzip.BestCompression) // the level is one that there is
	out := tar.NewWriter(zip)
	return errors.Join(out.AddFS(os.DirFS(dir)), out.Close(), zip.Close(), f.Close())
}

// unpack is its inverse.
func unpack(name, dir string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	plain, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("unpack %s: %w", name, err)
	}
	for in := tar.NewReader(plain); ; {
		h, err := in.Next()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = unpackOne(filepath.Join(dir, filepath.FromSlash(h.Name)), h, in)
		}
		if err != nil {
			return fmt.Errorf("unpack %s: %w", name, err)
		}
	}
}

func unpackOne(path string, h *tar.Header, from io.Reader) error {
	if h.FileInfo().IsDir() {
		return os.MkdirAll(path, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_EXCL, fs.FileMode(h.Mode)|0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	return errors.Join(err, f.Close())
}
