// Command mutants makes mistakes on purpose, one at a time, and runs the tests that
// must notice.
//
// Each mistake is a small change of one file, which the Go command is shown in
// place of the file (go test -overlay), so that no file of the tree is touched. A
// mistake whose old text does not stand in its file exactly once, or that does not
// compile, proves nothing: then the run fails, so that the table follows the code.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A mutant is one mistake.
type mutant struct {
	name  string   // what is wrong, in words
	place string   // the law or part of the program that it breaks
	file  string   // in the module
	old   string   // stands in the file exactly once
	new   string   // stands there instead
	tests []string // that must notice, the fastest first: a package and flags of go test
}

func main() {
	root := flag.String("root", ".", "`folder` of the module")
	only := flag.String("only", "", "run only the mistakes whose name or file the `pattern` matches")
	at := flag.Int("parallel", max(1, runtime.GOMAXPROCS(0)), "mistakes that are tried at the same time")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	pattern, err := regexp.Compile(*only)
	if err == nil {
		err = run(ctx, os.Stdout, *root, pick(table(), pattern), *at)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

// pick are the mutants whose name or file matches.
func pick(all []mutant, pattern *regexp.Regexp) []mutant {
	var some []mutant
	for _, m := range all {
		if pattern.MatchString(m.name) || pattern.MatchString(m.file) {
			some = append(some, m)
		}
	}
	return some
}

// A verdict is what became of a mutant.
type verdict struct {
	killer string // the test that noticed; empty: it survived
	took   time.Duration
	err    error // it proves nothing
}

// run tries the mutants and says what kills each; the last line counts them.
func run(ctx context.Context, out io.Writer, root string, mutants []mutant, parallel int) error {
	if err := sound(ctx, root, mutants); err != nil {
		return err
	}
	verdicts := make([]verdict, len(mutants))
	var mu sync.Mutex // guards out
	var g sync.WaitGroup
	slots := make(chan struct{}, parallel)
	for i, m := range mutants {
		g.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			verdicts[i] = try(ctx, root, m)
			mu.Lock()
			defer mu.Unlock()
			report(out, m, verdicts[i])
		})
	}
	g.Wait()
	return sum(out, mutants, verdicts)
}

// sound checks that the tests pass without any mistake: else they would kill all.
func sound(ctx context.Context, root string, mutants []mutant) error {
	known := map[string]bool{}
	for _, m := range mutants {
		for _, test := range m.tests {
			if known[test] {
				continue
			}
			known[test] = true
			killer, err := notice(ctx, root, "", test)
			if err != nil {
				return err
			}
			if killer != "" {
				return fmt.Errorf("%s fails without any mistake: it would kill each", killer)
			}
		}
	}
	return nil
}

func report(out io.Writer, m mutant, v verdict) {
	switch {
	case v.err != nil:
		fmt.Fprintf(out, "VOID      %s (%s, %s): %v\n", m.name, m.place, m.file, v.err)
	case v.killer == "":
		fmt.Fprintf(out, "SURVIVED  %s (%s, %s): %s\n", m.name, m.place, m.file, strings.Join(m.tests, "; "))
	default:
		fmt.Fprintf(out, "killed    %s (%s): %s, %.1f s\n", m.name, m.place, v.killer, v.took.Seconds())
	}
}

// sum writes the last line, and is an error unless every mutant was killed.
func sum(out io.Writer, mutants []mutant, verdicts []verdict) error {
	killed, void := 0, 0
	for _, v := range verdicts {
		switch {
		case v.err != nil:
			void++
		case v.killer != "":
			killed++
		}
	}
	fmt.Fprintf(out, "killed %d of %d\n", killed, len(mutants))
	if void > 0 {
		return fmt.Errorf("%d mistakes prove nothing: mend the table", void)
	}
	if killed < len(mutants) {
		return fmt.Errorf("%d mistakes survived: they want a test", len(mutants)-killed)
	}
	return nil
}

var errVoid = errors.New("proves nothing")
