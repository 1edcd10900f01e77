package segment

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// A value is the text of one JSON value, without space around it. All text in
// this file has been checked to be JSON before: only bounds that follow from
// that are relied upon.
type value string

// A field is a member of an object.
type field struct {
	name    string
	literal string // the name as it stands in the text, with its quotes
	value   value
	taken   bool // a field of the event holds it now
	unread  bool // a field of the event should, and can't
}

// An object is the members of a JSON object in their order. Of a name that
// stands twice the last counts.
type object []field

// fields appends the members of the object v to o. Anything but an object has none.
func (o object) fields(v value) object {
	v.members(func(literal string, v value) {
		o = append(o, field{name: value(literal).unquoted(), literal: literal, value: v})
	})
	return o
}

// members calls each with every member of the object v.
func (v value) members(each func(literal string, v value)) {
	if !v.isObject() {
		return
	}
	s := string(v)
	i := skipSpace(s, 1)
	for s[i] != '}' {
		end := skipString(s, i)
		literal := s[i:end]
		i = skipSpace(s, skipSpace(s, end)+1) // behind the colon
		end = skipValue(s, i)
		each(literal, value(s[i:end]))
		i = skipSpace(s, end)
		if s[i] == ',' {
			i = skipSpace(s, i+1)
		}
	}
}

// elements calls each with every element of the array v.
func (v value) elements(each func(value)) {
	if !v.isArray() {
		return
	}
	s := string(v)
	i := skipSpace(s, 1)
	for s[i] != ']' {
		end := skipValue(s, i)
		each(value(s[i:end]))
		i = skipSpace(s, end)
		if s[i] == ',' {
			i = skipSpace(s, i+1)
		}
	}
}

// peek finds a member that is there, not null and not taken.
func (o object) peek(name string) *field {
	for i := len(o) - 1; i >= 0; i-- {
		if f := &o[i]; f.name == name {
			if f.taken || f.value == "null" {
				return nil
			}
			return f
		}
	}
	return nil
}

// drop marks members that are not to be kept.
func (o object) drop(names ...string) {
	for i := range o {
		for _, name := range names {
			if o[i].name == name {
				o[i].taken = true
			}
		}
	}
}

// untaken says whether a member is left that no field of the event holds.
func (o object) untaken() bool {
	for i := range o {
		if !o[i].taken {
			return true
		}
	}
	return false
}

func (v value) isObject() bool { return v != "" && v[0] == '{' }
func (v value) isArray() bool  { return v != "" && v[0] == '[' }
func (v value) isString() bool { return v != "" && v[0] == '"' }
func (v value) isNumber() bool { return v != "" && (v[0] == '-' || v[0] >= '0' && v[0] <= '9') }

// unquoted is what a string stands for. Without escapes it is a part of the
// text, so nothing is copied.
func (v value) unquoted() string {
	s := string(v[1 : len(v)-1])
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	b, _ := jsontext.AppendUnquote(nil, string(v)) // the only error left is half a surrogate pair: U+FFFD
	return string(b)
}

// text is a string or the literal of a number.
func (v value) text() (string, bool) {
	switch {
	case v.isString():
		return v.unquoted(), true
	case v.isNumber():
		return string(v), true
	}
	return "", false
}

func skipSpace(s string, i int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\n' || s[i] == '\t' || s[i] == '\r') {
		i++
	}
	return i
}

// skipString is the index behind the string that begins at i: behind the first
// quote that an even number of backslashes precedes.
func skipString(s string, i int) int {
	for i++; ; i++ {
		i += strings.IndexByte(s[i:], '"')
		escaped := false
		for j := i - 1; s[j] == '\\'; j-- {
			escaped = !escaped
		}
		if !escaped {
			return i + 1
		}
	}
}

// skipValue is the index behind the value that begins at i.
func skipValue(s string, i int) int {
	switch s[i] {
	case '"':
		return skipString(s, i)
	case '{', '[':
		return skipNested(s, i)
	}
	for i < len(s) && !endsScalar(s[i]) {
		i++
	}
	return i
}

func endsScalar(c byte) bool {
	switch c {
	case ',', ']', '}', ' ', '\n', '\t', '\r':
		return true
	}
	return false
}

func skipNested(s string, i int) int {
	for depth := 0; ; {
		switch s[i] {
		case '"':
			i = skipString(s, i)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		i++
		if depth == 0 {
			return i
		}
	}
}
