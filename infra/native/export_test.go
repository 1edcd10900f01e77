package native

import (
	"os/exec"
	"path/filepath"
	"time"
)

// What the tests hold that no caller needs.
var (
	CacheDir    = cacheDir
	Excerpt     = excerpt
	HBaseServes = hbaseServes
	Property    = property
	Vacant      = vacant
)

// Artifact is the folder of a server's artifacts in a cache.
func Artifact(k Kind, cache string) string { return filepath.Join(cache, k.folder()) }

// CheckSums holds the jars of a folder against checksums.
func CheckSums(s map[string]string, dir string) error { return sums(s).check(dir) }

// Sums are the committed checksums of a server.
func Sums(k Kind) map[string]string { return k.sums() }

// Render is a template of a server, filled in.
func Render(k Kind, name, dir string, ports Ports) (string, error) {
	b, err := k.render(name, place{Dir: dir, Data: dir + "/data", ports: ports, Secret: Secret{User: user, Password: "opensesame"}})
	return string(b), err
}

// OpenSecret reads the secret of a folder, or makes it.
func OpenSecret(dir string) (Secret, error) { return openSecret(secretDir(dir)) }

// A Process is one that was spawned.
type Process = process

// Spawn starts a command.
func Spawn(cmd *exec.Cmd, detached bool) (Process, error) { return spawn(cmd, detached) }

// Alive says whether it is still there.
func (p process) Alive() bool { return p.alive() }

// Stop asks it to end, and ends it if it has not.
func (p process) Stop(limit time.Duration) error { return p.stop(limit) }

// Note writes into a folder that the process runs there.
func (p process) Note(dir string, ports Ports) error { return note{p, ports, "1"}.write(dir) }
