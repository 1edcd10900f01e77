package serving

import (
	"context"
	"fmt"
	"time"

	"fernweh/model/visitor"
	"fernweh/schemas"

	"google.golang.org/protobuf/proto"
)

// Visitor is a device as the API shows it.
type Visitor struct {
	Waited
	Device     string      `json:"device"`
	Consent    string      `json:"consent" enum:"granted,denied,unsaid" doc:"what the visitor said about being profiled"`
	Login      string      `json:"login,omitempty" doc:"customer number the device is logged in with"`
	Totals     Summary     `json:"totals" doc:"all units of the device, summed for display"`
	Units      []Unit      `json:"units" doc:"the device by login, side by side"`
	Nobody     *Summary    `json:"nobody,omitempty" doc:"what belongs to no login: of logins beyond those kept apart, and after the erasure of the current one"`
	Segment    *Classified `json:"segment,omitempty" doc:"by the model in force; missing: no model, or no consent"`
	Decision   *Decision   `json:"decision,omitempty" doc:"what speed said last"`
	Provenance Provenance  `json:"provenance"`
}

// A Unit is a device under one login.
type Unit struct {
	Login   string  `json:"login" doc:"customer number; empty: before the first login"`
	Summary Summary `json:"summary"`
}

// A Decision is what speed said last of a visitor.
type Decision struct {
	ID       string    `json:"id" doc:"partition-offset-kind of the event it follows from"`
	Login    string    `json:"login,omitempty"`
	Segment  string    `json:"segment"`
	Distance float64   `json:"distance"`
	Model    string    `json:"model"`
	Time     time.Time `json:"time" doc:"of the event"`
	State    State     `json:"state"`
}

type visitorInput struct {
	Wait
	ID string `path:"id" maxLength:"1024" doc:"device (anonymous id)"`
}

type visitorOutput struct{ Body Visitor }

func (s *Server) visitor(ctx context.Context, in *visitorInput) (*visitorOutput, error) {
	return answer(s.readVisitor(ctx, in))
}

func (s *Server) readVisitor(ctx context.Context, in *visitorInput) (*visitorOutput, error) {
	waited, err := s.wait(ctx, in.Wait)
	if err != nil {
		return nil, err
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	v, err := s.reader.Visitor(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if v.Merged.Empty() {
		return nil, fmt.Errorf("find visitor %s: %w", in.ID, ErrUnknown)
	}
	out := &visitorOutput{Visitor{
		Waited: waited, Device: v.Device, Consent: Consent(v.Merged.Choice), Login: v.Merged.Login,
		Totals: SummarizeDevice(v.Merged), Units: units(&v.Merged.Units), Nobody: nobody(&v.Merged.Units),
		Segment: s.watcher.current().classify(&v, ActiveLogin(v.Merged)), Provenance: s.watcher.of(&v),
	}}
	if out.Body.Decision, err = decision(v.Decision); err != nil {
		return nil, fmt.Errorf("read device %s: %w", in.ID, err)
	}
	return out, nil
}

// Consent is what a visitor said about being profiled, by its name in answers and
// documents.
func Consent(c schemas.Choice) string {
	switch c {
	case schemas.Choice_CHOICE_GRANTED:
		return "granted"
	case schemas.Choice_CHOICE_DENIED:
		return "denied"
	}
	return "unsaid"
}

func units(us *visitor.Units) []Unit {
	out := make([]Unit, len(us.Named))
	for i := range us.Named {
		out[i] = Unit{us.Named[i].Login, Summarize(&us.Named[i].History)}
	}
	return out
}

// nobody sums up what belongs to no login; nil: nothing.
func nobody(us *visitor.Units) *Summary {
	if us.Shared.Events() == 0 {
		return nil
	}
	s := Summarize(&us.Shared)
	return &s
}

// ActiveLogin is the unit that a device is classified by: the one it is logged in
// with, else the one that did something last.
func ActiveLogin(c *visitor.Cell) string {
	if c.Units.Unit(c.Login) != nil {
		return c.Login
	}
	login, last := "", int64(-1)
	for i := range c.Units.Named {
		if u := &c.Units.Named[i]; u.Last > last {
			login, last = u.Login, u.Last
		}
	}
	return login
}

// decision decodes the value of d:now.
func decision(b []byte) (*Decision, error) {
	if b == nil {
		return nil, nil
	}
	var d schemas.Decision
	if err := proto.Unmarshal(b, &d); err != nil {
		return nil, fmt.Errorf("decode latest decision: %w", err)
	}
	if d.Segment == "" {
		return nil, nil // taken back by an erasure
	}
	return &Decision{
		ID: d.Id, Login: d.Login, Segment: d.Segment, Distance: d.Distance, Model: d.Model,
		Time: micros(d.Time), State: Live,
	}, nil
}
