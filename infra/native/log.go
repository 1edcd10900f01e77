package native

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// logFile is what the server of a folder says; the log of the start before that lies beside it.
func logFile(dir string) string { return filepath.Join(dir, "server.log") }

// newLog keeps the last log and opens one for the next start.
func newLog(dir string) (*os.File, error) {
	name := logFile(dir)
	if err := os.Rename(name, name+".1"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
}

// said says whether the server has written the words since its start.
func said(dir, words string) bool {
	b, _ := os.ReadFile(logFile(dir)) // no log yet: not said
	return bytes.Contains(b, []byte(words))
}

// trouble marks the lines that say why a server gave up.
var trouble = regexp.MustCompile(`\b(ERROR|FATAL|ABORTING)\b|(^|Caused by: |stderr )([\w$]+\.)+[\w$]*(Exception|Error)\b|^Error|^Exception in`)

// An excerpt shows at most so many lines.
const excerptLines = 12

// excerpt is what somebody wants to read of a log after a failed start: its
// lines of trouble with what follows each, or if it has none, its end.
func excerpt(log []byte) string {
	lines := strings.Split(strings.TrimSpace(string(log)), "\n")
	var found []string
	for i := 0; i < len(lines) && len(found) < excerptLines; i++ {
		if trouble.MatchString(lines[i]) {
			found = append(found, lines[i])
			if i+1 < len(lines) && !trouble.MatchString(lines[i+1]) {
				i++
				found = append(found, lines[i])
			}
		}
	}
	if len(found) == 0 {
		found = lines[max(0, len(lines)-excerptLines):]
	}
	return "\t" + strings.Join(found, "\n\t")
}
