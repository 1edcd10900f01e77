package batch

import (
	"context"
	"sync"

	"fernweh/batch/archive"
	"fernweh/schemas"
)

// A keeper holds the archive's writers of this process, one for each partition
// that it has been given, so that they share what memory they may take.
type keeper struct {
	files  archive.Files
	limits archive.Limits

	mu      sync.Mutex
	writers map[int32]*archive.Writer // guarded by mu
}

func newKeeper(l *Layer) *keeper {
	limits := archive.Limits{Rows: l.ArchiveRows, Bytes: l.ArchiveFile}
	if l.ArchiveHeld > 0 {
		limits.Memory = archive.NewMemory(l.ArchiveHeld)
	}
	return &keeper{files: l.Files, limits: limits, writers: make(map[int32]*archive.Writer)}
}

// open begins with a partition at the end of its chain. A writer that the process
// had for it before is of no more use, and gives its memory back.
func (k *keeper) open(ctx context.Context, partition int32) (int64, func(context.Context, []schemas.Record) error, error) {
	k.mu.Lock()
	before := k.writers[partition]
	k.mu.Unlock()
	if before != nil {
		before.Close() // first, or it may still write a file behind which the next one must begin
	}
	w, err := archive.NewWriter(ctx, k.files, partition, k.limits)
	if err != nil {
		return 0, nil, err
	}
	k.mu.Lock()
	k.writers[partition] = w
	k.mu.Unlock()
	return w.Start(), w.Handle, nil
}

func (k *keeper) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, w := range k.writers {
		w.Close()
	}
}
