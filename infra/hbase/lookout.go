package hbase

import (
	"context"
	"sync/atomic"
	"time"
)

const (
	// lookEvery is the longest time between two looks.
	lookEvery = 300 * time.Millisecond
	// uneasy is how long a server that works may keep everybody waiting before
	// anybody looks whether it is still there.
	uneasy = time.Second
)

// A lookout has the client replaced when the server is back and the client does
// not see it. gohbase looks ever more rarely for a server that was away (after
// 20 s every 5 to 10), and never gives up a connection whose other end is gone
// without a word, as long as it is written to.
//
// Somebody who waits for a slow answer must not lose it to that: so a client is
// replaced only if the server was seen to be away since the last answer, or if
// no attempt of two deadlines had any.
type lookout struct {
	deadline time.Duration               // for one attempt
	asked    *atomic.Int64               // UnixNano of the first question since the last answer; 0: there is none
	probe    func(context.Context) error // can the server be reached?
	renew    func(context.Context)       // replaces the client if a new one is answered, and then clears asked
}

// run looks until ctx is done.
func (l lookout) run(ctx context.Context) {
	var since int64 // the question that away is about
	away := false
	for {
		select {
		case <-time.After(jitter(lookEvery)):
		case <-ctx.Done():
			return
		}
		asked := l.asked.Load()
		if asked != since {
			since, away = asked, false
		}
		silent := time.Since(time.Unix(0, asked))
		if asked == 0 || silent < uneasy {
			continue
		}
		if l.probe(ctx) != nil {
			away = true
			continue
		}
		if away || silent >= 2*l.deadline {
			l.renew(ctx)
		}
	}
}
