package serving_test

import (
	"context"
	"encoding"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"fernweh/layer"
	"fernweh/model/cluster"
	"fernweh/model/kpi"
	"fernweh/model/visitor"
	"fernweh/schemas"

	"google.golang.org/protobuf/proto"
)

// views is a view store in memory.
type views struct {
	mu    sync.Mutex
	rows  map[schemas.Key]map[string]schemas.Cell
	fail  error
	gets  int
	hangs bool // until the caller gives up
}

func (v *views) Get(ctx context.Context, keys ...schemas.Key) ([]schemas.Row, error) {
	if err := v.enter(ctx); err != nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.gets++
	rows := make([]schemas.Row, len(keys))
	for i, k := range keys {
		rows[i] = v.row(k)
	}
	return rows, nil
}

func (v *views) Scan(ctx context.Context, table schemas.Table, from, to string, fn func(schemas.Row) error) error {
	if err := v.enter(ctx); err != nil {
		return err
	}
	v.mu.Lock()
	var found []schemas.Row
	for k := range v.rows {
		if k.Table == table && k.Row >= from && k.Row < to {
			found = append(found, v.row(k))
		}
	}
	v.mu.Unlock()
	slices.SortFunc(found, func(a, b schemas.Row) int { return strings.Compare(a.Row, b.Row) })
	for _, row := range found {
		if err := fn(row); err != nil {
			return err
		}
	}
	return nil
}

func (v *views) enter(ctx context.Context) error {
	v.mu.Lock()
	hangs, fail := v.hangs, v.fail
	v.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return ctx.Err()
	}
	return fail
}

// breaks makes every call fail; nil mends it.
func (v *views) breaks(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.fail = err
}

func (v *views) row(k schemas.Key) schemas.Row {
	row := schemas.Row{Key: k}
	for _, column := range slices.Sorted(maps.Keys(v.rows[k])) {
		row.Cells = append(row.Cells, v.rows[k][column])
	}
	return row
}

func (v *views) put(k schemas.Key, column string, stamp int64, value []byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.rows == nil {
		v.rows = make(map[schemas.Key]map[string]schemas.Cell)
	}
	if v.rows[k] == nil {
		v.rows[k] = make(map[string]schemas.Cell)
	}
	if old, ok := v.rows[k][column]; !ok || stamp >= old.Stamp {
		v.rows[k][column] = schemas.Cell{Key: k, Column: column, Stamp: stamp, Value: value}
	}
}

// A portal writes views as speed and batch do, one event at a time.
type portal struct {
	views
	t          testing.TB
	partitions int32
	now        time.Time     // of the portal's clock; guarded by mu
	health     *layer.Health // of its process; nil: that of serving alone

	offsets   []int64 // next, by partition; guarded by mu
	devices   map[string]*visitor.Visitor
	whole     map[kpi.Pane]*kpi.Value
	since     map[int32]map[kpi.Pane]*kpi.Value // the cut, by partition
	published schemas.Published
	events    int
}

func newPortal(t testing.TB, partitions int32) *portal {
	p := &portal{
		t: t, partitions: partitions, now: time.Date(2026, 11, 22, 20, 15, 30, 0, time.UTC),
		offsets: make([]int64, partitions), devices: map[string]*visitor.Visitor{}, whole: map[kpi.Pane]*kpi.Value{},
		since: map[int32]map[kpi.Pane]*kpi.Value{},
	}
	p.announce()
	return p
}

func (p *portal) clock() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now
}

func (p *portal) passes(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now = p.now.Add(d)
}

// bytes encodes what cannot fail to be encoded.
func (p *portal) bytes(v encoding.BinaryAppender) []byte {
	b, err := v.AppendBinary(nil)
	if err != nil {
		p.t.Fatal(err)
	}
	return b
}

// happens lets an event come in and speed write what follows from it. It says
// where the event lies.
func (p *portal) happens(e *schemas.Event) (partition int32, offset int64) {
	p.events++
	e.Id, e.AssumedConsent = fmt.Sprint("m", p.events), true
	if e.Time == 0 {
		e.Time = p.clock().UnixMicro()
	}
	if e.Received == 0 {
		e.Received = e.Time
	}
	partition = schemas.Partition(e.Device, p.partitions)
	offset = p.append(partition, 1)
	v := p.devices[e.Device]
	if v == nil {
		v = &visitor.Visitor{Device: visitor.HashDevice(e.Device)}
		p.devices[e.Device] = v
	}
	_, _, decided := v.Apply(offset, e)
	epoch := p.published.Current
	decided.Effects(func(d kpi.Delta) { p.pane(partition, offset, d) })
	for _, l := range decided.Links {
		p.put(schemas.PersonKey(l.Login), schemas.ColumnLink(e.Device), offset,
			schemas.EncodeJSON(schemas.Link{Linked: l.Linked}))
	}
	p.put(schemas.VisitorKey(e.Device), schemas.ColumnSpeed(epoch), offset, p.bytes(&v.Cell))
	p.position(partition, schemas.Position{Offset: offset + 1, Epoch: epoch, At: p.clock().UnixMicro(), Event: e.Time})
	return partition, offset
}

