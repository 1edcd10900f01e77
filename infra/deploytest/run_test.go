package deploytest

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// nobody is the user of the images.
const nobody = 65532

// image is a folder as the last stage of the Dockerfile makes it: the program, a
// data directory that is nobody's, and nothing else.
func image(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	b, err := os.ReadFile(fernweh(t))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "fernweh"), b, 0o755)
	}
	if err == nil {
		err = os.MkdirAll(filepath.Join(dir, "data/archive"), 0o755)
	}
	for _, name := range []string{"data", "data/archive"} {
		if err == nil {
			err = os.Chown(filepath.Join(dir, name), nobody, nobody)
		}
	}
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// inside prepares a call of the program that sees nothing but the image.
func inside(dir string, args ...string) *exec.Cmd {
	c := exec.Command("/fernweh", args...)
	c.Dir, c.Env = "/", []string{"FERNWEH_DATA_DIR=/data"}
	c.SysProcAttr = &syscall.SysProcAttr{Chroot: dir, Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	return c
}

// free is an address that nobody listens on.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestTheImageRuns: the static program, alone in its file system and as nobody,
// does its main job, says how it is, and writes nothing but its data.
func TestTheImageRuns(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may change the root of a process")
	}
	dir := image(t)
	ingest, serve, admin := free(t), free(t), free(t)
	up := inside(dir, "up", "--ingest-addr", ingest, "--serve-addr", serve, "--admin-addr", admin, "--batch-schedule", "")
	said := new(bytes.Buffer)
	up.Stdout, up.Stderr = said, said
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- up.Wait() }()
	for _, url := range []string{"http://" + serve + "/v1/health/ready", "http://" + ingest + "/healthz", "http://" + admin + "/healthz", "http://" + admin + "/readyz"} {
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
			out, err := inside(dir, "health", url).CombinedOutput()
			if err == nil {
				break
			}
			select {
			case err := <-ended:
				t.Fatalf("up ends: %v: %s", err, said)
			default:
			}
			if time.Now().After(deadline) {
				t.Fatalf("health %s: %v: %s", url, err, out)
			}
		}
	}
	if out, err := inside(dir, "simulate", "--collector-url", "http://"+ingest, "--simulate-visitors", "5", "--simulate-days", "1").CombinedOutput(); err != nil {
		t.Errorf("simulate: %v: %s", err, out)
	}
	if out, err := inside(dir, "batch", "run").CombinedOutput(); err != nil || !strings.Contains(string(out), "generation 1 is published") {
		t.Errorf("batch run: %v: %s", err, out)
	}
	if err := up.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("after SIGTERM: %v: %s", err, said)
	}
	if out, err := inside(dir, "health", "http://"+admin+"/healthz").CombinedOutput(); err == nil {
		t.Errorf("who is gone says %s", out)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("in the root lie %v (%v), want fernweh and data", entries, err)
	}
}
