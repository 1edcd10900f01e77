// Servers starts and stops the real Kafka, HBase and Elasticsearch of infra/native
// for work by hand, and runs tests on them (make servers-up, servers-down, test-real).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"fernweh/infra/native"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "servers:", err)
		os.Exit(1)
	}
}

const usage = `usage: servers [flags] COMMAND

  up [NAME ...]       start them; they go on until they are told to stop
  down [NAME ...]     stop them in order
  kill [NAME ...]     end them as a crash does
  status [NAME ...]   what runs, where
  logs [NAME ...]     what they said since their last start
  env [NAME ...]      what a shell evaluates so that go test finds them
  fetch [NAME ...]    get what they need and start none
  sums [NAME ...]     fetch what the poms name and write the checksums into the tree
  test ARGUMENT ...   go test with these arguments on servers of its own; a test that is skipped is a failure

NAME is kafka, hbase or elastic; without one, all of them.
`

// settings are what the flags say.
type settings struct {
	data  string
	cache string
	ports map[native.Kind]native.Ports
	out   io.Writer
}

// A command does something with each of some servers.
type command func(context.Context, settings, []native.Kind) error

// commands is the table of contents.
func commands() map[string]command {
	return map[string]command{
		"fetch":  each(fetch),
		"up":     each(up),
		"down":   each(down),
		"kill":   each(kill),
		"status": inTurn(status),
		"logs":   inTurn(logs),
		"env":    inTurn(environment),
		"sums":   sums,
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	s := settings{ports: make(map[native.Kind]native.Ports), out: out}
	flags := flag.NewFlagSet("servers", flag.ContinueOnError)
	flags.Usage = func() { fmt.Fprint(flags.Output(), usage, "\n"); flags.PrintDefaults() }
	flags.StringVar(&s.data, "data", env("FERNWEH_NATIVE_DATA", filepath.Join("data", "servers")), "`folder` of the servers' folders")
	flags.StringVar(&s.cache, "cache", "", "`folder` of the fetched artifacts; empty: "+native.CacheVariable+" or the user's cache")
	for _, k := range native.Kinds() {
		flags.Func(string(k)+"-ports", fmt.Sprintf("`ports` of %s, if others than %s", k, native.DefaultPorts(k)), func(text string) (err error) {
			s.ports[k], err = parsePorts(text)
			return err
		})
	}
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	name, rest := flags.Arg(0), flags.Args()
	if name == "test" {
		return test(ctx, s, rest[1:])
	}
	do, known := commands()[name]
	if !known {
		flags.Usage()
		return fmt.Errorf("no command is called %q", name)
	}
	kinds, err := parseKinds(rest[1:])
	if err != nil {
		return err
	}
	return do(ctx, s, kinds)
}

// env is a variable of the environment, or what holds without it.
func env(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

func parseKinds(names []string) ([]native.Kind, error) {
	if len(names) == 0 {
		return native.Kinds(), nil
	}
	var kinds []native.Kind
	for _, name := range names {
		k, err := native.KindOf(name)
		if err != nil {
			return nil, err
		}
		kinds = append(kinds, k)
	}
	return kinds, nil
}

// parsePorts reads "plain=29092,controller=29093".
func parsePorts(text string) (native.Ports, error) {
	ports := make(native.Ports)
	for _, part := range strings.Split(text, ",") {
		name, number, ok := strings.Cut(part, "=")
		port, err := strconv.Atoi(number)
		if !ok || err != nil {
			return nil, fmt.Errorf("%q is not name=port", part)
		}
		ports[name] = port
	}
	return ports, nil
}

// server is one of the servers as the settings have it.
func (s settings) server(k native.Kind) (*native.Server, error) {
	return native.New(k, native.Options{
		Dir: filepath.Join(s.data, string(k)), Cache: s.cache, Ports: s.ports[k], Detached: true,
	})
}

// each does something with all servers at once and names every failure.
func each(do func(context.Context, settings, *native.Server) error) command {
	return func(ctx context.Context, s settings, kinds []native.Kind) error {
		errs := make([]error, len(kinds))
		var g errgroup.Group
		for i, k := range kinds {
			g.Go(func() error {
				server, err := s.server(k)
				if err == nil {
					err = do(ctx, s, server)
				}
				errs[i] = err
				return nil
			})
		}
		return errors.Join(g.Wait(), errors.Join(errs...))
	}
}

// inTurn does something with one server after the other.
func inTurn(do func(settings, *native.Server) error) command {
	return func(_ context.Context, s settings, kinds []native.Kind) error {
		for _, k := range kinds {
			server, err := s.server(k)
			if err == nil {
				err = do(s, server)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
}

// fetch gets what a server needs, if it is not there yet.
func fetch(ctx context.Context, s settings, server *native.Server) error {
	tellFetch(s, server)
	return server.Fetch(ctx)
}

func tellFetch(s settings, server *native.Server) {
	if !server.Fetched() {
		fmt.Fprintf(s.out, "%-8s fetching the jars of version %s with Maven, once\n", server.Kind(), server.Kind().Version())
	}
}

func up(ctx context.Context, s settings, server *native.Server) error {
	before, err := server.State()
	if err != nil {
		return err
	}
	tellFetch(s, server)
	begin := time.Now()
	if err := server.Start(ctx); err != nil {
		return err
	}
	word := fmt.Sprintf("ready after %.1f s", time.Since(begin).Seconds())
	if before.Running {
		word = "runs already"
	}
	fmt.Fprintf(s.out, "%-8s %s: %s (%s)\n", server.Kind(), word, server.Addr(), server.Log())
	return nil
}

func down(_ context.Context, s settings, server *native.Server) error {
	return end(s, server, "stopped", server.Stop)
}

func kill(_ context.Context, s settings, server *native.Server) error {
	return end(s, server, "killed", server.Kill)
}

// end ends a server in one of the ways and says which.
func end(s settings, server *native.Server, word string, way func() error) error {
	state, err := server.State()
	if err != nil {
		return err
	}
	if err := way(); err != nil {
		return err
	}
	if !state.Running {
		word = "did not run"
	}
	fmt.Fprintf(s.out, "%-8s %s\n", server.Kind(), word)
	return nil
}

func status(s settings, server *native.Server) error {
	state, err := server.State()
	if err != nil {
		return err
	}
	if !state.Running {
		fmt.Fprintf(s.out, "%-8s does not run (%s)\n", server.Kind(), server.Dir())
		return nil
	}
	fmt.Fprintf(s.out, "%-8s %s runs as process %d: %s (%s)\n", server.Kind(), state.Version, state.PID, state.Ports, server.Log())
	return nil
}

// environment prints what a shell evaluates before go test.
func environment(s settings, server *native.Server) error {
	env, err := server.Env()
	if err != nil {
		return err
	}
	for _, variable := range env {
		name, value, _ := strings.Cut(variable, "=")
		fmt.Fprintf(s.out, "export %s='%s'\n", name, strings.ReplaceAll(value, "'", `'\''`))
	}
	return nil
}

func logs(s settings, server *native.Server) error {
	f, err := os.Open(server.Log())
	if err != nil {
		return fmt.Errorf("log of %s: %w", server.Kind(), err)
	}
	defer f.Close() // it is only read
	_, err = io.Copy(s.out, f)
	return err
}

// sums writes the checksums of what the poms name into the tree, which must be
// the working directory.
func sums(ctx context.Context, s settings, kinds []native.Kind) error {
	for _, k := range kinds {
		name := filepath.Join("infra", "native", string(k), "SHA256SUMS")
		var text strings.Builder
		if err := native.WriteSums(ctx, k, &text); err != nil {
			return err
		}
		if err := os.WriteFile(name, []byte(text.String()), 0o644); err != nil {
			return err
		}
		fmt.Fprintf(s.out, "%-8s %s: %d jars of version %s; read the difference\n", k, name, strings.Count(text.String(), "\n"), k.Version())
	}
	return nil
}
