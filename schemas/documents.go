package schemas

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A Document is what search and dashboards find: a whole JSON object under an id
// that follows from its content. Documents are derived: they may be dropped and
// made again at any time. Of two under one id the store keeps the one with the
// higher version, so that a replay changes nothing.
type Document struct {
	Index   string
	ID      string
	Version int64  // not negative
	Body    []byte // a JSON object as the index's mapping says; nil in a deletion
}

// MaxDocumentID is the longest id of a document in bytes.
const MaxDocumentID = 512

// MaxDocument is the longest body of a document in bytes.
const MaxDocument = 16 << 20

// DocumentID is the id of the document about something. It is the thing's own id, but
// for one that is too long: that ends in a digest of it. The thing's own id
// stands in the document's key field in full.
func DocumentID(id string) string {
	if len(id) <= MaxDocumentID && utf8.ValidString(id) {
		return id
	}
	const ending = 1 + 2*sha256.Size
	head := strings.ToValidUTF8(id[:min(len(id), MaxDocumentID-ending)], "")
	sum := sha256.Sum256([]byte(id))
	return head + "~" + hex.EncodeToString(sum[:])
}

// IndexPositions holds how far who fills the other indices is.
const IndexPositions = KindPositions

// IndexDecisions is the index of the decisions of a UTC day; names ascend with
// the day. The alias KindDecisions always means all of them.
func IndexDecisions(micros int64) string {
	year, month, day := civil(micros / microsPerDay)
	return fmt.Sprintf("%s-%04d.%02d.%02d", KindDecisions, year, month, day)
}

// IndexVisitorsBatch is the index of the visitors of a generation.
func IndexVisitorsBatch(generation int64) string {
	return KindVisitors + "-b" + strconv.FormatInt(generation, 10)
}

// IndexVisitorsSpeed is the index of the visitors that were seen in an epoch.
func IndexVisitorsSpeed(epoch int64) string {
	return KindVisitors + "-s" + strconv.FormatInt(epoch, 10)
}

// IndexPanes is the index of the panes of a generation.
func IndexPanes(generation int64) string {
	return KindPanes + "-b" + strconv.FormatInt(generation, 10)
}

// maxIndex leaves room for a prefix in the 255 bytes that Elasticsearch gives a name.
const maxIndex = 120

// CheckIndex says what keeps a name from being that of an index: a kind, a
// hyphen, then lower-case letters, digits and dots; or IndexPositions. A kind
// alone is the name of an alias.
func CheckIndex(name string) error {
	kind, suffix, ok := strings.Cut(name, "-")
	if _, err := MappingOf(kind); err != nil {
		return err
	}
	if name == IndexPositions {
		return nil
	}
	if !ok {
		return fmt.Errorf("%q is an alias, not an index such as %q", name, kind+"-b7")
	}
	if strings.Trim(suffix, "abcdefghijklmnopqrstuvwxyz0123456789.") != "" || suffix == "" || len(name) > maxIndex {
		return fmt.Errorf("index %q: want %q and then up to %d lower-case letters, digits and dots",
			name, kind+"-", maxIndex-len(kind)-1)
	}
	return nil
}

// CheckAlias says what keeps a name from meaning some indices: an alias is named
// after their kind. KindDecisions keeps itself, and KindPositions is an index.
func CheckAlias(name string, indices ...string) error {
	if name != KindVisitors && name != KindPanes {
		return fmt.Errorf("alias %q: want %q or %q", name, KindVisitors, KindPanes)
	}
	for _, index := range indices {
		if err := CheckIndex(index); err != nil {
			return fmt.Errorf("alias %q: %w", name, err)
		}
		if !strings.HasPrefix(index, name+"-") {
			return fmt.Errorf("alias %q: %q is an index of another kind", name, index)
		}
	}
	return nil
}

// A DocTime is a point in time as documents have it: UTC microseconds that are
// written in RFC 3339 with milliseconds. The zero value is left out.
type DocTime int64

const (
	microsPerDay   = 24 * 60 * 60 * 1e6
	microsPerMilli = 1000
)

// String is the time in RFC 3339, such as 2026-11-22T20:15:00.000Z. What is not
// between 1970 and 9999 is written as the nearer of them.
func (t DocTime) String() string {
	const last = 253_402_300_799_999_999 // 9999-12-31T23:59:59.999999
	micros := min(max(int64(t), 0), last)
	year, month, day := civil(micros / microsPerDay)
	ms := micros % microsPerDay / microsPerMilli
	return fmt.Sprintf("%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
		year, month, day, ms/3_600_000, ms/60_000%60, ms/1000%60, ms%1000)
}

// MarshalText is String.
func (t DocTime) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads what String wrote, and nothing else.
func (t *DocTime) UnmarshalText(b []byte) error {
	const form = "0000-00-00T00:00:00.000Z"
	var parts [7]int64 // year to millisecond
	part, fits := 0, len(b) == len(form)
	for i := 0; fits && i < len(form); i++ {
		digit := '0' <= b[i] && b[i] <= '9'
		if form[i] != '0' {
			fits = b[i] == form[i]
			part++
			continue
		}
		fits = digit
		parts[part] = parts[part]*10 + int64(b[i]-'0')
	}
	if fits {
		seconds := (parts[3]*60+parts[4])*60 + parts[5]
		*t = DocTime(days(parts[0], parts[1], parts[2])*microsPerDay + seconds*1e6 + parts[6]*microsPerMilli)
	}
	if !fits || !t.writes(b) {
		return fmt.Errorf("time %q: want UTC from 1970 on with milliseconds, such as 2026-11-22T20:15:00.000Z", b)
	}
	return nil
}

// writes says whether a time is written like this: 30 February is not.
func (t DocTime) writes(b []byte) bool { return t.String() == string(b) }

// civil is the date of a day since 1970-01-01. In years that begin in March the
// leap day comes last, so a day's month follows from its number.
func civil(day int64) (year, month, dayOfMonth int64) {
	const (
		era   = 146_097 // days in 400 years
		epoch = 719_468 // days from 0000-03-01 to 1970-01-01
	)
	day += epoch
	ofEra := day % era
	yearOfEra := (ofEra - ofEra/1460 + ofEra/36_524 - ofEra/146_096) / 365
	ofYear := ofEra - (365*yearOfEra + yearOfEra/4 - yearOfEra/100)
	march := (5*ofYear + 2) / 153 // 0 is March
	year, month, dayOfMonth = day/era*400+yearOfEra, march+3, ofYear-(153*march+2)/5+1
	if month > 12 {
		year, month = year+1, month-12
	}
	return year, month, dayOfMonth
}

// days is the reverse of civil.
func days(year, month, day int64) int64 {
	if month <= 2 {
		year, month = year-1, month+12
	}
	return 365*year + year/4 - year/100 + year/400 + (153*(month-3)+2)/5 + day - 1 - 719_468
}
