package hbase

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/tsuna/gohbase"
	"github.com/tsuna/gohbase/hrpc"
	"github.com/tsuna/gohbase/pb"
	"google.golang.org/protobuf/proto"

	"fernweh/schemas"
)

// Limits of one cell and row. The server refuses a larger one too
// (hbase.server.keyvalue.maxsize, and a row's length has 16 bits), and with it
// all that came in the same message, whoever sent it: so it is refused here.
const (
	maxRowBytes  = 1<<15 - 1
	maxCellBytes = 10<<20 - 4<<10
)

// aloneBytes is from where on a row travels in a message of its own, so that
// it does not keep small ones waiting.
const aloneBytes = 256 << 10

// Kinds of entries in HBase's key-value format.
const (
	kindPut          = 4
	kindDeleteColumn = 12 // of all versions up to the timestamp, so that no older one comes back
)

// A write is what becomes of one row: cells of it that are put, or deleted, at
// once.
type write struct {
	key   schemas.Key
	cells []schemas.Cell // one a column
}

// add takes a cell of the row; of two at the same place the one that stays.
func (w *write) add(c schemas.Cell) {
	i := slices.IndexFunc(w.cells, func(there schemas.Cell) bool { return there.Column == c.Column })
	if i < 0 {
		w.cells = append(w.cells, c)
	} else if c.Stamp >= w.cells[i].Stamp {
		w.cells[i] = c
	}
}

// writes gathers cells by row, in the order in which the rows come up first.
func writes(cells []schemas.Cell) []write {
	if len(cells) == 1 {
		return []write{{cells[0].Key, cells}}
	}
	rows := make([]write, 0, len(cells))
	places := make(map[schemas.Key]int, len(cells))
	for _, c := range cells {
		i, known := places[c.Key]
		if !known {
			i = len(rows)
			places[c.Key] = i
			rows = append(rows, write{key: c.Key})
		}
		rows[i].add(c)
	}
	return rows
}

// encode lays the entries of a row out in HBase's key-value format. Everything
// is copied, for a call that was given up may be read by gohbase for a while.
func (w write) encode(kind byte) ([]byte, error) {
	size := 0
	for _, c := range w.cells {
		if err := checkCell(c); err != nil {
			return nil, err
		}
		size += entryOverhead + len(c.Row) + len(c.Column) + len(c.Value)
	}
	block := make([]byte, 0, size)
	for _, c := range w.cells {
		value := c.Value
		if kind != kindPut {
			value = nil
		}
		block = appendEntry(block, c, kind, value)
	}
	return block, nil
}

// entryOverhead is what an entry has beyond its row, column and value.
const entryOverhead = 4 + 4 + 4 + 2 + 1 + 8 + 1

// appendEntry writes: total length, length of the key, length of the value;
// the key (row with its length, family with its length, qualifier, timestamp,
// kind); the value.
func appendEntry(b []byte, c schemas.Cell, kind byte, value []byte) []byte {
	family, qualifier, _ := strings.Cut(c.Column, ":")
	key := 2 + len(c.Row) + 1 + len(family) + len(qualifier) + 8 + 1
	b = binary.BigEndian.AppendUint32(b, uint32(8+key+len(value)))
	b = binary.BigEndian.AppendUint32(b, uint32(key))
	b = binary.BigEndian.AppendUint32(b, uint32(len(value)))
	b = binary.BigEndian.AppendUint16(b, uint16(len(c.Row)))
	b = append(b, c.Row...)
	b = append(b, byte(len(family)))
	b = append(b, family...)
	b = append(b, qualifier...)
	b = binary.BigEndian.AppendUint64(b, uint64(c.Stamp))
	b = append(b, kind)
	return append(b, value...)
}

// A rowCall writes one row. gohbase's own mutation has one timestamp for all
// cells; here each has its stamp.
type rowCall struct {
	*hrpc.Mutate
	kind       pb.MutationProto_MutationType
	durability pb.MutationProto_Durability
	count      int32
	block      []byte
}

// newRowCall makes a call for one attempt.
func newRowCall(ctx context.Context, cfg Config, w write, kind byte, block []byte) (*rowCall, error) {
	var options []func(hrpc.Call) error
	if len(block) >= aloneBytes {
		options = append(options, hrpc.SkipBatch())
	}
	table, row := []byte(cfg.table(w.key.Table)), []byte(w.key.Row)
	call := &rowCall{
		durability: pb.MutationProto_Durability(cfg.durability()), count: int32(len(w.cells)), block: block,
	}
	var err error
	if kind == kindPut {
		call.kind = pb.MutationProto_PUT
		call.Mutate, err = hrpc.NewPut(ctx, table, row, nil, options...)
	} else {
		call.kind = pb.MutationProto_DELETE
		call.Mutate, err = hrpc.NewDel(ctx, table, row, nil, options...)
	}
	return call, err
}

