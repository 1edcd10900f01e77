package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"fernweh/infra/native"
)

// test runs go test beside servers of its own: in a new folder, on free ports,
// bound to this process. So it disturbs none that runs by hand, finds nothing of
// an earlier run, and leaves none behind, however it ends. After a failure the
// folder stays, for its logs.
func test(ctx context.Context, s settings, args []string) error {
	if len(args) == 0 {
		return errors.New("test which packages? Name them as for go test")
	}
	if err := os.MkdirAll(s.data, 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(s.data, "test-")
	if err != nil {
		return err
	}
	err = testIn(ctx, s, dir, args)
	if err != nil {
		return fmt.Errorf("%w; the servers' logs are in %s", err, dir)
	}
	return os.RemoveAll(dir)
}

func testIn(ctx context.Context, s settings, dir string, args []string) (err error) {
	servers, err := startAll(ctx, s, dir)
	defer func() { err = errors.Join(err, killAll(servers)) }()
	if err != nil {
		return err
	}
	var env []string
	for _, server := range servers {
		more, err := server.Env()
		if err != nil {
			return err
		}
		env = append(env, more...)
	}
	return goTest(ctx, s, env, args)
}

// startAll starts every server. What it gives is to be ended, even with an error.
func startAll(ctx context.Context, s settings, dir string) ([]*native.Server, error) {
	var servers []*native.Server
	for _, k := range native.Kinds() {
		ports, err := native.FreePorts(k)
		if err != nil {
			return nil, err
		}
		server, err := native.New(k, native.Options{Dir: filepath.Join(dir, string(k)), Cache: s.cache, Ports: ports})
		if err != nil {
			return nil, err
		}
		servers = append(servers, server)
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, server := range servers {
		g.Go(func() error { return up(ctx, s, server) })
	}
	return servers, g.Wait()
}

// killAll ends the servers: nobody needs what they hold, and HBase takes half a
// minute to end in order.
func killAll(servers []*native.Server) error {
	var errs []error
	for _, server := range servers {
		errs = append(errs, server.Kill())
	}
	return errors.Join(errs...)
}

// goTest runs go test and fails if it does, if a test was skipped, or if there was none.
func goTest(ctx context.Context, s settings, variables, args []string) error {
	cmd := exec.CommandContext(ctx, env("GO", "go"), append([]string{"test", "-json", "-count=1"}, args...)...)
	cmd.Env = append(os.Environ(), variables...)
	cmd.Stderr = os.Stderr
	// A group of its own, so that the tests end with go test.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("run go test: %w", err)
	}
	t, err := report(out, s.out)
	if err := errors.Join(cmd.Wait(), err); err != nil {
		return fmt.Errorf("go test: %w", err)
	}
	return t.judge()
}

// An event is a line of go test -json.
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

// A tally counts what became of tests.
type tally struct {
	passed  int
	skipped []string
}

// judge says what is wrong with tests of which none failed.
func (t tally) judge() error {
	switch {
	case len(t.skipped) > 0:
		return fmt.Errorf("%d tests were skipped, with every server at hand:\n\t%s", len(t.skipped), strings.Join(t.skipped, "\n\t"))
	case t.passed == 0:
		return errors.New("no test ran")
	}
	return nil
}

// report reads the lines of go test -json and writes what somebody wants to
// read: of each test how long it took and what it measured, all of what failed or was
// skipped, and go test's closing line for each package.
func report(in io.Reader, out io.Writer) (tally, error) {
	var t tally
	said := make(map[string]string) // by a test that has not ended yet
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			t.take(line, said, out)
		}
		if errors.Is(err, io.EOF) {
			for _, name := range slices.Sorted(maps.Keys(said)) { // what a crash cut short
				fmt.Fprint(out, said[name])
			}
			fmt.Fprintf(out, "%d tests passed, %d were skipped\n", t.passed, len(t.skipped))
			return t, nil
		}
		if err != nil {
			return t, err
		}
	}
}

// take adds one line to the tally.
func (t *tally) take(line []byte, said map[string]string, out io.Writer) {
	var e event
	if json.Unmarshal(line, &e) != nil {
		fmt.Fprintf(out, "%s", line) // go's own word
		return
	}
	if e.Test == "" {
		if e.Output != "PASS\n" {
			fmt.Fprint(out, e.Output)
		}
		return
	}
	name := e.Package + "." + e.Test
	switch e.Action {
	case "output":
		said[name] += e.Output
		return
	case "pass":
		t.passed++
		if !strings.Contains(e.Test, "/") {
			fmt.Fprint(out, figures(said[name]))
		}
	case "skip":
		t.skipped = append(t.skipped, name)
		fmt.Fprint(out, said[name])
	case "fail":
		fmt.Fprint(out, said[name])
	default:
		return
	}
	delete(said, name)
}

// figures is what a test that passed has logged, without go test's own marks.
func figures(text string) string {
	var kept strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "=== ") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}
