package embedded

import "github.com/cockroachdb/pebble/v2"

// openPebble opens a store. On a full disk Pebble does not give up: it flushes
// what it found in its log again and again. Here the first flush that fails is the
// end of the attempt, and what is left of it rests until the process ends.
func openPebble(dir string, options *pebble.Options, t *trouble) (*pebble.DB, error) {
	type opened struct {
		db  *pebble.DB
		err error
	}
	options.EventListener = &pebble.EventListener{BackgroundError: func(err error) {
		if !t.patient.Load() {
			t.begin(err, true)
			select {}
		}
	}}
	_, begun := t.now()
	done := make(chan opened, 1)
	go func() {
		db, err := pebble.Open(dir, options)
		done <- opened{db, err}
	}()
	select {
	case o := <-done:
		return o.db, o.err
	case <-begun:
		err, _ := t.now()
		return nil, err
	}
}
