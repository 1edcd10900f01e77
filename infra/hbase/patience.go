package hbase

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tsuna/gohbase"
)

// Pauses between attempts: they double from the first to the longest, and each
// is drawn from half of it to all of it, so that those who were thrown out
// together don't come back together.
const (
	firstPause   = 50 * time.Millisecond
	longestPause = 2 * time.Second
)

// jitter draws a pause.
func jitter(pause time.Duration) time.Duration { return pause/2 + rand.N(pause/2+1) }

// A tries repeats a call that may be repeated.
type tries struct {
	deadline, patience time.Duration                   // for one attempt, and for all of them
	closing            <-chan struct{}                 // ends the pauses; nil: nothing does
	again              func()                          // told of each attempt that failed and is made again
	why                func(ctx context.Context) error // asked when there is no more patience; nil: it can't tell
}

// do repeats attempt until it succeeds, can't succeed, or its time is over.
func (t tries) do(ctx context.Context, attempt func(context.Context) error) error {
	begun, last := time.Now(), error(nil)
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := once(ctx, t.deadline, attempt)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil && last != nil:
			return fmt.Errorf("%w, and before: %w", context.Cause(ctx), last)
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case hopeless(err):
			return plain(err)
		case time.Since(begun) >= t.patience:
			return t.givenUp(ctx, time.Since(begun), plain(err))
		}
		last = plain(err)
		t.again()
		select {
		case <-time.After(jitter(pause)):
		case <-ctx.Done():
		case <-t.closing:
			return ErrClosed
		}
	}
}

// givenUp is the error of a call that was tried for so long.
func (t tries) givenUp(ctx context.Context, tried time.Duration, last error) error {
	if why := t.why(ctx); why != nil {
		last = fmt.Errorf("%w: %w", last, why)
	}
	return fmt.Errorf("given up after %s: %w", tried.Round(time.Millisecond), last)
}

// errNoAnswer is what an attempt ends with whose deadline is over.
var errNoAnswer = errors.New("the server does not answer")

// once makes one attempt.
func once(ctx context.Context, deadline time.Duration, attempt func(context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	err := attempt(bounded)
	if err != nil && ctx.Err() == nil && bounded.Err() != nil {
		return fmt.Errorf("%w within %s", errNoAnswer, deadline)
	}
	return err
}

// persist repeats a call to the master until ctx is done.
func persist(ctx context.Context, cfg Config, attempt func(context.Context) error) error {
	t := tries{
		deadline: tablesWithin, patience: cfg.Patience,
		again: func() {},
		why:   func(ctx context.Context) error { return probe(ctx, cfg) },
	}
	return t.do(ctx, attempt)
}

// never are the answers that no further attempt changes, as Java names them.
var never = []string{
	"AccessDeniedException", "DoNotRetryIOException", "FailedSanityCheckException", "FatalConnectionException",
	"IllegalArgumentException", "InvalidFamilyOperationException", "NamespaceNotFoundException",
	"NoSuchColumnFamilyException", "RequestTooBigException", "TableNotEnabledException", "TableNotFoundException",
	"UnsupportedOperationException",
}

// hopeless says whether an attempt failed for good.
func hopeless(err error) bool {
	return errors.Is(err, gohbase.TableNotFound) || errors.Is(err, errRefused) || errors.Is(err, errStuck) ||
		slices.ContainsFunc(never, func(class string) bool { return isJava(err, class) })
}

// errRefused is an error of this package that no server needs to be asked about.
var errRefused = errors.New("refused")

// java is how gohbase, and its procedures, hand on what the server threw. A
// stack trace follows the line.
var java = regexp.MustCompile(`(?:HBase Java exception|procedure exception:) (?:[\w$]+\.)*([\w$]+):\s*([^\n]*)`)

// isAnswer says whether a call that ended so had an answer, were it a refusal.
func isAnswer(err error) bool {
	return err == nil || errors.Is(err, gohbase.TableNotFound) || java.MatchString(err.Error())
}

// isJava says whether err is an answer of the server of a class.
func isJava(err error, class string) bool {
	if err == nil {
		return false
	}
	m := java.FindStringSubmatch(err.Error())
	return m != nil && (m[1] == class || strings.Contains(m[2], "."+class+":"))
}

// plain makes one line of an error of gohbase's: the class and the first line,
// without the trace.
func plain(err error) error {
	if errors.Is(err, gohbase.TableNotFound) {
		return errors.New("the table is not there; it was when the views were opened")
	}
	m := java.FindStringSubmatch(err.Error())
	if m == nil {
		return err
	}
	_, said, found := strings.Cut(m[2], m[1]+": ")
	if !found {
		said = m[2]
	}
	return fmt.Errorf("the server answers %s: %s", m[1], said)
}
