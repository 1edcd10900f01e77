package ingest

import "context"

// Step drains one batch of each lane: what Run does again and again.
func Step(c *Collector, ctx context.Context) (drained bool, err error) {
	for _, l := range append(c.lanes[:len(c.lanes):len(c.lanes)], c.deadLane) {
		one, err := c.step(ctx, l)
		if drained = drained || one; err != nil {
			return drained, err
		}
	}
	return drained, nil
}

// Held is what requests hold: those with a known key, and those without.
func Held(c *Collector) (known, none int64) { return c.memory.holds(), c.keyless.holds() }

// Holders is how many keys and addresses the limits know at the moment.
func Holders(c *Collector) (n int) {
	for _, m := range []*memory{c.memory, c.keyless} {
		m.mu.Lock()
		n += len(m.keys) + len(m.addresses)
		m.mu.Unlock()
	}
	return n
}

// Address is who sends a request, as limits know him.
var Address = (*Collector).address
