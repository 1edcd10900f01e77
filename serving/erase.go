package serving

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"fernweh/schemas"
)

// Events takes events into the log; durable when it returns nil.
type Events interface {
	Append(ctx context.Context, events []*schemas.Event) (offsets []int64, err error)
}

// errNoErasure: there is nothing to write an erasure to.
var errNoErasure = errors.New("this process does not write to the log: ask another one, or call fernweh erase")

// EraseKnown is the erasure of a device that the views hold something of, be it
// only what a filter keeps of events without consent. It is ErrUnknown otherwise: a
// mistyped device is no success. What is still on its way to the views they do not
// know: that takes EraseVisitor.
func (r *Reader) EraseKnown(ctx context.Context, device string) ([]*schemas.Event, error) {
	_, rows, err := r.get(ctx, schemas.VisitorKey(device))
	if err != nil {
		return nil, fmt.Errorf("read device %s: %w", device, err)
	}
	if len(rows[0].Cells) == 0 {
		return nil, fmt.Errorf("erase device %s: %w; its events may be on their way, in a spool or before a view that lags", device, ErrUnknown)
	}
	return EraseVisitor(device, r.Now()), nil
}

// EraseVisitor is the erasure of a device, whether anything is known of it or not:
// what is still on its way is erased as well.
func EraseVisitor(device string, now time.Time) []*schemas.Event {
	return []*schemas.Event{erasure(device, "", now.UnixMicro())}
}

// ErasePerson is the erasure of a customer: of the login on each of the customer's
// devices, or of the whole device where nobody else is known, with what was
// done there before the first login. It is ErrUnknown if no device is linked.
func (r *Reader) ErasePerson(ctx context.Context, customer string) (events []*schemas.Event, leftOut int, err error) {
	p, err := r.Person(ctx, customer)
	if err != nil {
		return nil, 0, err
	}
	if len(p.Devices) == 0 {
		return nil, 0, fmt.Errorf("find customer %s: %w", customer, ErrUnknown)
	}
	for i := range p.Devices {
		login := customer
		if cell := p.Devices[i].Merged; cell.FirstLogin == customer && !shared(&p.Devices[i], customer) {
			login = ""
		}
		// Later than any erasure before it, whatever clock that was stamped by.
		at := max(r.Now().UnixMicro(), p.Devices[i].Merged.ErasedAt(login)+1)
		events = append(events, erasure(p.Devices[i].Device, login, at))
	}
	return events, p.LeftOut, nil
}

// shared says whether a device is known under another login, too.
func shared(v *VisitorView, customer string) bool {
	for i := range v.Merged.Units.Named {
		if login := v.Merged.Units.Named[i].Login; login != "" && login != customer {
			return true
		}
	}
	return false
}

// erasure is the record that lets every reader forget what was received before it.
func erasure(device, login string, at int64) *schemas.Event {
	id := fmt.Sprintf("erasure-%s-%s-%d", device, login, at)
	if len(id) > schemas.MaxID {
		id = fmt.Sprintf("erasure-%x-%d", sha256.Sum256([]byte(id)), at)
	}
	return &schemas.Event{
		Id: id, Device: device, Kind: schemas.Kind_KIND_ERASURE,
		Time: at, Received: at, Source: "operator", Erasure: &schemas.Erasure{Login: login},
	}
}

// After is what a request brings back to see the effect of events that were
// appended at these offsets: the collector's Fernweh-After.
func After(events []*schemas.Event, offsets []int64, partitions int32) string {
	next := make(map[int32]int64, len(events))
	for i, e := range events {
		p := schemas.Partition(e.Device, partitions)
		next[p] = max(next[p], offsets[i]+1)
	}
	var pairs []string
	for p := range partitions {
		if o, ok := next[p]; ok && o > 0 {
			pairs = append(pairs, strconv.Itoa(int(p))+":"+strconv.FormatInt(o, 10))
		}
	}
	return strings.Join(pairs, ",")
}

// Erased says what was written to the log.
type Erased struct {
	Devices int    `json:"devices" doc:"whose data are forgotten, of this login or whole"`
	LeftOut int    `json:"leftOut,omitempty" doc:"linked devices beyond the hundred that were read: ask again when these are gone"`
	After   string `json:"after" doc:"a request that brings it back sees nothing of them any more"`
}

type erasedOutput struct{ Body Erased }

func (o *erasedOutput) ended() string { return fmt.Sprintf("%d devices", o.Body.Devices) }

type eraseVisitorInput struct {
	ID    string `path:"id" maxLength:"1024" doc:"device (anonymous id)"`
	Force bool   `query:"force" doc:"also a device that the views know nothing of: its events may be on their way, or the views away"`
}

type erasePersonInput struct {
	Customer string `path:"customer" maxLength:"1024" doc:"customer number"`
}

func (s *Server) eraseVisitor(ctx context.Context, in *eraseVisitorInput) (*erasedOutput, error) {
	if s.config.Events == nil {
		return answer[erasedOutput](nil, errNoErasure)
	}
	if in.Force {
		return answer(s.append(ctx, EraseVisitor(in.ID, s.config.Now()), 0))
	}
	bound, cancel := s.bounded(ctx)
	defer cancel()
	events, err := s.reader.EraseKnown(bound, in.ID)
	if errors.Is(err, ErrUnknown) {
		err = fmt.Errorf("%w: with force=true it is erased all the same", err)
	}
	if err != nil {
		return answer[erasedOutput](nil, err)
	}
	return answer(s.append(ctx, events, 0))
}

func (s *Server) erasePerson(ctx context.Context, in *erasePersonInput) (*erasedOutput, error) {
	bound, cancel := s.bounded(ctx)
	defer cancel()
	events, leftOut, err := s.reader.ErasePerson(bound, in.Customer)
	if err != nil {
		return answer[erasedOutput](nil, err)
	}
	return answer(s.append(ctx, events, leftOut))
}

// append writes erasures to the log.
func (s *Server) append(ctx context.Context, events []*schemas.Event, leftOut int) (*erasedOutput, error) {
	if s.config.Events == nil {
		return nil, errNoErasure
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	offsets, err := s.config.Events.Append(ctx, events)
	if err != nil {
		return nil, unavailable{err}
	}
	return &erasedOutput{Erased{len(events), leftOut, After(events, offsets, s.config.Partitions)}}, nil
}
