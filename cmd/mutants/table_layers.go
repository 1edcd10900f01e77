package main

func flushMutants() []mutant {
	const file, partition = "speed/flush.go", "speed/partition.go"
	by := []string{"./speed", histories}
	visitors := "\tif err := p.flushVisitors(ctx); err != nil {\n\t\treturn fmt.Errorf(\"write visitors of partition %d: %w\", p.number, err)\n\t}\n"
	said := "\tif err := p.flushDecisions(ctx); err != nil {\n\t\treturn err\n\t}\n"
	panes := "\tif err := p.flushPanes(ctx); err != nil {\n\t\treturn fmt.Errorf(\"write panes of partition %d: %w\", p.number, err)\n\t}\n"
	position := "\tif err := p.flushPosition(ctx); err != nil {\n\t\treturn fmt.Errorf(\"write position of partition %d: %w\", p.number, err)\n\t}\n"
	actions := "\tif err := p.flushActions(ctx); err != nil {\n\t\treturn err\n\t}\n"
	links := "\tif err := p.flushLinks(ctx); err != nil {\n\t\treturn fmt.Errorf(\"write links of partition %d: %w\", p.number, err)\n\t}\n"
	return []mutant{
		{"decisions before the cell", "law 4", file, visitors + said, said + visitors, by},
		{"decisions behind the position", "law 4", file, said + actions + links + panes + position, actions + links + panes + position + said, by},
		{"actions behind the position", "law 4", file, actions + links + panes + position, links + panes + position + actions, by},
		{"panes behind the position", "law 4", file, panes + position, position + panes, by},
		{"links behind the position", "law 4", file, links + panes + position, panes + position + links, by},
		{"what was decided is dropped one event early", "law 4", file, "ds[i].Offset < offset {", "ds[i].Offset <= offset {", by},
		{"a pane takes an effect twice", "law 4", file, "if e.offset <= s.stamp {", "if e.offset < s.stamp {", by},
		{"a pane's stamp is not looked at", "law 4", file, "s.stamp = c.Stamp", "", by},
		{"panes of an epoch are those of before", "law 3", file, "s := &sum{stamp: -1}\n\t\tif c, ok := rows[i].Cell(column); ok {", "s := &sum{stamp: -1}\n\t\tif c, ok := rows[i].Cell(column); ok && false {", by},
		{"the position is one ahead", "law 4", file, "Offset: p.next, Epoch: p.epoch,", "Offset: p.next + 1, Epoch: p.epoch,", by},
		{"a link is always a link", "law 4", file, "schemas.Link{Linked: l.Linked}", "schemas.Link{Linked: true}", by},
		{"a cut does not drop visitors from memory", "law 3", partition, "p.visitors = make(map[string]*member)\n\tp.panes = make(panes)\n}", "p.panes = make(panes)\n}", by},
		{"a cut does not drop panes from memory", "law 3", partition, "p.visitors = make(map[string]*member)\n\tp.panes = make(panes)\n}", "p.visitors = make(map[string]*member)\n}", by},
		{"a cut is not flushed before", "law 3", partition, "\t\t\tif err := p.flush(ctx); err != nil {\n\t\t\t\treturn err\n\t\t\t}\n\t\t\tp.cut(records[n])", "\t\t\tp.cut(records[n])", by},
		{"a replay decides again", "law 4", partition, "if r.Offset <= m.stamp {", "if r.Offset < m.stamp {", by},
		{"a replay does not say again", "law 4", partition, "p.collect(m, d, r.Event)\n\t\t\t\treturn m, nil", "return m, nil", by},
		{"the cell's stamp stays", "law 4", partition, "\tm.stamp = r.Offset\n", "", by},
		{"a replay of an epoch begins with an empty cell", "law 4", partition, "m.Cell, m.stamp = *cells[len(cells)-1], current", "m.stamp = current", by},
		{"the filter begins anew at a cut", "law 1", partition, "m.Cell = visitor.Cell{Filter: whole.Filter}", "m.Cell = visitor.Cell{}", by},
		{"what was last said is not read", "law 4", partition, "if m.now, err = decodeDecision(c.Value); err != nil {", "if _, err = decodeDecision(c.Value); err != nil {", by},
		{"the same is said each time", "law 4", partition, "m.now.ID == s.ID && m.now.Model == s.Model && m.now.Login == login {", "false {", by},
		{"a pruned generation is worked on", "law 3", partition, "if _, kept := published.Generation(base.Run); kept {", "if true {", by},
		{"who falls back begins at the cut", "law 3", partition, "Offset: base.Cut(number) + 1, Epoch", "Offset: base.Cut(number) + 2, Epoch", by},
	}
}

