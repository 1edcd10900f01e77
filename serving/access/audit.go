package access

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// AuditFile is the name of the audit in a folder of this package.
const AuditFile = "audit.jsonl"

// A Record is one line of the audit.
type Record struct {
	At     time.Time `json:"at"`
	ID     string    `json:"id,omitempty"`     // the same before an act and after it
	Act    string    `json:"act"`              // the operation, as the API's description names it
	Target string    `json:"target,omitempty"` // what it is done to; of a person or device its Hash
	By     string    `json:"by,omitempty"`     // name of the key, or who else was let in
	From   string    `json:"from,omitempty"`   // address
	What   What      `json:"what"`
	Detail string    `json:"detail,omitempty"`  // how it ended, or why it was refused
	Left   int64     `json:"leftOut,omitempty"` // refusals before this one that have no line of their own
}

// What a line says of an act.
type What string

// Of an act that was let in there are a line that it begins, and one of how it
// ended; where the second is missing, the process died in between.
const (
	Begun   What = "begun"
	Done    What = "done"
	Failed  What = "failed"
	Refused What = "refused"
)

// Hash stands in the audit for a device or a customer: who asks whether an id was
// erased can look for its hash. A short id can be found from its hash by trying,
// so the file is its owner's alone.
func Hash(kind, id string) string {
	sum := sha256.Sum256([]byte(kind + "\x00" + id))
	return kind + " " + hex.EncodeToString(sum[:16])
}

// An Audit is a file that lines are added to. Any number of processes may add to
// one at the same time.
type Audit struct {
	mu   sync.Mutex
	file *os.File // guarded by mu
	torn bool     // the last line may have no end; guarded by mu
}

// OpenAudit opens the audit of a folder. A line that a crash cut off is ended, so
// that the next stands by itself.
func OpenAudit(folder string) (*Audit, error) {
	if err := MakeFolder(folder); err != nil {
		return nil, err
	}
	path := filepath.Join(folder, AuditFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open audit: %w", err)
	}
	if err := errors.Join(endLine(f), syncFolder(folder)); err != nil {
		return nil, fmt.Errorf("open audit %s: %w", path, errors.Join(err, f.Close()))
	}
	return &Audit{file: f}, nil
}

// endLine ends the last line if it has no end.
func endLine(f *os.File) error {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil || size == 0 {
		return err
	}
	last := make([]byte, 1)
	if _, err := f.ReadAt(last, size-1); err != nil || last[0] == '\n' {
		return err
	}
	_, err = f.Write([]byte("\n"))
	return err
}

// Append adds a line; it is durable when Append returns nil. The line is logged as
// well: where the data directory goes with its machine, the log is what stays.
func (a *Audit) Append(r Record) error {
	var line bytes.Buffer
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(r); err != nil {
		return fmt.Errorf("write audit of %s: %w", r.Act, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	text := line.Bytes()
	if a.torn {
		text = append([]byte("\n"), text...)
	}
	_, err := a.file.Write(text) // in one call: lines of two processes do not mix
	if a.torn = err != nil; err == nil {
		err = a.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("write audit of %s: %w", r.Act, err)
	}
	slog.LogAttrs(context.Background(), r.level(), "audit", slog.String("act", r.Act), slog.String("what", string(r.What)),
		slog.String("target", r.Target), slog.String("by", r.By), slog.String("from", r.From), slog.String("id", r.ID),
		slog.String("detail", r.Detail), slog.Int64("leftOut", r.Left))
	return nil
}

func (r *Record) level() slog.Level {
	if r.What == Refused || r.What == Failed {
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// Close closes the file.
func (a *Audit) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.file.Close()
}
