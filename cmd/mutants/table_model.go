package main

func filterMutants() []mutant {
	const file = "model/visitor/filter.go"
	by := []string{documented, cells}
	return []mutant{
		{"one id too few is remembered", "law 1", file, "last := l.remembered() - 1", "last := l.remembered() - 2", by},
		{"an id is not remembered when the list is full", "law 1", file, "copy(f.IDs, f.IDs[1:])", "", by},
		{"an erasure is applied each time it is sent", "law 1", file, "if f.told(login, at) {", "if false {", by},
		{"the id of an erasure is not remembered", "law 1", file, "f.remember(l, id)\n\tif login == \"\" {", "if login == \"\" {", by},
		{"what was received with the erasure comes back", "law 6", file, "if received <= f.Erased &&", "if received < f.Erased &&", by},
		{"what comes late without a user after an erasure comes back", "law 6", file, "return received <= f.ErasedUnnamed &&", "return received < f.ErasedUnnamed &&", by},
		{"erasures beyond those known are forgotten", "law 6", file, "if received <= f.ErasedOthers && f.ErasedOthers > 0 {", "if false {", by},
		{"of too many erasures the latest goes", "law 6", file, "if e.At < f.ErasedLogins[earliest].At {", "if e.At > f.ErasedLogins[earliest].At {", by},
		{"one erasure more is known", "law 6", file, "len(f.ErasedLogins) <= l.erasures()", "len(f.ErasedLogins) <= l.erasures()+1", by},
		{"what was received with a login's erasure comes back", "law 6", file, "received <= f.ErasedLogins[i].At", "received < f.ErasedLogins[i].At", by},
		{"a refusal is forgotten with the device", "law 6", file, "if f.Choice == schemas.Choice_CHOICE_DENIED {", "if false {", by},
		{"an erased login stays the device's", "law 6", file, "if f.Login == login || f.stubbed == hash {", "if f.stubbed == hash {", by},
		{"after an erasure events go to the unit before any login", "law 6", file, "f.Login, f.Nobody, f.stubbed = \"\", true, 0", "f.Login, f.Nobody, f.stubbed = \"\", false, 0", by},
		{"the next login gets what was before the erased one", "law 6", file, "f.FirstLogin, f.FirstGone, f.stubbedFirst = \"\", true, 0", "f.FirstLogin = \"\"", by},
		{"an erased login stays the first", "law 6", file, "if f.FirstLogin == login || f.stubbedFirst == hash {", "if f.stubbedFirst == hash {", by},
		{"an event without consent logs in", "law 1", file, "if !f.consents(e) {", "f.login(e.User)\n\tif !f.consents(e) {", by},
		{"an event with a user does not log in", "law 1", file, "f.Login, f.Nobody, f.stubbed = user, false, 0", "f.Nobody = false", by},
		{"a login leaves the device nobody's", "law 1", file, "f.Login, f.Nobody, f.stubbed = user, false, 0", "f.Login = user", by},
		{"the latest login is the first", "law 1", file, "if f.FirstLogin == \"\" && !f.FirstGone {", "if !f.FirstGone {", by},
		{"one event more is kept in full", "law 1", file, "f.Events > l.events()", "f.Events > l.events()+1", by},
		{"one byte more is kept in full", "law 1", file, "f.Bytes+cost > l.bytes()", "f.Bytes+cost > l.bytes()+1", by},
		{"after what is not kept in full smaller ones are", "law 1", file, "f.Bytes = l.bytes()", "", by},
		{"a choice without a word is one", "law 1", file, "&& e.Choice != schemas.Choice_CHOICE_UNSPECIFIED", "", by},
		{"what the source assumes outweighs the visitor", "law 1", file, "return f.Choice == schemas.Choice_CHOICE_GRANTED", "return f.Choice == schemas.Choice_CHOICE_GRANTED || e.AssumedConsent", by},
	}
}

