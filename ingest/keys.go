package ingest

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"slices"
)

// HashKey is what is kept of a write key: its SHA-256 in hex.
func HashKey(key string) string {
	h := sha256.Sum256([]byte(key))
	return hex.EncodeToString(h[:])
}

// keys are the known write keys.
type keys []sourceKey

type sourceKey struct {
	source string
	hash   [sha256.Size]byte
}

func parseKeys(hashes map[string]string) (keys, error) {
	var ks keys
	for _, source := range slices.Sorted(maps.Keys(hashes)) {
		b, err := hex.DecodeString(hashes[source])
		if err != nil || len(b) != sha256.Size {
			return nil, fmt.Errorf("write key of %s is not a SHA-256 in hex", source)
		}
		ks = append(ks, sourceKey{source, [sha256.Size]byte(b)})
	}
	return ks, nil
}

// source names whose key it is. It takes as long for a wrong key as for a right one.
func (ks keys) source(key string) (source string, ok bool) {
	h := sha256.Sum256([]byte(key))
	for _, k := range ks {
		if subtle.ConstantTimeCompare(h[:], k.hash[:]) == 1 {
			source, ok = k.source, true
		}
	}
	return source, ok && key != ""
}

// headKeys are the keys that stand around a body: as Basic user, as X-API-Key,
// in the query.
func headKeys(r *http.Request) (found []string) {
	basic, _, _ := r.BasicAuth()
	for _, key := range []string{basic, r.Header.Get("X-API-Key"), r.URL.Query().Get("writeKey")} {
		if key != "" {
			found = append(found, key)
		}
	}
	return found
}

// sourceOf is the source of the first key that is known.
func (ks keys) sourceOf(candidates ...string) (source string, ok bool) {
	for _, key := range candidates {
		if source, ok = ks.source(key); ok {
			return source, true
		}
	}
	return "", false
}
