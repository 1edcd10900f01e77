// Package layer holds what every layer does alike: it bears its troubles, says
// what they are, and begins again after a failure, ever later.
package layer

import (
	"cmp"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// A Trouble is a component that does not do what it is there for.
type Trouble struct {
	Component string    // such as "collector" or "speed partition 3"
	Down      bool      // its work stands still; else it goes on with less
	Since     time.Time // of the first failure in the row
	Reason    string    // of the latest failure
	Attempts  int       // failures in the row
}

// Health knows what does not work in this process, as its components tell it. It
// may be called from any goroutine. A trouble is logged when it begins, has another
// reason, and ends, however often it is told meanwhile.
type Health struct {
	now func() time.Time

	mu       sync.Mutex
	troubles map[string]Trouble // guarded by mu, by component
}

// NewHealth is the health of a process in which all works.
func NewHealth(now func() time.Time) *Health {
	return &Health{now: now, troubles: make(map[string]Trouble)}
}

// Down says that a component cannot do its work: this process is not ready until
// it is Up.
func (h *Health) Down(component string, why error) { h.tell(component, true, why) }

// Limited says that a component goes on with less than it should have.
func (h *Health) Limited(component string, why error) { h.tell(component, false, why) }

// Up says that a component does its work. Of one that was never in trouble it
// need not be said.
func (h *Health) Up(component string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t, ok := h.troubles[component]
	if !ok {
		return
	}
	delete(h.troubles, component)
	slog.Info("works again", "component", component, "after", h.now().Sub(t.Since), "failures", t.Attempts)
}

func (h *Health) tell(component string, down bool, why error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	before, known := h.troubles[component]
	t := Trouble{Component: component, Down: down, Since: h.now(), Reason: why.Error(), Attempts: 1}
	if known && before.Down == down {
		t.Since, t.Attempts = before.Since, before.Attempts+1
	}
	h.troubles[component] = t
	if known && before.Down == down && shape(before.Reason) == shape(t.Reason) {
		return
	}
	if down {
		slog.Error("does not work", "component", component, "error", why)
		return
	}
	slog.Warn("works with less", "component", component, "error", why)
}

// shape is a reason without its numbers: an offset or a count that moves on is no
// other reason.
func shape(reason string) string {
	b := []byte(reason)
	return string(slices.DeleteFunc(b, func(c byte) bool { return '0' <= c && c <= '9' }))
}

// Troubles are what does not work now, ordered by component.
func (h *Health) Troubles() []Trouble {
	h.mu.Lock()
	defer h.mu.Unlock()
	troubles := make([]Trouble, 0, len(h.troubles))
	for _, t := range h.troubles {
		troubles = append(troubles, t)
	}
	slices.SortFunc(troubles, func(a, b Trouble) int { return cmp.Compare(a.Component, b.Component) })
	return troubles
}

// What Collect gives.
var (
	readyDesc = prometheus.NewDesc("fernweh_ready",
		"1 if every component of the process can do its work.", nil, nil)
	troubleDesc = prometheus.NewDesc("fernweh_trouble_seconds",
		"How long a component has been in trouble: its work stands still (down), or goes on with less (limited).",
		[]string{"component", "state"}, nil)
	attemptsDesc = prometheus.NewDesc("fernweh_trouble_failures",
		"Failures in a row of a component in trouble.", []string{"component", "state"}, nil)
)

// Describe names what Collect gives.
func (h *Health) Describe(out chan<- *prometheus.Desc) {
	out <- readyDesc
	out <- troubleDesc
	out <- attemptsDesc
}

// Collect gives each trouble, and whether there is one that stops the work.
func (h *Health) Collect(out chan<- prometheus.Metric) {
	ready := 1.0
	for _, t := range h.Troubles() {
		state := "limited"
		if t.Down {
			ready, state = 0, "down"
		}
		out <- prometheus.MustNewConstMetric(troubleDesc, prometheus.GaugeValue, h.now().Sub(t.Since).Seconds(), t.Component, state)
		out <- prometheus.MustNewConstMetric(attemptsDesc, prometheus.GaugeValue, float64(t.Attempts), t.Component, state)
	}
	out <- prometheus.MustNewConstMetric(readyDesc, prometheus.GaugeValue, ready)
}
