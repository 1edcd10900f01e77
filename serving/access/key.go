package access

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"regexp"
)

// A Digest is the SHA-256 of a key. A slow hash would defend keys that people
// make up; these have 256 random bits, which no search reaches, and a slow hash
// is work that a stranger could ask for with every wrong key.
type Digest = [sha256.Size]byte

// prefix lets a key be recognised where it does not belong: in a repository, in a
// log.
const prefix = "fwk_"

// shape refuses what nothing here has made, a word that somebody can remember
// first of all: its digest could be searched for.
var shape = regexp.MustCompile(`^` + prefix + `[A-Za-z0-9_-]{43}$`)

// NewKey makes a key.
func NewKey() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails: the program ends instead
	return prefix + base64.RawURLEncoding.EncodeToString(b)
}

// IsKey says whether a text can be a key at all.
func IsKey(s string) bool { return shape.MatchString(s) }

// DigestOf is what is kept of a key.
func DigestOf(key string) Digest { return sha256.Sum256([]byte(key)) }

// find is the name whose digest is that of the key. It looks at every digest, and
// at all bytes of each, whatever it has found.
func find(keys map[string]Digest, key string) (name string, ok bool) {
	digest := DigestOf(key)
	for n, d := range keys {
		if subtle.ConstantTimeCompare(d[:], digest[:]) == 1 {
			name, ok = n, true
		}
	}
	return name, ok && IsKey(key)
}
