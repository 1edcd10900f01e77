package hbase

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"sync/atomic"

	"github.com/tsuna/gohbase"
	"github.com/tsuna/gohbase/hrpc"
	"github.com/tsuna/gohbase/pb"
	"google.golang.org/protobuf/proto"

	"fernweh/schemas"
)

// A master is a connection to HBase's master, for as long as tables are looked at.
type master struct {
	cfg    Config
	admin  gohbase.AdminClient
	region atomic.Value // hrpc.RegionInfo: how gohbase keeps the connection
}

// newMaster connects when it is used.
func newMaster(cfg Config) *master {
	return &master{cfg: cfg, admin: gohbase.NewAdminClient(cfg.quorum(), gohbase.ZookeeperRoot(cfg.Root))}
}

// close ends the connection: an admin client has no end of its own.
func (m *master) close() {
	if region, ok := m.region.Load().(hrpc.RegionInfo); ok {
		if client := region.Client(); client != nil {
			client.Close()
		}
	}
}

// A describeTables call asks the master for the descriptors of tables; gohbase
// has the messages and no call for it. What every call has it takes from
// another one.
type describeTables struct {
	*hrpc.ListTableNames
	pattern string
}

// Name is the name of the master's method.
func (*describeTables) Name() string { return "GetTableDescriptors" }

// Description is what gohbase's metrics call it.
func (*describeTables) Description() string { return "GetTableDescriptors" }

// ToProto is the question.
func (d *describeTables) ToProto() proto.Message {
	return &pb.GetTableDescriptorsRequest{Regex: &d.pattern, Namespace: proto.String("default")}
}

// NewResponse is the shape of the answer.
func (*describeTables) NewResponse() proto.Message { return new(pb.GetTableDescriptorsResponse) }

// describe asks for the tables of the set that are there, by name.
func (m *master) describe(ctx context.Context) (map[string]*pb.TableSchema, error) {
	names := make([]string, len(schemas.Tables()))
	for i, table := range schemas.Tables() {
		names[i] = regexp.QuoteMeta(m.cfg.table(table))
	}
	there, err := m.match(ctx, strings.Join(names, "|"))
	if err != nil {
		return nil, fmt.Errorf("describe tables %s_*: %w", m.cfg.Prefix, err)
	}
	return there, nil
}

// match asks for the tables whose names match a pattern as a whole, by name.
func (m *master) match(ctx context.Context, pattern string) (map[string]*pb.TableSchema, error) {
	there := make(map[string]*pb.TableSchema)
	err := persist(ctx, m.cfg, func(ctx context.Context) error {
		list, err := hrpc.NewListTableNames(ctx)
		if err != nil {
			return err
		}
		call := &describeTables{list, pattern}
		rpc, ok := m.admin.(gohbase.RPCClient)
		if !ok {
			return fmt.Errorf("an admin client of type %T sends no calls", m.admin)
		}
		answer, err := apart(ctx, rpc, call)
		if err != nil {
			return err
		}
		m.region.Store(call.Region())
		descriptors, ok := answer.(*pb.GetTableDescriptorsResponse)
		if !ok {
			return fmt.Errorf("the master answers with a %T", answer)
		}
		for _, schema := range descriptors.GetTableSchema() {
			there[string(schema.GetTableName().GetQualifier())] = schema
		}
		return nil
	})
	return there, err
}

// describeSoon asks as Open does, which is not to hang.
func (m *master) describeSoon(ctx context.Context) (map[string]*pb.TableSchema, error) {
	ctx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	return m.describe(ctx)
}

// create makes a table; another process may come first.
func (m *master) create(ctx context.Context, table schemas.Table) error {
	ctx, cancel := context.WithTimeout(ctx, tablesWithin)
	defer cancel()
	name := m.cfg.table(table)
	err := persist(ctx, m.cfg, func(ctx context.Context) error {
		err := m.admin.CreateTable(hrpc.NewCreateTable(ctx, []byte(name), families(table),
			hrpc.SplitKeys(splits(table, m.cfg.Regions))))
		if isJava(err, "TableExistsException") {
			return nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("create table %s: %w", name, err)
	}
	return nil
}

// drop deletes a table.
func (m *master) drop(ctx context.Context, name string) error {
	err := persist(ctx, m.cfg, func(ctx context.Context) error {
		err := m.admin.DisableTable(hrpc.NewDisableTable(ctx, []byte(name)))
		if err == nil || isJava(err, "TableNotEnabledException") {
			err = m.admin.DeleteTable(hrpc.NewDeleteTable(ctx, []byte(name)))
		}
		if isJava(err, "TableNotFoundException") {
			return nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("drop table %s: %w", name, err)
	}
	return nil
}