func actionMutants() []mutant {
	const file, stub = "model/visitor/action.go", "model/visitor/stub.go"
	by := []string{documented, cells}
	return []mutant{
		{"an action comes twice", "law 4", file, "a.GetCause() <= f.Campaigns[i].Cause", "a.GetCause() < f.Campaigns[i].Cause", by},
		{"one campaign more acts", "law 4", file, "len(f.Campaigns) >= l.campaigns()", "len(f.Campaigns) > l.campaigns()", by},
		{"what is dropped may come again", "law 4", file, "c.Cause = a.GetCause()\n\tif !f.consents(e)", "if !f.consents(e)", by},
		{"actions need no consent", "law 4", file, "!f.consents(e) || ", "", by},
		{"one action more than the cap", "law 4", file, "c.Accepted >= n", "c.Accepted > n", by},
		{"an action comes too early", "law 4", file, "at-c.At >= a.GetAgain()", "at-c.At >= a.GetAgain()-1", by},
		{"a booking ends no campaign", "law 4", file, " || a.GetExitOnBooking() && f.Booked > e.Received", "", by},
		{"an erasure of the device lets actions come again", "law 6", file, "Campaign{ID: c.ID, Cause: c.Cause}", "Campaign{ID: c.ID}", by},
		{"an action of an erased login is delivered", "law 6", file, "if f.erased(Owner{Login: e.User}, e.Received) {", "if false {", by},
		{"a stub forgets the choice", "law 6", stub, "s.Choice = e.Choice", "", []string{cells + " -run Stub"}},
		{"a stub forgets what its event cost", "law 6", stub, "s.Cost = cost(e)", "", []string{cells + " -run Stub"}},
		{"a stub forgets the login", "law 6", stub, "s.Login = HashLogin(e.User)", "", []string{cells + " -run Stub"}},
		{"a stub counts nothing", "law 6", stub, "s.Counted = counted(e)", "", []string{cells + " -run Stub"}},
	}
}

func historyMutants() []mutant {
	const file, session, units = "model/visitor/history.go", "model/visitor/session.go", "model/visitor/units.go"
	by := []string{documented, cells}
	return []mutant{
		{"one login more has a unit", "law 4", units, "len(us.Known) < l.units()", "len(us.Known) <= l.units()", by},
		{"the largest hashes have a unit", "law 4", units, "case i == len(us.Known):", "case i == 0:", by},
		{"a login that loses its place loses its events", "law 4", units, "us.Shared.Merge(&u.History)", "", by},
		{"merged cells do not agree on the places", "law 4", units, "if theirs.Login != \"\" && !us.placed(theirs.Login) {", "if false {", by},
		{"merged cells lose what is nobody's", "law 4", units, "us.Shared.Merge(&o.Shared)", "", by},
		{"an erased login gives its place away", "law 6", "model/visitor/cell.go", "c.Units.admit(l, HashLogin(login))", "", by},
		{"money beyond is not merged", "law 3", "model/visitor/beyond.go", "for _, x := range o.Money {", "for _, x := range o.Money[:0] {", by},
		{"counters beyond are not merged", "law 3", "model/visitor/beyond.go", "b.Counters.merge(&o.Counters)", "", by},
		{"first is that of the latest added", "law 1", file, "h.First, h.Last = min(h.First, e.Time), max(h.Last, e.Time)", "h.First, h.Last = e.Time, max(h.Last, e.Time)", by},
		{"last of two merged is the later one's", "law 1", file, "min(h.First, o.First), max(h.Last, o.Last)", "min(h.First, o.First), o.Last", by},
		{"the end of a minute does not move", "law 1", file, "m.First, m.Last = min(m.First, t), max(m.Last, t)", "m.First = min(m.First, t)", by},
		{"merged minutes lose their end", "law 1", file, "m.Last = max(m.Last, o.Last)", "", by},
		{"merged minutes lose their places", "law 1", file, "m.place(p.Destination).merge(p)", "m.place(p.Destination)", by},
		{"merged minutes lose refunds", "law 1", file, "m.Cancelled += o.Cancelled", "", by},
		{"refunds are booked", "law 1", file, "Cancelled: o.GetAmount()", "Booked: -o.GetAmount()", by},
		{"the searched place goes before the offer's", "law 1", file, "if d := e.GetOffer().GetDestination(); d != \"\" {\n\t\treturn d\n\t}\n\treturn e.GetSearch().GetDestination()",
			"if d := e.GetSearch().GetDestination(); d != \"\" {\n\t\treturn d\n\t}\n\treturn e.GetOffer().GetDestination()", by},
		{"a booked offer is not looked at", "law 1", file, "h.offer(id).merge(Offer{Bookings: 1, Last: e.Time})", "h.offer(id).merge(Offer{Bookings: 1})", by},
		{"places: bookings merge as views", "law 1", file, "p.Bookings += q.Bookings", "p.Views += q.Bookings", by},
		{"a session ends after exactly half an hour", "law 2", session, "ms[i].First-s.End <= Gap", "ms[i].First-s.End < Gap", by},
		{"a session ends where its latest unit ends", "law 2", session, "s.End = max(s.End, ms[i].Last)", "s.End = ms[i].Last", by},
		{"half an hour is 31 minutes", "law 2", session, "const Gap = 30 * microsPerMinute", "const Gap = 31 * microsPerMinute", by},
		{"two interactions bounce", "law 2", session, "s.Events()-int(passive) <= 1", "s.Events()-int(passive) <= 2", by},
		{"a consent is an interaction", "law 2", session, "s.Kinds[schemas.Kind_KIND_CONSENT] + ", "", by},
		{"sessions joined by a late event are not looked at", "law 2", units, "for s.from > 0 && *first-s.minutes[s.from-1].Last <= Gap {", "for false {", by},
		{"sessions of one unit alone are looked at", "law 2", units, "for grown := true; grown; {", "for grown := true; grown; grown = false {", by},
		{"the session behind an event is not looked at", "law 2", units, "s.minutes[s.to].First-*last <= Gap {", "s.minutes[s.to].First-*last < Gap {", by},
	}
}

