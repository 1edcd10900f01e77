package native_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"fernweh/infra/native"
)

// parentMode tells the test binary to be the process that starts another one and is killed.
const parentMode = "FERNWEH_TEST_PARENT"

func TestMain(m *testing.M) {
	if mode := os.Getenv(parentMode); mode != "" {
		fmt.Fprintln(os.Stderr, "parent:", parent(mode == "detached"))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// parent starts a process, says which, and waits to be killed.
func parent(detached bool) error {
	p, err := native.Spawn(exec.Command("sleep", "600"), detached)
	if err != nil {
		return err
	}
	fmt.Println(p.PID, p.Start)
	select {}
}

// sleeper is a process that would stay for ten minutes.
func sleeper(t *testing.T, command ...string) native.Process {
	t.Helper()
	if len(command) == 0 {
		command = []string{"sleep", "600"}
	}
	p, err := native.Spawn(exec.Command(command[0], command[1:]...), false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(0); err != nil {
			t.Error(err)
		}
	})
	return p
}

// eventually polls until it is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	const patience = 2 * time.Minute // for a machine that does much else
	for end := time.Now().Add(patience); !so(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after %s it is still not so that %s", patience, what)
		}
	}
}

// TestOnlyDetachedProcessesOutliveTheirParent: a test that is killed leaves no
// server behind, and make servers-up leaves its.
func TestOnlyDetachedProcessesOutliveTheirParent(t *testing.T) {
	for _, mode := range []string{"bound", "detached"} {
		t.Run(mode, func(t *testing.T) {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), parentMode+"="+mode)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			var child native.Process
			if _, err := fmt.Fscan(bufio.NewReader(out), &child.PID, &child.Start); err != nil {
				t.Fatalf("the parent did not say what it started: %v", err)
			}
			defer child.Stop(0)
			if !child.Alive() {
				t.Fatalf("process %d is not there, and its parent lives", child.PID)
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // killed, as it says
			if mode == "bound" {
				eventually(t, "the child has gone with its parent", func() bool { return !child.Alive() })
			} else if !child.Alive() {
				t.Error("the detached child has gone with its parent")
			}
		})
	}
}

// TestAReusedIDIsAnotherProcess: the note of a folder names a process that has
// ended, and its id belongs to a stranger now.
func TestAReusedIDIsAnotherProcess(t *testing.T) {
	stranger := sleeper(t)
	dir := t.TempDir()
	before := native.Process{PID: stranger.PID, Start: "another boot/1"}
	if err := before.Note(dir, native.DefaultPorts(native.Kafka)); err != nil {
		t.Fatal(err)
	}
	s := server(t, native.Kafka, native.Options{Dir: dir})
	state, err := s.State()
	if err != nil || state.Running {
		t.Errorf("the state is %+v (%v), want one that does not run", state, err)
	}
	for name, end := range map[string]func() error{"Stop": s.Stop, "Kill": s.Kill} {
		if err := end(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := s.Freeze(); err == nil || !strings.Contains(err.Error(), "does not run") {
		t.Errorf("Freeze says %v, want that it does not run", err)
	}
	if !stranger.Alive() {
		t.Error("a stranger with the same id was ended")
	}
}

func TestEnds(t *testing.T) {
	deaf := []string{"sh", "-c", `trap "" TERM; echo deaf; while :; do sleep 1; done`}
	tests := []struct {
		name    string
		command []string
		end     func(*native.Server) error
	}{
		{"stopped", nil, (*native.Server).Stop},
		{"killed", nil, (*native.Server).Kill},
		{"killed though it does not hear", deaf, (*native.Server).Kill},
		{"stopped while frozen", nil, func(s *native.Server) error {
			if err := s.Freeze(); err != nil {
				return err
			}
			return s.Stop()
		}},
		{"stopped after a thaw", nil, func(s *native.Server) error {
			if err := s.Freeze(); err != nil {
				return err
			}
			if err := s.Thaw(); err != nil {
				return err
			}
			return s.Stop()
		}},
		{"stopped twice", nil, func(s *native.Server) error {
			if err := s.Stop(); err != nil {
				return err
			}
			return s.Stop()
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, dir := sleeper(t, test.command...), t.TempDir()
			if err := p.Note(dir, native.DefaultPorts(native.HBase)); err != nil {
				t.Fatal(err)
			}
			s := server(t, native.HBase, native.Options{Dir: dir})
			if state, err := s.State(); err != nil || state.PID != p.PID {
				t.Fatalf("the state is %+v (%v), want process %d", state, err, p.PID)
			}
			if err := test.end(s); err != nil {
				t.Fatal(err)
			}
			if p.Alive() {
				t.Error("the process is still there")
			}
			if state, err := s.State(); err != nil || state.Running {
				t.Errorf("the state is %+v (%v), want one that does not run", state, err)
			}
		})
	}
}

// TestStopEndsWhatDoesNotHear: TERM is a question, KILL is not.
func TestStopEndsWhatDoesNotHear(t *testing.T) {
	cmd := exec.Command("sh", "-c", `trap "" TERM; echo deaf; while :; do sleep 1; done`)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd.Stdout = w
	p, err := native.Spawn(cmd, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(r).ReadString('\n'); err != nil { // deaf by now
		t.Fatal(err)
	}
	w.Close()
	if err := p.Stop(100 * time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if p.Alive() {
		t.Error("the process is still there")
	}
}

// TestFreezeHolds: a frozen process stands still until it is thawed.
func TestFreezeHolds(t *testing.T) {
	p, dir := sleeper(t), t.TempDir()
	if err := p.Note(dir, native.DefaultPorts(native.HBase)); err != nil {
		t.Fatal(err)
	}
	s := server(t, native.HBase, native.Options{Dir: dir})
	if err := s.Freeze(); err != nil {
		t.Fatal(err)
	}
	if got := stateOf(t, p.PID); got != "T" {
		t.Errorf("frozen, the process is in state %s, want T", got)
	}
	if err := s.Thaw(); err != nil {
		t.Fatal(err)
	}
	if got := stateOf(t, p.PID); got == "T" {
		t.Error("thawed, the process stands still")
	}
}

// stateOf is the kernel's letter for what a process does.
func stateOf(t *testing.T, pid int) string {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(stat[strings.LastIndex(string(stat), ")")+1:]))[0]
}

// TestDamagedNoteIsNamed: a server that may run is not taken for one that does not.
func TestDamagedNoteIsNamed(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/process.json", []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := server(t, native.Elastic, native.Options{Dir: dir})
	for name, try := range map[string]func() error{
		"Start": func() error { return s.Start(t.Context()) }, "Stop": s.Stop, "Kill": s.Kill, "Freeze": s.Freeze,
	} {
		if err := try(); err == nil || !strings.Contains(err.Error(), "process.json") {
			t.Errorf("%s says %v, want the name of the file", name, err)
		}
	}
}

// TestWhoeverWaitsForAFolderHearsItsContext: another process starts the server
// of the folder, and takes longer than the caller wants to wait.
func TestWhoeverWaitsForAFolderHearsItsContext(t *testing.T) {
	dir := t.TempDir()
	other, err := os.Create(dir + "/LOCK")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := syscall.Flock(int(other.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err = server(t, native.Kafka, native.Options{Dir: dir}).Start(ctx)
	if err == nil || !strings.Contains(err.Error(), "wait for the process that works in "+dir) {
		t.Errorf("Start says %v, want for whom it waited", err)
	}
}

// server is the server of a folder, not started.
func server(t *testing.T, k native.Kind, o native.Options) *native.Server {
	t.Helper()
	s, err := native.New(k, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