func batchMutants() []mutant {
	const fold, prune, run, sums = "batch/fold.go", "batch/prune.go", "batch/run.go", "batch/sums.go"
	by := []string{histories, "./batch"}
	return []mutant{
		{"shares overlap", "batch", fold, "if hash%w.of != w.part {", "if hash%w.of < w.part {", by},
		{"the sums of other workers are lost", "batch", fold, "f.totals.merge(o.totals)", "", by},
		{"batch links nobody", "batch", fold, "err == nil && login != \"\" {", "err == nil && login == \"-\" {", by},
		{"a batch link is stamped with the cut", "law 4", fold, "f.manifest.Cuts()[w.partition] - 1", "f.manifest.Cuts()[w.partition] + 3", by},
		{"batch measures no units", "law 2", fold, "d.Units.Measure(f.totals.add)", "", by},
		{"the oldest kept generation is pruned", "law 3", prune, "col.Number < oldest && !read[c.Column] {", "col.Number <= oldest {", by},
		{"a device of the parent is not written although it changed", "law 19", fold, "if d.last < since {", "if d.last < since+1000 {", by},
		{"panes that are gone stay", "law 19", "batch/lineage.go", "case v.Zero() && !before.Zero():", "case false:", by},
		{"changed panes are not written", "law 19", "batch/lineage.go", "!v.Zero() && bytes.Equal(now, c.Value)", "!v.Zero() && len(now) >= len(c.Value[:0]) && !bytes.Equal(now, nil)", by},
		{"a run whose parent is gone is published", "law 19", run, "!kept && r.parent.Run > 0 {", "false && !kept {", by},
		{"generations do not carry what is in force", "law 16", fold, "w.force.Apply(&r, w.set)", "", by},
		{"prune does not wait for readers", "law 3", prune, "< r.Grace {", "< 0 {", by},
		{"an older generation is published over a younger", "law 3", run, "published.Kept[0].Run > g.Run {", "published.Kept[0].Run > g.Run+1000 {", by},
		{"dimensions are merged as measures", "batch", sums, "m.add(uint64(s.number(o.dims[p.of>>measureBits]))<<measureBits|p.of&(1<<measureBits-1), p.sum)", "m.add(p.of, p.sum)", by},
		{"devices of other workers are not counted", "batch", sums, "m.devices.Merge(&theirs.devices)", "", by},
		{"negative sums are not written", "batch", sums, "\tfor measure, sum := range m.whole {\n\t\tif sum == 0 {", "\tfor measure, sum := range m.whole {\n\t\tif sum <= 1 {", by},
	}
}