func countMutants() []mutant {
	const file = "model/visitor/counters.go"
	by := []string{documented}
	return []mutant{
		{"a day is shifted", "counters", file, "(hours/24 + 4) % 7", "(hours/24 + 3) % 7", by},
		{"parts of the day begin an hour late", "counters", file, "int(hours%24)/6", "int((hours+23)%24)/6", by},
		{"the campaign's name alone is none", "counters", file, "x.CampaignSource != \"\" || x.CampaignName != \"\"", "x.CampaignSource != \"\"", by},
		{"referrers are not counted", "counters", file, "c[cReferrer]++", "", by},
		{"devices are counted one beside", "counters", file, "c[cDevices+int(x.DeviceClass)]++", "c[cDevices+int(x.DeviceClass)-1]++", by},
		{"kinds of offer are counted as styles", "counters", file, "c[cOffers+k]++", "c[cStyles+k]++", by},
		{"five stars are four", "counters", file, "min(max(s, 20)/10, 5)", "min(max(s, 20)/10, 4)", by},
		{"one star is left out", "counters", file, "if s := int(o.GetStars()); s > 0 {", "if s := int(o.GetStars()); s >= 20 {", by},
		{"prices of a cent less", "counters", file, "uint64(p/100/50)", "uint64((p+1)/100/50)", by},
		{"bookings are no trips", "counters", file, "case schemas.Kind_KIND_SEARCH, schemas.Kind_KIND_BOOKING:\n\t\tc.addTrip", "case schemas.Kind_KIND_SEARCH:\n\t\tc.addTrip", by},
		{"views of lists count offers", "counters", file, "case schemas.Kind_KIND_OFFER_VIEW:\n\t\tc.addOffer", "case schemas.Kind_KIND_OFFER_VIEW, schemas.Kind_KIND_LIST_VIEW:\n\t\tc.addOffer", by},
		{"who leaves today is not counted", "counters", file, "lead >= 0 {", "lead > 0 {", by},
		{"half a year is a day longer", "counters", file, "step(lead, 7, 30, 90, 180)", "step(lead, 7, 30, 90, 181)", by},
		{"four nights are three", "counters", file, "step(int64(s.Nights), 4, 7, 10, 14)", "step(int64(s.Nights), 5, 7, 10, 14)", by},
		{"children are left at home", "counters", file, "case s.Children > 0:\n\t\treturn Family, true", "case s.Children > 1:\n\t\treturn Family, true", by},
		{"a month begins a day early", "counters", file, "(day + 719468) % 146097", "(day + 719469) % 146097", by},
		{"free text is not counted", "counters", file, "c[cFreeQuery]++", "", by},
		{"counters merge but for the last", "counters", file, "for i, n := range o {\n\t\tc[i] += n", "for i, n := range o[:cFreeQuery] {\n\t\tc[i] += n", by},
	}
}

