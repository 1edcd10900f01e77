package hbase

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/tsuna/gohbase/hrpc"
	"github.com/tsuna/gohbase/pb"

	"fernweh/schemas"
)

// Sets are the prefixes of the sets of tables that HBase has, ascending. It makes
// none, and asks before it trusts as Open does.
func Sets(ctx context.Context, cfg Config) ([]string, error) {
	cfg = cfg.withDefaults()
	sets, err := sets(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("list sets of tables in HBase (ZooKeeper %s, root %s): %w", cfg.quorum(), cfg.Root, err)
	}
	return sets, nil
}

func sets(ctx context.Context, cfg Config) ([]string, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	quiet()
	if err := probe(ctx, cfg); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	m := newMaster(cfg)
	defer m.close()
	there, err := m.match(ctx, ".*"+setMark)
	if err != nil {
		return nil, err
	}
	var names []string
	for table := range there {
		names = append(names, strings.TrimSuffix(table, setMark))
	}
	slices.Sort(names)
	return names, nil
}

// setMark ends the name of the table that says of a set what it was made from.
const setMark = "_" + string(schemas.TableMeta)

// OriginOf reads what a set that is there was made from; nil: it does not say yet.
func OriginOf(ctx context.Context, cfg Config) ([]byte, error) {
	cfg = cfg.withDefaults()
	quiet()
	c, err := newConnection(cfg)
	if err != nil {
		return nil, err
	}
	defer c.client.Close()
	ctx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	var origin []byte
	err = persist(ctx, cfg, func(ctx context.Context) error {
		key := schemas.KeyTopic
		call, err := hrpc.NewGet(ctx, []byte(cfg.table(key.Table)), []byte(key.Row))
		if err != nil {
			return err
		}
		msg, err := c.send(ctx, call)
		if err != nil {
			return err
		}
		answer, ok := msg.(*pb.GetResponse)
		if !ok {
			return fmt.Errorf("the server answers a get with a %T", msg)
		}
		row := toRow(key, answer.GetResult().GetCell())
		cell, _ := row.Cell(schemas.ColumnValue)
		origin = cell.Value
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read what the tables %s_* were made from: %w", cfg.Prefix, err)
	}
	return origin, nil
}
