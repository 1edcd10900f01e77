package serving

import (
	"context"
	"fmt"

	"fernweh/model/visitor"
)

// Person is a customer as the API shows it: devices side by side, never joined.
type Person struct {
	Waited
	Customer string         `json:"customer"`
	Totals   Summary        `json:"totals" doc:"all units of the person, summed for display"`
	Devices  []PersonDevice `json:"devices"`
	LeftOut  int            `json:"leftOut,omitempty" doc:"linked devices beyond the hundred that are read"`
}

// A PersonDevice is what one device knows of a person.
type PersonDevice struct {
	Device     string      `json:"device"`
	Consent    string      `json:"consent" enum:"granted,denied,unsaid"`
	Unit       Summary     `json:"unit" doc:"under this login"`
	Before     *Summary    `json:"before,omitempty" doc:"before any login, if this customer was the device's first"`
	Segment    *Classified `json:"segment,omitempty"`
	Provenance Provenance  `json:"provenance"`
}

type personInput struct {
	Wait
	Customer string `path:"customer" maxLength:"1024" doc:"customer number"`
}

type personOutput struct{ Body Person }

func (s *Server) person(ctx context.Context, in *personInput) (*personOutput, error) {
	return answer(s.readPerson(ctx, in))
}

func (s *Server) readPerson(ctx context.Context, in *personInput) (*personOutput, error) {
	waited, err := s.wait(ctx, in.Wait)
	if err != nil {
		return nil, err
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	p, err := s.reader.Person(ctx, in.Customer)
	if err != nil {
		return nil, err
	}
	if len(p.Devices) == 0 {
		return nil, fmt.Errorf("find customer %s: %w", in.Customer, ErrUnknown)
	}
	out := &personOutput{Person{Waited: waited, Customer: p.Customer, LeftOut: p.LeftOut}}
	var hs []*visitor.History
	for i := range p.Devices {
		d, parts := s.device(p.Customer, &p.Devices[i])
		out.Body.Devices = append(out.Body.Devices, d)
		hs = append(hs, parts...)
	}
	out.Body.Totals = Summarize(hs...)
	return out, nil
}

// device shows one device of a person, and the histories that are the person's.
func (s *Server) device(customer string, v *VisitorView) (PersonDevice, []*visitor.History) {
	unit := &v.Merged.Units.Unit(customer).History
	d := PersonDevice{
		Device: v.Device, Consent: Consent(v.Merged.Choice), Unit: Summarize(unit),
		Segment: s.watcher.current().classify(v, customer), Provenance: s.watcher.of(v),
	}
	before := v.Merged.Units.Unit("")
	if before == nil || v.Merged.FirstLogin != customer {
		return d, []*visitor.History{unit}
	}
	first := Summarize(&before.History)
	d.Before = &first
	return d, []*visitor.History{unit, &before.History}
}