func schemaMutants() []mutant {
	const meta, tables, columns, archive = "schemas/meta.go", "schemas/tables.go", "schemas/columns.go", "schemas/archive.go"
	base, rows := []string{"./schemas", "./speed", "./batch -run Generation|Changed|Rolled|Prun", histories}, []string{"./schemas", documented + " -run Archive", "./batch/archive"}
	return []mutant{
		{"a base younger than the epoch", "law 3", meta, "if g.Run <= epoch {", "if g.Run <= epoch+1 {", base},
		{"the second oldest is called the oldest", "law 3", meta, "return p.Kept[len(p.Kept)-1]", "return p.Kept[0]", base},
		{"a rollback keeps the younger", "law 3", meta, "Kept: p.Kept[i:]", "Kept: p.Kept", base},
		{"readers take the epoch before too", "law 3", tables, "col.Number >= g.Run && col.Number <= epoch", "col.Number >= g.Run-1 && col.Number <= epoch", base},
		{"readers take every generation", "law 3", tables, "col.Number > run && g.Takes(col.Number)", "col.Number > run", base},
		{"readers take the eldest of a lineage", "law 19", tables, "youngest, run, found = c, col.Number, true", "if !found {\n\t\t\t\tyoungest, run, found = c, 0, true\n\t\t\t}", base},
		{"a lineage has no end", "law 19", meta, "len(g.Lineage) >= longestLineage", "false", base},
		{"a run descends from another program's", "law 19", meta, " || g.Kinds != len(Kind_name)", "", []string{"./batch -run Kinds"}},
		{"generation 0 is dropped at once", "law 3", meta, "dropped := p.Dropped || len(kept) > KeptGenerations", "dropped := true", base},
		{"epochs are merged the youngest first", "law 1", tables, "cmp.Compare(a.at.Number, b.at.Number), cmp.Compare(a.at.Partition", "cmp.Compare(b.at.Number, a.at.Number), cmp.Compare(a.at.Partition", base},
		{"the fold reads no device class, campaign, referrer", "columns", archive, "\"referrer\", \"campaign_source\", \"campaign_name\", \"device_class\",", "", rows},
		{"the fold reads no stars and prices", "columns", archive, "\"styles\", \"stars\", \"price\",", "\"styles\",", rows},
		{"the fold reads no kind of offer", "columns", archive, "\"offer\", \"offer_kind\",", "\"offer\",", rows},
		{"the fold reads no children", "columns", archive, "\"children\", ", "", rows},
		{"the fold reads no currency", "columns", archive, "\"order_currency\", ", "", rows},
		{"the fold reads no choice", "columns", archive, "\"choice\", ", "", rows},
		{"the fold reads no receipt", "columns", archive, "\"received\", ", "", rows},
		{"adults are children", "columns", columns, "func(e *Event, v int32) { e.Search.Adults = v }", "func(e *Event, v int32) { e.Search.Children = v }", rows},
		{"campaigns lose their medium", "columns", columns, "func(e *Event, v string) { e.Context.CampaignMedium = v }", "func(e *Event, v string) { e.Context.CampaignSource = v }", rows},
		{"styles above the seventh are lost", "columns", columns, "s > 0 && s < 31", "s > 0 && s < 8", rows},
		{"an offer that is empty is none", "columns", columns, "bit(e.Offer != nil)*partOffer", "bit(e.Offer.GetId() != \"\")*partOffer", rows},
		{"a file ends an offset early", "law 5", "batch/archive/manifest.go", "files[len(files)-1].Next - 1", "files[len(files)-1].Next - 2", rows},
		{"a repeated cut ends a file", "law 5", "batch/archive/manifest.go", "if s.Cut > run {", "if s.Cut > run+1 {", rows},
	}
}

func servingMutants() []mutant {
	const file, summary, kpis = "serving/merge.go", "serving/summary.go", "serving/kpis.go"
	by := []string{histories, answers}
	return []mutant{
		{"through ends at the cut", "answers", file, "g.Cut(partition) + 1", "g.Cut(partition) + 2", by},
		{"a position of before the generation counts", "answers", file, "h.Positions[partition].Epoch >= h.Published.Current {", "true {", by},
		{"through is not moved by the cell", "answers", file, "v.Through = max(v.Through, p.cell.Stamp+1)", "v.Through = max(v.Through, p.cell.Stamp)", by},
		{"panes of a partition are read as visitors", "answers", file, "if split == (column.Partition >= 0) {", "if split || column.Partition < 0 {", []string{answers, histories}},
		{"sums leave the epochs out", "answers", file, "\t\tsum.all.Merge(&v)\n", "\t\tif p.Family == schemas.FamilyBatch {\n\t\t\tsum.all.Merge(&v)\n\t\t}\n", by},
		{"views of an offer are its bookings", "answers", summary, "o.Views += int64(x.Views)", "o.Views += int64(x.Bookings)", []string{answers}},
		{"conversion by views", "answers", kpis, "{\"conversion\", kpi.Bookings, kpi.Sessions}", "{\"conversion\", kpi.Bookings, kpi.Views}", []string{answers}},
		{"bounce rate of bookings", "answers", kpis, "{\"bounceRate\", kpi.Bounces, kpi.Sessions}", "{\"bounceRate\", kpi.Bookings, kpi.Sessions}", []string{answers}},
		{"refunds are booked in answers", "answers", kpis, "x.tally(kpi.Revenue, p.Dim), x.tally(kpi.Refunds, p.Dim)", "x.tally(kpi.Refunds, p.Dim), x.tally(kpi.Revenue, p.Dim)", []string{answers}},
	}
}
