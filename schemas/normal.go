package schemas

import "slices"

// known says whether an enumeration of this release has a value.
func known[E ~int32](names map[int32]string, v E) bool {
	_, is := names[int32(v)]
	return is
}

// normalise brings the event into the one form in which every reader folds it
// and the archive's columns hold it, and says whether that changed anything. What
// this release does not know, and what cannot be meant, is as if it were not
// said: the event happened all the same.
func (e *Event) normalise() (changed bool) {
	var n normaliser
	enumerated(&n, Choice_name, &e.Choice)
	if c := e.Context; c != nil {
		enumerated(&n, DeviceClass_name, &c.DeviceClass)
	}
	if s := e.Search; s != nil {
		within(&n, &s.Depart, 0, MaxDay, 0)
		within(&n, &s.Nights, 0, MaxCount, 0)
		within(&n, &s.Adults, 0, MaxCount, 0)
		within(&n, &s.Children, 0, MaxCount, 0)
		within(&n, &s.Results, -1, MaxMany, -1)
	}
	if o := e.Offer; o != nil {
		o.normalise(&n)
	}
	if o := e.Order; o != nil {
		within(&n, &o.Amount, 0, MaxAmount, 0)
		n.currency(&o.Currency)
	}
	return n.changed
}

func (o *Offer) normalise(n *normaliser) {
	enumerated(n, OfferKind_name, &o.Kind)
	enumerated(n, Choice_name, &o.Available)
	within(n, &o.Latitude, -90e6, 90e6, 0)
	within(n, &o.Longitude, -180e6, 180e6, 0)
	within(n, &o.Stars, 0, MaxStars, 0)
	within(n, &o.Price, 0, MaxAmount, 0)
	within(n, &o.Quantity, 0, MaxMany, 0)
	n.currency(&o.Currency)
	n.styles(&o.Styles)
}

// A normaliser notes whether it changed anything.
type normaliser struct{ changed bool }

// enumerated takes away a value that the enumeration does not have.
func enumerated[E ~int32](n *normaliser, names map[int32]string, v *E) {
	if *v != 0 && !known(names, *v) {
		*v, n.changed = 0, true
	}
}

// within puts unsaid in the place of a number that is out of its bounds.
func within[N int32 | int64](n *normaliser, v *N, least, most, unsaid N) {
	if *v < least || *v > most {
		*v, n.changed = unsaid, true
	}
}

// currency takes away what is not three capital letters.
func (n *normaliser) currency(s *string) {
	if *s == "" {
		return
	}
	for i := range len(*s) {
		if len(*s) != 3 || (*s)[i] < 'A' || (*s)[i] > 'Z' {
			*s, n.changed = "", true
			return
		}
	}
}

// styles makes the styles ascend, each once, without unknown ones.
func (n *normaliser) styles(styles *[]Style) {
	last := Style_STYLE_UNSPECIFIED
	for _, s := range *styles {
		if s <= last || !known(Style_name, s) {
			n.changed = true
			*styles = slices.DeleteFunc(*styles, func(s Style) bool { return s <= 0 || !known(Style_name, s) })
			slices.Sort(*styles)
			*styles = slices.Compact(*styles)
			return
		}
		last = s
	}
}

// unknown says whether the event holds fields that this release does not know.
func (e *Event) unknown() bool {
	n := len(e.unknownFields)
	if c := e.Context; c != nil {
		n += len(c.unknownFields)
	}
	if s := e.Search; s != nil {
		n += len(s.unknownFields)
	}
	if o := e.Offer; o != nil {
		n += len(o.unknownFields)
	}
	if o := e.Order; o != nil {
		n += len(o.unknownFields)
	}
	if p := e.Placement; p != nil {
		n += len(p.unknownFields)
	}
	if x := e.Erasure; x != nil {
		n += len(x.unknownFields)
	}
	if a := e.Action; a != nil {
		n += len(a.unknownFields)
	}
	return n > 0
}
