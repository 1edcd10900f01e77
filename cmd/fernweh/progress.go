package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"fernweh/schemas"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// isTerminal says whether a person watches: bars are for them, not for logs.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// A bar counts things of which there is no known end.
type bar struct {
	n     atomic.Int64
	bars  *mpb.Progress
	shown *mpb.Bar
	began time.Time
	last  time.Time // that the count was drawn
}

func newBar(w io.Writer, what string) *bar {
	b := &bar{began: time.Now()}
	if !isTerminal(w) {
		return b
	}
	b.bars = mpb.New(mpb.WithOutput(w))
	b.shown = b.bars.New(0, mpb.SpinnerStyle(), mpb.AppendDecorators(
		decor.Any(func(decor.Statistics) string {
			n := b.n.Load()
			return fmt.Sprintf(" %d %s, %.0f/s", n, what, float64(n)/time.Since(b.began).Seconds())
		}),
	))
	return b
}

// add counts. The terminal is touched a few times a second only.
func (b *bar) add(n int64) {
	now := b.n.Add(n)
	if b.shown != nil && time.Since(b.last) > 100*time.Millisecond {
		b.last = time.Now()
		b.shown.SetCurrent(now)
	}
}

func (b *bar) end() {
	if b.shown != nil {
		b.shown.SetTotal(-1, true)
		b.bars.Wait()
	}
}

// A progress shows a batch run: its steps, and a bar while one has a known end.
type progress struct {
	w     io.Writer
	live  bool
	steps int // written for good
	width int // of the line that is not yet
}

func newProgress(w io.Writer) *progress { return &progress{w: w, live: isTerminal(w)} }

// show draws the run as it is.
func (p *progress) show(run schemas.Run, done, all int64) {
	for p.steps < len(run.Steps)-1 {
		p.line(stepLine(run.Steps[p.steps]), true)
		p.steps++
	}
	if !p.live || len(run.Steps) == 0 || run.State != schemas.RunRunning {
		return
	}
	text := run.Steps[len(run.Steps)-1].Name
	if all > 0 {
		const wide = 30
		full := int(wide * done / all)
		text = fmt.Sprintf("%-9s %s%s %d of %d rows", text, strings.Repeat("█", full), strings.Repeat("░", wide-full), done, all)
	}
	p.line(text, false)
}

func (p *progress) line(text string, final bool) {
	pad := strings.Repeat(" ", max(0, p.width-len(text)))
	p.width = 0
	switch {
	case final && p.live:
		fmt.Fprintf(p.w, "\r%s%s\n", text, pad)
	case final:
		fmt.Fprintln(p.w, text)
	default:
		fmt.Fprintf(p.w, "\r%s%s", text, pad)
		p.width = len(text)
	}
}

// end writes the steps that are left.
func (p *progress) end(run schemas.Run) {
	for ; p.steps < len(run.Steps); p.steps++ {
		p.line(stepLine(run.Steps[p.steps]), true)
	}
}

func stepLine(s schemas.Step) string {
	line := fmt.Sprintf("%-9s %7.2fs", s.Name, s.Seconds)
	if s.Rows > 0 {
		line += fmt.Sprintf("  %d rows", s.Rows)
	}
	if s.Note != "" {
		line += "  " + s.Note
	}
	return line
}

// printRun writes one run as a line.
func printRun(w io.Writer, run schemas.Run) {
	fmt.Fprintf(w, "%d\t%s\t%s\t%.1fs\t%s\n", run.Number, time.UnixMicro(run.Started).UTC().Format(time.RFC3339), run.State,
		float64(max(run.Ended-run.Started, 0))/1e6, run.Error)
}
