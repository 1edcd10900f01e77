package embedded

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A topicShape is a topic as the broker keeps it in topics.json.
type topicShape struct {
	Name       string            `json:"name"`
	ID         string            `json:"id"`
	Partitions int               `json:"partitions"`
	Replicas   int               `json:"replicas"`
	Configs    map[string]string `json:"configs,omitempty"`
}

// maxPartitions bounds what a damaged number makes the broker allocate.
const maxPartitions = 10_000

// readTopics reads topics.json, by name. There is none in a directory that no
// broker has been in.
func readTopics(dir string) ([]topicShape, error) {
	path := filepath.Join(dir, "topics.json")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var file struct {
		Version int          `json:"version"`
		Topics  []topicShape `json:"topics"`
	}
	if err := json.Unmarshal(b, &file); err != nil {
		return nil, fmt.Errorf("%w: file %s: %w. %s", ErrDamaged, path, err, restoreHint)
	}
	slices.SortFunc(file.Topics, func(a, b topicShape) int { return strings.Compare(a.Name, b.Name) })
	for i, t := range file.Topics {
		switch {
		case t.Name == "" || strings.ContainsAny(t.Name, " \t\r\n"), t.ID == "" || strings.ContainsAny(t.ID, " \t\r\n"),
			t.Partitions < 1 || t.Partitions > maxPartitions,
			i > 0 && file.Topics[i-1].Name == t.Name:
			return nil, fmt.Errorf("%w: file %s: topic %q with id %q and %d partitions is none. %s",
				ErrDamaged, path, t.Name, t.ID, t.Partitions, restoreHint)
		}
	}
	return file.Topics, nil
}

// shapeSum is the same for the same topics, in whatever order they are written.
func shapeSum(topics []topicShape) uint32 {
	if len(topics) == 0 {
		topics = nil
	}
	b, err := json.Marshal(topics) // maps are written in order of their keys
	if err != nil {
		panic(fmt.Sprintf("strings and numbers are no JSON: %v", err))
	}
	return crc32.Checksum(b, castagnoli)
}

// partitionDir is where the broker keeps a partition.
func partitionDir(dir, topic string, n int) string {
	return filepath.Join(dir, "partitions", fmt.Sprintf("%s-%d", url.PathEscape(topic), n))
}

// number is a setting of the topic, or otherwise if it has none of its own.
func (t topicShape) number(name string, otherwise int64) int64 {
	n, err := strconv.ParseInt(t.Configs[name], 10, 64)
	if err != nil {
		return otherwise
	}
	return n
}

// compacted says that records may be missing between others.
func (t topicShape) compacted() bool { return strings.Contains(t.Configs["cleanup.policy"], "compact") }
