package native

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// classData gives the file of a server's classes as the virtual machine keeps
// them, parsed and verified (class data sharing, JEP 350): a start then takes some
// 40% less processor time. It is made once for every JDK, from the classes that a
// server has loaded when it serves, which takes as long as two starts. "" says
// that this JDK makes none; the server is as good without.
//
// A virtual machine that is given a damaged one crashes. So the name has the
// SHA-256 of what is in it, and what does not fit its name is made again.
//
// The caller has the lock of the server's cache.
func classData(ctx context.Context, k Kind, a artifact) (string, error) {
	id, err := jdk()
	if err != nil {
		return "", err
	}
	name := filepath.Join(a.dir, "classes-"+id)
	made, err := filepath.Glob(name + "-*.jsa")
	if err != nil {
		return "", err
	}
	for _, file := range made {
		switch sum, err := sumOf(file); {
		case err != nil:
			return "", err
		case file == name+"-"+sum+".jsa":
			return file, nil
		}
		if err := os.Remove(file); err != nil {
			return "", err
		}
	}
	if _, err := os.Stat(name + noClassData); err == nil {
		return "", nil
	}
	file, err := makeClassData(ctx, k, a, name)
	if err != nil {
		return "", fmt.Errorf("make the class data of %s: %w", k, err)
	}
	return file, nil
}

// noClassData ends the name of the file that says why there are none, so that not
// every start tries again.
const noClassData = "-none.log"

// jdk names the virtual machine that servers run in. One takes no class data of
// another build; so what a machine's update left behind is not asked for.
func jdk() (string, error) {
	java, err := tool("java")
	if err == nil {
		java, err = filepath.EvalSymlinks(java)
	}
	if err != nil {
		return "", err
	}
	info, err := os.Stat(java)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(fmt.Appendln(nil, java, info.Size(), info.ModTime().UnixNano()))
	return hex.EncodeToString(sum[:])[:12], nil
}

// makeClassData starts a server beside all others and stops it, for its virtual
// machine to write what it has loaded.
func makeClassData(ctx context.Context, k Kind, a artifact, name string) (string, error) {
	parent := filepath.Dir(a.dir)
	if err := sweep(parent); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(parent, "partial-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp) // nothing in it is needed
	ports, err := FreePorts(k)
	if err != nil {
		return "", err
	}
	s := &Server{kind: k, dir: tmp, ports: ports}
	fresh := filepath.Join(tmp, "classes.jsa")
	failed := s.once(ctx, a, "-XX:ArchiveClassesAtExit="+fresh)
	if ctx.Err() != nil {
		return "", errors.Join(failed, ctx.Err())
	}
	sum, err := sumOf(fresh)
	if failed == nil && err == nil {
		file := name + "-" + sum + ".jsa"
		return file, os.Rename(fresh, file)
	}
	log, _ := os.ReadFile(s.Log()) // it may not have come as far as that
	return "", os.WriteFile(name+noClassData, fmt.Appendln(log, errors.Join(failed, err)), 0o644)
}

// classDataLimit is how long a virtual machine may take to write its classes when it ends.
const classDataLimit = 3 * time.Minute

// once lets the server serve and end, with more flags for its virtual machine.
func (s *Server) once(ctx context.Context, a artifact, flags ...string) error {
	p, err := s.launch(ctx, a, flags...)
	if err != nil {
		return err
	}
	if err := s.await(ctx, p); err != nil {
		return errors.Join(err, p.kill())
	}
	return p.stop(classDataLimit)
}
