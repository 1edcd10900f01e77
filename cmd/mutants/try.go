package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// patience bounds one package's tests: a mistake may make a loop that never ends,
// and that is noticed too.
const patience = "4m"

// try makes the mistake and runs its tests until one notices.
func try(ctx context.Context, root string, m mutant) (v verdict) {
	began := time.Now()
	defer func() { v.took = time.Since(began) }()
	dir, err := os.MkdirTemp("", "mutant")
	if err != nil {
		return verdict{err: err}
	}
	defer os.RemoveAll(dir)
	overlay, err := write(dir, root, m)
	if err != nil {
		return verdict{err: err}
	}
	for _, test := range m.tests {
		killer, err := notice(ctx, root, overlay, test)
		if err != nil || killer != "" {
			return verdict{killer: killer, err: err}
		}
	}
	return verdict{}
}

// write writes the changed file and the overlay that shows it to the Go command.
func write(dir, root string, m mutant) (overlay string, err error) {
	path, err := filepath.Abs(filepath.Join(root, m.file))
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(text), m.old); n != 1 {
		return "", fmt.Errorf("%w: %q stands %d times in the file", errVoid, m.old, n)
	}
	changed := filepath.Join(dir, filepath.Base(m.file))
	if err := os.WriteFile(changed, []byte(strings.Replace(string(text), m.old, m.new, 1)), 0o600); err != nil {
		return "", err
	}
	list, err := json.Marshal(map[string]map[string]string{"Replace": {path: changed}})
	if err != nil {
		return "", err
	}
	overlay = filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, list, 0o600)
}

// notice runs a package's tests and names the one that failed; empty: none did.
func notice(ctx context.Context, root, overlay, test string) (killer string, err error) {
	args := []string{"test", "-vet=off", "-count=1", "-failfast", "-timeout", patience}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	args = append(args, strings.Fields(test)...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = root
	said, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return "", nil
	case ctx.Err() != nil:
		return "", ctx.Err()
	case !errors.As(err, &exit):
		return "", err
	}
	return blame(test, string(said))
}

var failed = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)

// blame reads out of what go test said which test failed. What does not compile
// was noticed by the compiler, which proves nothing of the tests.
func blame(test, said string) (killer string, err error) {
	if strings.Contains(said, "[build failed]") || strings.Contains(said, "[setup failed]") {
		return "", fmt.Errorf("%w: it does not compile:\n%.2000s", errVoid, said)
	}
	pkg, _, _ := strings.Cut(test, " ")
	if strings.Contains(said, "panic: test timed out") {
		return pkg + " does not come to an end", nil
	}
	if all := failed.FindAllStringSubmatch(said, -1); all != nil {
		return pkg + " " + all[len(all)-1][1], nil
	}
	if strings.Contains(said, "panic: ") {
		return pkg + " panics", nil
	}
	return "", fmt.Errorf("%w: go test failed without a test:\n%.2000s", errVoid, said)
}
