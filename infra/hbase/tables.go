package hbase

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tsuna/gohbase/pb"
	"golang.org/x/sync/errgroup"

	"fernweh/schemas"
)

// attributes of every family, as HBase writes them. Another value breaks what a
// caller is promised, or costs a table several times its size.
var attributes = []struct{ name, value, fallback, why string }{
	{"VERSIONS", "1", "1", "more than one version of a cell is never read, and would come back when a delete is compacted away"},
	{"MIN_VERSIONS", "0", "0", "a version that is kept beyond its time is never read"},
	{"TTL", "2147483647", "2147483647", "a cell's timestamp is an offset of the log, so any time to live is over at once"},
	{"KEEP_DELETED_CELLS", "false", "false", "what was pruned or erased would stay"},
	{"NEW_VERSION_BEHAVIOR", "false", "false", "deletes would hide by order of arrival, not by stamp"},
	{"DATA_BLOCK_ENCODING", "FAST_DIFF", "NONE", "without it the long row keys are stored once a cell"},
}

// forever is how HBase's shell writes the greatest time to live.
const forever = "2147483647"

// families are the families of a table as gohbase takes them.
func families(table schemas.Table) map[string]map[string]string {
	declared := make(map[string]map[string]string)
	for _, family := range table.Families() {
		declared[family] = make(map[string]string, len(attributes))
		for _, a := range attributes {
			declared[family][a.name] = a.value
		}
	}
	return declared
}

// splits are the first rows of the regions of a new table but the first one's.
func splits(table schemas.Table, regions int) (keys [][]byte) {
	if !table.Salted() {
		return nil
	}
	for i := 1; i < regions; i++ {
		keys = append(keys, fmt.Appendf(nil, "%02x", i*schemas.Salts/regions))
	}
	return keys
}

// checkTable compares a table with its declaration: all that is wrong, in one error.
func checkTable(table schemas.Table, name string, there *pb.TableSchema) error {
	var errs []error
	for _, family := range table.Families() {
		i := slices.IndexFunc(there.GetColumnFamilies(), func(f *pb.ColumnFamilySchema) bool {
			return string(f.GetName()) == family
		})
		if i < 0 {
			errs = append(errs, fmt.Errorf("table %s has no family %s, it should have %s: it was made by another program, or damaged",
				name, family, strings.Join(table.Families(), ", ")))
			continue
		}
		errs = append(errs, checkFamily(name, there.GetColumnFamilies()[i]))
	}
	return errors.Join(errs...)
}

// checkFamily compares the attributes of a family with the declared ones.
func checkFamily(table string, family *pb.ColumnFamilySchema) error {
	got := make(map[string]string)
	for _, pair := range family.GetAttributes() {
		got[strings.ToUpper(string(pair.GetFirst()))] = string(pair.GetSecond())
	}
	var errs []error
	for _, a := range attributes {
		value, set := got[a.name]
		if !set {
			value = a.fallback
		}
		if a.name == "TTL" && strings.EqualFold(value, "forever") {
			value = forever
		}
		if !strings.EqualFold(value, a.value) {
			errs = append(errs, fmt.Errorf("table %s, family %s: %s is %s, it should be %s: %s",
				table, family.GetName(), a.name, value, a.value, a.why))
		}
	}
	return errors.Join(errs...)
}

// tablesWithin bounds what is done to tables: the server opens and closes their
// regions one by one.
const tablesWithin = 2 * time.Minute

// ensureTables makes the tables that are not there, which may take longer than
// Open else does, and checks them all.
func ensureTables(ctx context.Context, cfg Config) error {
	m := newMaster(cfg)
	defer m.close()
	there, err := m.describeSoon(ctx)
	if err != nil {
		return err
	}
	g, create := errgroup.WithContext(ctx)
	for _, table := range schemas.Tables() {
		if there[cfg.table(table)] == nil {
			g.Go(func() error { return m.create(create, table) })
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if there, err = m.describeSoon(ctx); err != nil {
		return err
	}
	var errs []error
	for _, table := range schemas.Tables() {
		errs = append(errs, checkTable(table, cfg.table(table), there[cfg.table(table)]))
	}
	return errors.Join(errs...)
}

// Drop deletes the set of tables that cfg names: one that a rebuild has
// replaced, or a test's. What is not there is no error.
func Drop(ctx context.Context, cfg Config) error {
	cfg = cfg.withDefaults()
	if err := drop(ctx, cfg); err != nil {
		return fmt.Errorf("drop tables %s_*: %w", cfg.Prefix, err)
	}
	return nil
}

func drop(ctx context.Context, cfg Config) error {
	if err := cfg.check(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, tablesWithin)
	defer cancel()
	quiet()
	if err := probe(ctx, cfg); err != nil {
		return err
	}
	m := newMaster(cfg)
	defer m.close()
	there, err := m.describe(ctx)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	for name := range there {
		g.Go(func() error { return m.drop(ctx, name) })
	}
	return g.Wait()
}
