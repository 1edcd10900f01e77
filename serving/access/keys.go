package access

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// KeysFile is the name of the file of digests in a folder of this package.
const KeysFile = "keys"

// Keys are the digests that settings give, and those of a file that is read again
// when it has changed: a key that was removed opens nothing from then on.
type Keys struct {
	given map[string]Digest
	path  string // empty: no file

	mu     sync.Mutex
	seen   stamp             // of the file that was read; guarded by mu
	inFile map[string]Digest // guarded by mu
}

// A stamp changes with a file.
type stamp struct {
	size int64
	at   time.Time
	mode fs.FileMode
	file fs.FileInfo
}

// OpenKeys takes the keys that settings give, by name, and those of a folder,
// where a file of them may come later.
func OpenKeys(given map[string]Digest, folder string) (*Keys, error) {
	k := &Keys{given: given, path: filepath.Join(folder, KeysFile)}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k, k.refresh()
}

// Any says whether there is a key at all.
func (k *Keys) Any() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.given)+len(k.inFile) > 0
}

// Find names a key; ok is false where it is none of them.
func (k *Keys) Find(key string) (name string, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.refresh(); err != nil {
		k.inFile, k.seen = nil, stamp{} // what cannot be read opens nothing
		slog.Warn("the keys of the data directory open nothing", "error", err)
	}
	name, ok = find(k.given, key)
	if n, inFile := find(k.inFile, key); inFile {
		name, ok = n, true
	}
	return name, ok
}

// refresh reads the file if it is another one than was read. mu is held.
func (k *Keys) refresh() error {
	info, err := os.Stat(k.path)
	if errors.Is(err, fs.ErrNotExist) {
		k.inFile, k.seen = nil, stamp{}
		return nil
	}
	if err != nil {
		return fmt.Errorf("read keys: %w", err)
	}
	now := stamp{info.Size(), info.ModTime(), info.Mode(), info}
	if k.seen.file != nil && os.SameFile(k.seen.file, info) && k.seen.size == now.size && k.seen.at.Equal(now.at) && k.seen.mode == now.mode {
		return nil
	}
	keys, err := readKeys(k.path)
	if err != nil {
		return err
	}
	k.inFile, k.seen = keys, now
	return nil
}

// maxKeys bounds the file: a hundred administrators have keys of their own.
const maxKeys = 100

// readKeys reads a file of lines "name digest". One that others may read or write
// is refused: a digest that a stranger can add is a key.
func readKeys(path string) (map[string]Digest, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]Digest{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read keys %s: %w", path, err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("read keys %s: its mode is %04o, so that others reach it: chmod 600", path, info.Mode().Perm())
	}
	keys := make(map[string]Digest)
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		name, digest, err := parseLine(lines.Text())
		if err != nil {
			return nil, fmt.Errorf("read keys %s:%d: %w", path, n, err)
		}
		if _, twice := keys[name]; twice || len(keys) == maxKeys {
			return nil, fmt.Errorf("read keys %s:%d: want each name once, and at most %d of them", path, n, maxKeys)
		}
		keys[name] = digest
	}
	return keys, lines.Err()
}

func parseLine(line string) (name string, digest Digest, err error) {
	fields := strings.Fields(line)
	if len(fields) != 2 {
		return "", digest, errors.New("want a name and the SHA-256 of its key in 64 hex digits")
	}
	sum, err := hex.DecodeString(fields[1])
	if err != nil || len(sum) != len(digest) {
		return "", digest, errors.New("want the SHA-256 of the key in 64 hex digits behind the name")
	}
	return fields[0], Digest(sum), CheckName(fields[0])
}

var names = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,39}$`)

// CheckName says what would be right as the name of a key: it stands in the audit
// for whoever has it.
func CheckName(name string) error {
	if !names.MatchString(name) {
		return fmt.Errorf("%q is no name of a key: want small letters, digits, dots, hyphens and underscores, a letter or digit first, 40 at most", name)
	}
	return nil
}

// ErrTaken says that a key of this name is there.
var ErrTaken = errors.New("there is a key of this name: remove it first, or take another name")

// AddKey makes a key, keeps its digest in the folder, and returns the key, which
// is nowhere else.
func AddKey(folder, name string) (key string, err error) {
	if err := CheckName(name); err != nil {
		return "", err
	}
	key = NewKey()
	return key, changeKeys(folder, func(keys map[string]Digest) error {
		if _, taken := keys[name]; taken {
			return fmt.Errorf("key %s: %w", name, ErrTaken)
		}
		if len(keys) == maxKeys {
			return fmt.Errorf("key %s: there are %d keys already: remove one first", name, maxKeys)
		}
		keys[name] = DigestOf(key)
		return nil
	})
}

// RemoveKey takes a key's digest out of the folder: it opens nothing any more.
func RemoveKey(folder, name string) error {
	return changeKeys(folder, func(keys map[string]Digest) error {
		if _, known := keys[name]; !known {
			return fmt.Errorf("key %s: there is none; there are: %s", name, strings.Join(slices.Sorted(maps.Keys(keys)), ", "))
		}
		delete(keys, name)
		return nil
	})
}

// KeyNames are the names of a folder's keys, sorted.
func KeyNames(folder string) ([]string, error) {
	keys, err := readKeys(filepath.Join(folder, KeysFile))
	return slices.Sorted(maps.Keys(keys)), err
}

// changeKeys writes the file anew, whole or not at all. Two changes at once wait
// for each other: the lock lies in a file of its own, for this one is replaced.
func changeKeys(folder string, change func(map[string]Digest) error) error {
	unlock, err := lockFolder(folder)
	if err != nil {
		return err
	}
	defer unlock()
	path := filepath.Join(folder, KeysFile)
	keys, err := readKeys(path)
	if err != nil {
		return err
	}
	if err := change(keys); err != nil {
		return err
	}
	var text bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		fmt.Fprintf(&text, "%s %x\n", name, keys[name])
	}
	return replace(path, text.Bytes())
}