func measureMutants() []mutant {
	const file, cell, apply, value = "model/visitor/measure.go", "model/visitor/cell.go", "model/visitor/apply.go", "model/kpi/pane.go"
	by := []string{documented, cells}
	return []mutant{
		{"list views are newsletters", "measures", file, "schemas.Kind_KIND_LIST_VIEW:         kpi.Lists", "schemas.Kind_KIND_LIST_VIEW:         kpi.Newsletters", by},
		{"checkouts are counted nowhere", "measures", file, "\tschemas.Kind_KIND_CHECKOUT:          kpi.Checkouts,\n", "", by},
		{"clicks are impressions", "measures", file, "schemas.Kind_KIND_PLACEMENT_CLICKED: kpi.Clicks", "schemas.Kind_KIND_PLACEMENT_CLICKED: kpi.Impressions", by},
		{"a minute has one event", "measures", file, "all += int64(n)", "all = int64(n)", by},
		{"refunds are revenue", "measures", file, "kpi.Pane{Measure: kpi.Refunds,", "kpi.Pane{Measure: kpi.Revenue,", by},
		{"views by place are searches", "measures", file, "kpi.Pane{Measure: kpi.Views, Minute: minute, Dim: dim}", "kpi.Pane{Measure: kpi.Searches, Minute: minute, Dim: dim}", by},
		{"a session counts in the minute it ends in", "measures", "model/visitor/session.go", "minute := s.Start / microsPerMinute", "minute := s.End / microsPerMinute", by},
		{"events not kept in full count nowhere in speed", "law 2", apply, "case Automatic:\n\t\tmeasureEvent(e, emit)", "case Automatic:", by},
		{"events not kept in full count nowhere in batch", "law 2", cell, "case Automatic:\n\t\tmeasureEvent(e, emit)", "case Automatic:", by},
		{"what came before the first login stays with its erasure", "law 6", apply, "logins = append(logins, \"\")", "", by},
		{"what was counted before a login's erasure stays", "law 6", apply, "measureSessions(v.Whole.minutes(), emit)", "", by},
		{"the cells before an epoch keep an erased login", "law 6", apply, "v.Forgot.add(login)", "", by},
		{"a login that lost its place is not told", "law 4", apply, "v.Units.share(HashLogin(c.gone))", "", by},
		{"speed does not take back the sessions of before", "law 2", file, "func(p kpi.Pane, n int64) { emit(p, -n) })\n\tvar h", "func(p kpi.Pane, n int64) {})\n\tvar h", by},
		{"an erasure leaves the panes", "law 6", "model/visitor/decided.go", "emit(kpi.Delta{Pane: p, N: -n})", "", by},
		{"an event without consent counts nowhere", "measures", cell, "case Anonymous:\n\t\tmeasureEvent(e, emit)", "case Anonymous:", by},
		{"batch counts no visitors", "measures", cell, "if h.Add(e) {", "if h.Add(e) && false {", by},
		{"the epoch's cell misses the event", "law 1", apply, "since.Add(e)", "_ = since", by},
		{"an erasure of all is not kept", "law 6", apply, "v.Forgot = Forgotten{All: true}", "", by},
		{"the filter of the first cell stays", "law 1", cell, "c.Filter = later.Filter.clone()", "if c.IDs == nil {\n\t\tc.Filter = later.Filter.clone()\n\t}", by},
		{"panes that cancel out stay, others go", "measures", value, "if last := len(out) - 1; last >= 0 && out[last].N == 0 &&", "if last := len(out) - 1; last >= 0 && out[last].N == 1 &&", by},
		{"sums of two cells are not added", "measures", value, "v.Sum += o.Sum", "v.Sum = max(v.Sum, o.Sum)", append([]string{panes}, by...)},
	}
}

