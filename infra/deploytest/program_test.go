package deploytest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// root is the program's module.
const root = "../.."

// scratch holds what is built until the tests are through.
var scratch string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if scratch, err = os.MkdirTemp("", "fernweh-deploy-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(scratch)
		return m.Run()
	}())
}

// program builds the program once, as the image does: static.
var program = sync.OnceValues(func() (string, error) {
	path := filepath.Join(scratch, "fernweh")
	build := exec.Command("go", "build", "-trimpath", "-o", path, "./cmd/fernweh")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build fernweh: %w: %s", err, out)
	}
	return path, nil
})

func fernweh(t *testing.T) string {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	return path
}
