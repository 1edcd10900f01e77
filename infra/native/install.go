package native

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// CacheVariable names the folder of the artifacts in the environment.
const CacheVariable = "FERNWEH_NATIVE_CACHE"

// An artifact is the folder of one version of a server, ready to be run.
type artifact struct {
	dir     string
	classes string // see classData
}

// lib is where the jars lie.
func (a artifact) lib() string { return filepath.Join(a.dir, "lib") }

// cacheDir is where artifacts lie unless Options say otherwise: outside of the
// tree, so that every checkout of it shares them.
func cacheDir() (string, error) {
	if dir := os.Getenv(CacheVariable); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a folder for the servers' artifacts, which %s may name: %w", CacheVariable, err)
	}
	return filepath.Join(dir, "fernweh", "native"), nil
}

// Fetched says whether the server's artifacts are in the cache. If not, Start
// fetches them, which takes minutes on a slow line.
func (s *Server) Fetched() bool {
	_, err := os.Stat(filepath.Join(s.cache, s.kind.folder()))
	return err == nil
}

// Fetch puts the server's artifacts into the cache, or checks what is there.
func (s *Server) Fetch(ctx context.Context) error {
	_, err := install(ctx, s.kind, s.cache)
	return err
}

// install gives the artifact of a server, from the cache or through Maven. Its
// jars are held against their checksums every time, which costs a few tenths of a
// second and finds what was damaged or slipped in since.
func install(ctx context.Context, k Kind, cache string) (artifact, error) {
	a := artifact{dir: filepath.Join(cache, k.folder())}
	unlock, err := lock(ctx, filepath.Join(cache, string(k)))
	if err != nil {
		return a, err
	}
	defer unlock()
	_, err = os.Stat(a.dir)
	if errors.Is(err, fs.ErrNotExist) {
		err = fetch(ctx, k, a)
	}
	if err != nil {
		return a, fmt.Errorf("install the artifacts of %s: %w", k, err)
	}
	if err := k.sums().check(a.dir); err != nil {
		return a, fmt.Errorf("check the artifacts of %s in %s: %w; remove that folder to fetch it again", k, a.dir, err)
	}
	a.classes, err = classData(ctx, k, a)
	return a, err
}

// layout is raised when fetch makes something else of the same files.
const layout = "2"

// folder names what is installed by its version and by everything that it is made of.
func (k Kind) folder() string {
	h := sha256.New()
	h.Write([]byte(layout))
	err := fs.WalkDir(files, string(k), func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if base := path.Base(name); base == "pom.xml" || base == "SHA256SUMS" || path.Ext(base) == ".java" {
			h.Write(k.file(base))
		}
		return nil
	})
	if err != nil {
		panic(err) // it is compiled in
	}
	return filepath.Join(string(k), k.Version()+"-"+hex.EncodeToString(h.Sum(nil))[:12])
}

// fetch makes the folder of an artifact, wholly or not at all.
func fetch(ctx context.Context, k Kind, a artifact) error {
	parent := filepath.Dir(a.dir)
	if err := sweep(parent); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(parent, "partial-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp) // gone already if it became the artifact
	fresh := artifact{dir: tmp}
	if err := mavenAlone(ctx, k, fresh.lib(), filepath.Dir(parent)); err != nil {
		return err
	}
	if err := k.sums().check(tmp); err != nil { // before anything of it is run
		return err
	}
	if k == Elastic {
		if err := assembleElastic(ctx, fresh); err != nil {
			return err
		}
	}
	return os.Rename(tmp, a.dir)
}

// sweep removes what fetches that were killed have left. The caller has the lock.
func sweep(parent string) error {
	left, err := filepath.Glob(filepath.Join(parent, "partial-*"))
	for _, dir := range left {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	return err
}

// The goal that copies a class path, its version pinned like the rest.
const copyDependencies = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"

// mavenLimit is for a slow line: the artifacts of all servers are 185 MB.
const mavenLimit = 15 * time.Minute

// mavenAlone runs Maven for one server at a time: its own repository, which all
// of them fill, is not made for several at once.
func mavenAlone(ctx context.Context, k Kind, lib, cache string) error {
	unlock, err := lock(ctx, cache)
	if err != nil {
		return err
	}
	defer unlock()
	return maven(ctx, k, lib)
}

// maven copies the jars that a server's pom names into a folder.
func maven(ctx context.Context, k Kind, lib string) error {
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return errors.New("mvn is not in the path: install Maven (on Debian: apt-get install maven; infra/native/deps.sh does)")
	}
	tmp, err := os.MkdirTemp("", "fernweh-pom-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp) // a pom
	pom := filepath.Join(tmp, "pom.xml")
	if err := os.WriteFile(pom, k.file("pom.xml"), 0o644); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, mavenLimit)
	defer cancel()
	cmd := exec.Command(mvn, "-B", "-q", "-f", pom, copyDependencies,
		"-DincludeScope=runtime", "-DoutputDirectory="+lib, "-Dmaven.wagon.http.retryHandler.count=5")
	cmd.Dir = tmp
	if out, err := output(ctx, cmd); err != nil {
		return fmt.Errorf("fetch them with Maven: %w:\n%s", err, excerpt(out))
	}
	return nil
}

// unzip writes the files of a jar that lie below a folder of it into dir.
func unzip(jar, below, dir string) error {
	z, err := zip.OpenReader(jar)
	if err != nil {
		return fmt.Errorf("open %s: %w", jar, err)
	}
	defer z.Close() // it is only read
	for _, f := range z.File {
		name, ok := strings.CutPrefix(f.Name, below)
		if !ok || f.FileInfo().IsDir() {
			continue
		}
		if !filepath.IsLocal(name) {
			return fmt.Errorf("%s holds %s, which leaves its folder", jar, f.Name)
		}
		if err := unzipFile(f, filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("unpack %s of %s: %w", f.Name, jar, err)
		}
	}
	return nil
}

func unzipFile(f *zip.File, name string) error {
	in, err := f.Open()
	if err != nil {
		return err
	}
	defer in.Close() // it is only read
	b, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, b, 0o644)
}

// zipFolder packs the files of a folder.
func zipFolder(dir, name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	z := zip.NewWriter(f)
	return errors.Join(z.AddFS(os.DirFS(dir)), z.Close(), f.Close())
}

// tool finds a program of the JDK.
func tool(name string) (string, error) {
	if home := os.Getenv("JAVA_HOME"); home != "" {
		name = filepath.Join(home, "bin", name)
	}
	found, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("no %s: install a JDK of version 17 or later (on Debian: apt-get install openjdk-17-jdk-headless; infra/native/deps.sh does) or name one in JAVA_HOME: %w", name, err)
	}
	return found, nil
}
