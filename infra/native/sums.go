package native

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// sums are SHA-256 checksums by the name of the file.
type sums map[string]string

// sums of the jars of a server, as committed.
func (k Kind) sums() sums {
	s := make(sums)
	for in := bufio.NewScanner(bytes.NewReader(k.file("SHA256SUMS"))); in.Scan(); {
		if sum, name, ok := strings.Cut(in.Text(), "  "); ok {
			s[name] = sum
		}
	}
	return s
}

// sumsOf takes the checksums of all jars below a folder.
func sumsOf(dir string) (sums, error) {
	s := make(sums)
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(name) != ".jar" {
			return err
		}
		s[filepath.Base(name)], err = sumOf(name)
		return err
	})
	return s, err
}

func sumOf(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close() // it is only read
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("read %s: %w", name, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// check says of every jar below a folder that is not what it should be, is
// missing or is one too many.
func (s sums) check(dir string) error {
	got, err := sumsOf(dir)
	if err != nil {
		return err
	}
	names := maps.Clone(s)
	maps.Copy(names, got)
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(names)) {
		switch {
		case got[name] == s[name]:
		case s[name] == "":
			errs = append(errs, fmt.Errorf("%s has no line in SHA256SUMS", name))
		case got[name] == "":
			errs = append(errs, fmt.Errorf("%s is missing", name))
		default:
			errs = append(errs, fmt.Errorf("%s has the SHA-256 %s, and SHA256SUMS says %s", name, got[name], s[name]))
		}
	}
	return few(errs)
}

// few joins the first errors and counts the others.
func few(errs []error) error {
	const shown = 4
	if more := len(errs) - shown; more > 0 {
		errs = append(errs[:shown:shown], fmt.Errorf("and %d more", more))
	}
	return errors.Join(errs...)
}

// WriteSums fetches the jars that a server's pom names and writes their
// checksums, a line each, as sha256sum does. It is for whoever raises a version, who
// then reads the difference.
func WriteSums(ctx context.Context, k Kind, w io.Writer) error {
	tmp, err := os.MkdirTemp("", "fernweh-sums-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp) // jars that Maven has too
	if err := maven(ctx, k, tmp); err != nil {
		return fmt.Errorf("checksums of %s: %w", k, err)
	}
	s, err := sumsOf(tmp)
	if err != nil {
		return fmt.Errorf("checksums of %s: %w", k, err)
	}
	for _, name := range slices.Sorted(maps.Keys(s)) {
		if _, err := fmt.Fprintf(w, "%s  %s\n", s[name], name); err != nil {
			return fmt.Errorf("checksums of %s: %w", k, err)
		}
	}
	return nil
}