// SerializeCellBlocks is the request, and beside it the entries.
func (c *rowCall) SerializeCellBlocks() (proto.Message, [][]byte, uint32) {
	return &pb.MutateRequest{
		Region: &pb.RegionSpecifier{Type: hrpc.RegionSpecifierRegionName, Value: c.Region().Name()},
		Mutation: &pb.MutationProto{
			Row: c.Key(), MutateType: &c.kind, Durability: &c.durability, AssociatedCellCount: &c.count,
		},
	}, [][]byte{c.block}, uint32(len(c.block))
}

// ToProto is the request alone; a server refuses it without its entries.
func (c *rowCall) ToProto() proto.Message {
	request, _, _ := c.SerializeCellBlocks()
	return request
}

// A swapCall is a check-and-put that counts how often it was sent: gohbase sends
// again by itself when a connection breaks, and then the answer to the last
// sending says nothing of those before.
type swapCall struct {
	*hrpc.CheckAndPut
	sent atomic.Int32
}

// ToProto is called for each sending.
func (c *swapCall) ToProto() proto.Message {
	c.sent.Add(1)
	return c.CheckAndPut.ToProto()
}

// apart sends a call that is not batched. gohbase writes it to the connection
// at once and may hang there, with a server that reads no more, whatever the
// context says; then it is left behind, and ends with its connection.
func apart(ctx context.Context, rpc gohbase.RPCClient, call hrpc.Call) (proto.Message, error) {
	answer := make(chan hrpc.RPCResult, 1)
	go func() {
		msg, err := rpc.SendRPC(call)
		answer <- hrpc.RPCResult{Msg: msg, Error: err}
	}()
	select {
	case a := <-answer:
		return a.Msg, a.Error
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// toRow copies the cells of an answer, whose bytes are parts of a whole
// message, into one piece of memory. What swaps hide in a row stays hidden.
func toRow(key schemas.Key, cells []*pb.Cell) schemas.Row {
	row := schemas.Row{Key: key}
	size := 0
	for _, c := range cells {
		size += len(c.GetValue())
	}
	values := make([]byte, 0, size)
	for _, c := range cells {
		if isGuard(c.GetQualifier()) {
			continue
		}
		from := len(values)
		values = append(values, c.GetValue()...)
		row.Cells = append(row.Cells, schemas.Cell{
			Key: key, Column: string(c.GetFamily()) + ":" + string(c.GetQualifier()),
			Stamp: int64(c.GetTimestamp()), Value: values[from:len(values):len(values)],
		})
	}
	return row
}

// canBe says whether HBase can have a row of a name. One that it can't have is
// not there.
func canBe(row string) bool { return len(row) > 0 && len(row) <= maxRowBytes }

// known refuses what is no table of the set.
func known(table schemas.Table) error {
	if !slices.Contains(schemas.Tables(), table) {
		return fmt.Errorf("%w: there is no table %q", errRefused, table)
	}
	return nil
}

// checkCell refuses a cell that HBase can't have, or not keep as it is.
func checkCell(c schemas.Cell) error {
	if err := known(c.Table); err != nil {
		return err
	}
	family, qualifier, _ := strings.Cut(c.Column, ":")
	switch {
	case !canBe(c.Row):
		return fmt.Errorf("%w: the row's name has %d bytes, it takes 1 to %d", errRefused, len(c.Row), maxRowBytes)
	case !hasFamily(c.Table, family):
		return fmt.Errorf("%w: column %q is in no family of table %s, which has %s",
			errRefused, c.Column, c.Table, strings.Join(c.Table.Families(), ", "))
	case isGuard([]byte(qualifier)):
		return fmt.Errorf("%w: column %q is the store's own", errRefused, c.Column)
	case c.Stamp < 0 || c.Stamp == latest:
		return fmt.Errorf("%w: stamp %d of column %q: it takes 0 to %d", errRefused, c.Stamp, c.Column, int64(latest-1))
	case len(c.Value)+len(c.Row)+len(c.Column) > maxCellBytes:
		return fmt.Errorf("%w: column %q has %d bytes, a cell takes %d with its row's name",
			errRefused, c.Column, len(c.Value), maxCellBytes)
	}
	return nil
}

// latest is the timestamp that HBase replaces by its clock's.
const latest = 1<<63 - 1

// guardPrefix begins the qualifier of the cell that guards a swapped one.
var guardPrefix = []byte("\x00swap:")

func isGuard(qualifier []byte) bool { return bytes.HasPrefix(qualifier, guardPrefix) }
