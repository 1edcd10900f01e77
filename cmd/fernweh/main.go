// Command fernweh is the whole Lambda architecture of a travel portal in one
// binary: each layer is a command, and up is all of them in one process.
//
// Its exit code is 0 when it did what it was told, 1 when it could not, and 2
// when it was told something that makes no sense.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Environ(), console{os.Stdout, os.Stderr})
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "fernweh:", strings.ReplaceAll(err.Error(), "\n", "\nfernweh: "))
	}
	os.Exit(exitCode(err))
}

// A command is one thing that the program can be told to do.
type command struct {
	name  string
	args  string // what may stand after it besides settings, for its help; empty: nothing
	about string // one sentence, without a full stop
	run   func(context.Context, *config, console) error
}

// commands is the table of contents of the program.
func commands() []command {
	return []command{
		{"up", "", "run every layer in this process: log, ingest, speed, batch and serving", runUp},
		{"ingest", "", "take events from websites into the log", runIngest},
		{"speed", "", "keep each visitor current, one event at a time", runSpeed},
		{"archive", "", "write the log into the archive", runArchive},
		{"batch", "[run | history | rollback N]", "archive the log and recompute everything, by the schedule or now", runBatch},
		{"index", "", "keep the documents of search and dashboards current", runIndex},
		{"serve", "", "answer the website and the operators", runServe},
		{"rebuild", "", "make the set of views and documents that --views names, from the archive and the log alone", runRebuild},
		{"erase", "", "forget a device, or a customer on every device", runErase},
		{"repair", "", "bring events that lie in a wrong partition to their device's", runRepair},
		{"key", "new NAME | list | remove NAME | print NAME", "make, list and take away administrators' keys", runKey},
		{"simulate", "", "send the events of a simulated portal to a collector", runSimulate},
		{"replay", "FILE...", "send recorded behaviour to a collector", runReplay},
		{"config", "", "print every setting in force and where it came from", runConfig},
		{"health", "[URL]", "ask a running process how it is; exit code 0: it can answer", runHealth},
		{"version", "", "print version, commit, build date and Go version", runVersion},
	}
}

// A console is where a command writes: its result to out, all else to log.
type console struct {
	out io.Writer
	log io.Writer
}

// run does what the arguments say.
func run(ctx context.Context, args, environ []string, to console) error {
	if len(args) == 0 {
		printCommands(to.log)
		return usage{errors.New("which command?")}
	}
	name, rest := args[0], args[1:]
	if name == documentsCommand && len(rest) == 1 {
		return runDocuments(rest[0])
	}
	if isHelp(name) || name == "help" {
		if len(rest) == 0 {
			printCommands(to.out)
			return nil
		}
		name, rest = rest[0], []string{"--help"}
	}
	c, err := findCommand(name)
	if err != nil {
		return usage{err}
	}
	if slices.ContainsFunc(rest, isHelp) {
		printHelp(to.out, c)
		return nil
	}
	cfg, err := load(c, rest, environ)
	if err != nil {
		return usage{err}
	}
	return c.run(ctx, cfg, to)
}

func isHelp(arg string) bool { return arg == "-h" || arg == "-help" || arg == "--help" }

func findCommand(name string) (command, error) {
	var names []string
	for _, c := range commands() {
		if c.name == name {
			return c, nil
		}
		names = append(names, c.name)
	}
	return command{}, fmt.Errorf("there is no command %q%s (fernweh help lists them all)",
		name, didYouMean(nearest(name, names)))
}

// usage is an error of who typed or configured it: nothing was begun.
type usage struct{ error }

func exitCode(err error) int {
	var u usage
	switch {
	case err == nil:
		return 0
	case errors.As(err, &u):
		return 2
	default:
		return 1
	}
}

func printCommands(w io.Writer) {
	fmt.Fprint(w, "Fernweh answers a travel portal: who is on the page, and what belongs there.\n\n"+
		"usage: fernweh COMMAND [settings]\n\n")
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-10s%s\n", c.name, c.about)
	}
	fmt.Fprint(w, "\nfernweh COMMAND -h explains the settings of a command.\n")
}
