package main

// readMutants are mistakes in what the bytes of a record mean.
func readMutants() []mutant {
	const (
		record  = "schemas/record.go"
		bounds  = "schemas/bounds.go"
		normal  = "schemas/normal.go"
		control = "schemas/control.go"
		gap     = "infra/kafka/gap.go"
	)
	by := []string{"./schemas"}
	return []mutant{
		{"a record in a wrong partition is an event", "law 6", record, "case Partition(e.Device, partitions) != r.Partition:", "case false:", by},
		{"a kind of a later release is unreadable for ever", "law 6", record, "r.Later = true", "", by},
		{"a kind of no release may be one of a later", "law 6", record, "e.Kind < Kinds &&", "", by},
		{"an append time has no bounds", "law 5", record, "r.At = min(max(r.At, 0), MaxTime)", "", by},
		{"what is normalised away is not said", "law 5", record, "r.More = e.normalise() || e.unknown()", "e.normalise()\n\t\tr.More = e.unknown()", by},
		{"an action may name a cause behind it", "law 4", record, "e.Action.Cause >= r.Offset", "e.Action.Cause > r.Offset", by},
		{"the bound of an id is one byte less", "bounds", bounds, "MaxID         = 256 ", "MaxID         = 255 ", by},
		{"a text may be one byte longer", "bounds", bounds, "if len(b.text) <= b.most {", "if len(b.text) <= b.most+1 {", by},
		{"an empty text in a list takes no room", "bounds", bounds, "n += len(s) + 1\n\t}\n\tif n <= MaxList {", "n += len(s)\n\t}\n\tif n <= MaxList {", by},
		{"an event from before 1970 is taken", "bounds", bounds, "case e.Time < 0 ||", "case", by},
		{"the texts of a placement have no bounds", "bounds", bounds, "bounds := p.texts()\n\t\tall(bounds[:])", "_ = p.texts()", by},
		{"a device class of a later release stays", "normal form", normal, "enumerated(&n, DeviceClass_name, &c.DeviceClass)", "", by},
		{"styles stay out of order", "normal form", normal, "slices.Sort(*styles)", "", by},
		{"a style counts twice", "normal form", normal, "*styles = slices.Compact(*styles)", "", by},
		{"no result is said as none found", "normal form", normal, "&s.Results, -1, MaxMany, -1", "&s.Results, -1, MaxMany, 0", by},
		{"a negative amount stays", "normal form", normal, "within(&n, &o.Amount, 0, MaxAmount, 0)", "", by},
		{"a currency may have four letters", "normal form", normal, "len(*s) != 3 || ", "", by},
		{"unknown fields of an order are overlooked", "law 5", normal, "if o := e.Order; o != nil {\n\t\tn += len(o.unknownFields)\n\t}", "", by},
		{"a number of any size counts", "law 3", control, "n > last && n-last <= MaxStep", "n > last", by},
		{"the largest step does not count", "law 3", control, "n-last <= MaxStep", "n-last < MaxStep", by},
		{"a number counts twice", "law 3", control, "return n > last &&", "return n >= last &&", by},
		{"a number may have a leading zero", "law 3", control, "b[0] < '1'", "b[0] < '0'", by},
		{"models count in every set of views", "control", control, "in.Views == views && ", "", by},
		{"a quarantine may name what comes later", "control", control, "c.Skip.Offset < r.Offset && ", "", by},
		{"a tick has the number that it says", "control", control, "c.Number = r.At / (60 * 1_000_000)", "", by},
		{"any batch explains a gap", "law 6", gap, "if b.Control && b.FirstOffset <= at {", "if b.FirstOffset <= at {", []string{"./infra/kafka -run TestGaps"}},
		{"a mark behind a hole explains it", "law 6", gap, "if b.Control && b.FirstOffset <= at {", "if b.Control {", []string{"./infra/kafka -run TestGaps"}},
		{"a gap of another partition is accepted", "law 6", gap, "g.Partition == partition && ", "", []string{"./infra/kafka -run TestGaps"}},
	}
}
