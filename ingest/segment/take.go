package segment

import (
	"strings"

	"fernweh/schemas"
)

// The functions here take a member out of an object into a field of the event.
// A member that the field can't hold is left where it is, and so ends in the
// event's properties; it is marked, so that somebody learns of it.

// takeText takes text of any length; what is behind most bytes is cut off.
func takeText(o object, name string, most int) string {
	if f := o.peek(name); f != nil {
		if s, ok := f.value.text(); ok {
			f.taken = true
			return clip(s, most)
		}
		f.unread = true
	}
	return ""
}

// takeToken takes the first of some names that holds an id.
func takeToken(o object, names ...string) string {
	for _, name := range names {
		id, err := readID(o, name)
		switch {
		case err != nil:
			o.peek(name).unread = true
		case id != "":
			o.peek(name).taken = true
			return id
		}
	}
	return ""
}

// takeScaled takes a decimal number as a count of 10^-scale.
func takeScaled(o object, name string, scale int, least, most int64) (n int64, ok bool) {
	f := o.peek(name)
	if f == nil {
		return 0, false
	}
	s, _ := f.value.text()
	n, ok = scaled(s, scale)
	if !ok || n < least || n > most {
		f.unread = true
		return 0, false
	}
	f.taken = true
	return n, true
}

// takeCount takes a whole number of persons, nights, offers.
func takeCount(o object, name string, most int64) (int32, bool) {
	n, ok := takeScaled(o, name, 0, 0, most)
	return int32(n), ok
}

// takeDay takes a date.
func takeDay(o object, name string) (days int32, ok bool) {
	f := o.peek(name)
	if f == nil {
		return 0, false
	}
	s, _ := f.value.text()
	days, ok = parseDay(s)
	f.taken, f.unread = ok, !ok
	return days, ok
}

// takeChoice takes true or false.
func takeChoice(o object, name string) schemas.Choice {
	f := o.peek(name)
	if f == nil {
		return schemas.Choice_CHOICE_UNSPECIFIED
	}
	switch strings.Trim(string(f.value), `"`) {
	case "true":
		f.taken = true
		return schemas.Choice_CHOICE_GRANTED
	case "false":
		f.taken = true
		return schemas.Choice_CHOICE_DENIED
	}
	f.unread = true
	return schemas.Choice_CHOICE_UNSPECIFIED
}

// takeList takes an array if each says yes to every element.
func takeList(o object, name string, each func(value) bool) {
	f := o.peek(name)
	if f == nil {
		return
	}
	all := f.value.isArray()
	f.value.elements(func(v value) { all = each(v) && all })
	f.taken, f.unread = all, !all
}