func featureMutants() []mutant {
	const file = "model/visitor/vector.go"
	by := []string{documented}
	return []mutant{
		{"shares of one too few", "features", file, "float64(s.c[counter]) / (total(s) + 1)", "float64(s.c[counter]) / max(total(s), 1)", by},
		{"winter begins in November", "features", file, "first := (11 + 3*i) % 12", "first := (10 + 3*i) % 12", by},
		{"evening is the afternoon", "features", file, "shareOf(cDayparts+3, eventsOf)", "shareOf(cDayparts+2, eventsOf)", by},
		{"a mobile is a tablet", "features", file, "schemas.DeviceClass_DEVICE_CLASS_MOBILE", "schemas.DeviceClass_DEVICE_CLASS_TABLET", by},
		{"early planners plan late", "features", file, "s.c[cLead+3]+s.c[cLead+4]", "s.c[cLead+2]+s.c[cLead+3]", by},
		{"carts of all events", "features", file, "s.kind(schemas.Kind_KIND_CART) / (s.views + 2)", "s.kind(schemas.Kind_KIND_CART) / (s.events + 2)", by},
		{"days are counted by the hour", "features", file, "h.Minutes[i].Minute / (24 * 60)", "h.Minutes[i].Minute / 60", by},
		{"what was before the login is looked at with each", "features", "model/visitor/units.go", "if login == \"\" || login != first || before == nil {", "if login == \"\" || before == nil {", by},
	}
}

func codecMutants() []mutant {
	const file = "model/visitor/codec.go"
	by := []string{documented, cells}
	return []mutant{
		{"a cell stores 64 of its ids", "law 1", file, "b = appendHashes(b, f.IDs)", "b = appendHashes(b, f.IDs[max(0, len(f.IDs)-64):])", []string{documented + " -run Limits", cells}},
		{"the filter's flags are swapped", "codec", file, "f.Nobody, f.FirstGone = flags&flagNobody != 0, flags&flagFirstGone != 0", "f.FirstGone, f.Nobody = flags&flagNobody != 0, flags&flagFirstGone != 0", by},
		{"erasures of others are not kept", "codec", file, "f.Erased, f.ErasedUnnamed, f.ErasedOthers = r.varint(), r.varint(), r.varint()", "f.Erased, f.ErasedOthers, f.ErasedUnnamed = r.varint(), r.varint(), r.varint()", by},
		{"what is nobody's is not written", "codec", file, "shared := us.Shared.Events() > 0", "shared := false", by},
		{"an unknown aspect is dropped", "law 8", file, "for i := range c.Aspects {", "for i := range c.Aspects[:0] {", []string{cells}},
		{"the cell forgets the first login", "codec", file, "f.Login, f.FirstLogin = r.string(), r.string()", "f.Login, _ = r.string(), r.string()", by},
		{"login and first login are swapped", "codec", file, "f.Login, f.FirstLogin = r.string(), r.string()", "f.FirstLogin, f.Login = r.string(), r.string()", by},
		{"offers lose the time of their last view", "codec", file, "Offer{r.string(), r.uint16(), r.uint16(), h.First + r.varint()}", "Offer{r.string(), r.uint16(), r.uint16(), r.varint()}", by},
		{"booked and cancelled are swapped", "codec", file, "b = binary.AppendVarint(b, x.Booked)\n\t\tb = binary.AppendVarint(b, x.Cancelled)", "b = binary.AppendVarint(b, x.Cancelled)\n\t\tb = binary.AppendVarint(b, x.Booked)", by},
		{"views are read as searches", "codec", file, "Place{r.string(), r.uint16(), r.uint16(), r.uint16()}", "Place{Destination: r.string(), Views: r.uint16(), Searches: r.uint16(), Bookings: r.uint16()}", by},
		{"counters above 255 are cut", "codec", file, "c[i] = uint32(r.uint(math.MaxUint32))", "c[i] = uint32(r.uint(255))", by},
		{"what was forgotten is not read", "codec", file, "f.All, f.Before = r.bool(), r.bool()", "f.Before, f.All = r.bool(), r.bool()", by},
		{"distances are not kept", "codec", file, "Distance: math.Float64frombits(r.fixed64())", "Distance: 0 * float64(r.fixed64())", by},
	}
}