func (p *portal) pane(partition int32, offset int64, d kpi.Delta) {
	if p.since[partition] == nil {
		p.since[partition] = map[kpi.Pane]*kpi.Value{}
	}
	for _, sums := range []map[kpi.Pane]*kpi.Value{p.whole, p.since[partition]} {
		if sums[d.Pane] == nil {
			sums[d.Pane] = new(kpi.Value)
		}
		sums[d.Pane].Add(d)
	}
	p.put(paneKey(d.Pane), schemas.ColumnSpeedPane(p.published.Current, partition), offset, p.bytes(p.since[partition][d.Pane]))
}

func paneKey(p kpi.Pane) schemas.Key {
	return schemas.PaneKey(p.Measure.String(), p.Minute, p.Dim.String())
}

func (p *portal) position(partition int32, at schemas.Position) {
	p.put(schemas.KeyPosition(partition), schemas.ColumnValue, at.Offset, schemas.EncodeJSON(at))
}

func (p *portal) announce() {
	p.put(schemas.KeyPublished, schemas.ColumnValue, p.published.Current, schemas.EncodeJSON(p.published))
}

// says writes what speed said of a device.
func (p *portal) says(d *schemas.Decision) {
	b, err := proto.Marshal(d)
	if err != nil {
		p.t.Fatal(err)
	}
	p.put(schemas.VisitorKey(d.Device), schemas.ColumnDecision, d.Offset, b)
}

// runs does a batch run over everything that has happened.
func (p *portal) runs(model string) schemas.Generation {
	g := schemas.Generation{Run: p.published.Current + 1, At: p.clock().UnixMicro(), Model: model}
	for i := range p.offsets {
		cut := p.append(int32(i), 1) // the cut record itself
		g.Cuts, g.CutTimes = append(g.Cuts, cut), append(g.CutTimes, g.At)
		p.position(int32(i), schemas.Position{Offset: cut + 1, Epoch: g.Run, At: g.At})
	}
	for device, v := range p.devices {
		c := visitor.Cell{Filter: v.Filter, Units: v.Whole}
		p.put(schemas.VisitorKey(device), schemas.ColumnBatch(g.Run), g.Run, p.bytes(&c))
		v.Cell = visitor.Cell{Filter: v.Filter}
	}
	for pane, value := range p.whole {
		p.put(paneKey(pane), schemas.ColumnBatch(g.Run), g.Run, p.bytes(value))
	}
	p.since = map[int32]map[kpi.Pane]*kpi.Value{}
	if model != "" {
		p.trains(model)
	}
	p.published = p.published.With(g)
	p.announce()
	return g
}

// trains makes a model of the devices that are there.
func (p *portal) trains(id string) {
	names := visitor.Features()
	m := cluster.Matrix{Dims: len(names)}
	for _, device := range slices.Sorted(maps.Keys(p.devices)) {
		for i := range p.devices[device].Whole.Named {
			m.Values = p.devices[device].Whole.Named[i].Vector(m.Values)
		}
	}
	scaling, err := cluster.FitScaling(m, names, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	scaling.Apply(m, nil)
	model, err := cluster.Train(m, scaling, cluster.Options{K: 4, Seed: 7})
	if err != nil {
		p.t.Fatal(err)
	}
	model.ID = id
	artefact, err := model.Encode()
	if err != nil {
		p.t.Fatal(err)
	}
	p.put(schemas.ModelKey(id), schemas.ColumnValue, 1, artefact)
}

// Ends are where the portal's log ends.
func (p *portal) Ends(context.Context) ([]int64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.offsets), nil
}

// append puts n records into the log and says where the first lies.
func (p *portal) append(partition int32, n int64) (offset int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	offset = p.offsets[partition]
	p.offsets[partition] += n
	return offset
}

// Events of a portal.

func page(device string) *schemas.Event {
	return &schemas.Event{Device: device, Kind: schemas.Kind_KIND_PAGE}
}

func login(device, customer string) *schemas.Event {
	return &schemas.Event{Device: device, Kind: schemas.Kind_KIND_IDENTIFY, User: customer}
}

func search(device, destination string, adults, children int32) *schemas.Event {
	return &schemas.Event{Device: device, Kind: schemas.Kind_KIND_SEARCH,
		Search: &schemas.Search{Destination: destination, Adults: adults, Children: children, Depart: 20700, Nights: 7}}
}

func view(device, offer, destination string, styles ...schemas.Style) *schemas.Event {
	return &schemas.Event{Device: device, Kind: schemas.Kind_KIND_OFFER_VIEW,
		Offer: &schemas.Offer{Id: offer, Kind: schemas.OfferKind_OFFER_KIND_HOTEL, Destination: destination, Styles: styles,
			Stars: 45, Price: 120_000, Currency: "EUR"}}
}

func booking(device, offer, destination string, cents int64) *schemas.Event {
	return &schemas.Event{Device: device, Kind: schemas.Kind_KIND_BOOKING,
		Offer:  &schemas.Offer{Id: offer, Destination: destination},
		Search: &schemas.Search{Destination: destination, Adults: 2, Depart: 20700, Nights: 7},
		Order:  &schemas.Order{Id: "o-" + device, Amount: cents, Currency: "EUR"}}
}
