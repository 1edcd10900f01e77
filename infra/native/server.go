package native

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Options say where a server lives. The zero value is the one of make
// servers-up, but bound to this process.
type Options struct {
	Dir      string // all that the server writes, and nothing of another one; data/servers/<kind> if empty
	Ports    Ports  // what is missing has its default; see FreePorts
	Cache    string // where artifacts lie; the environment's FERNWEH_NATIVE_CACHE or the user's cache if empty
	Detached bool   // go on when this process has ended
}

// A Server is one server with its folder and its ports, whether it runs or not.
// Its methods are for one goroutine at a time. Other processes may start and stop
// the same one: its folder says what runs.
type Server struct {
	kind     Kind
	dir      string
	ports    Ports
	cache    string
	detached bool
}

// New is the server of a folder, not started.
func New(k Kind, o Options) (*Server, error) {
	if o.Dir == "" {
		o.Dir = filepath.Join("data", "servers", string(k))
	}
	dir, err := filepath.Abs(o.Dir) // HBase refuses a relative one
	if err == nil && strings.ContainsAny(dir, ",:*") {
		err = errors.New("the servers take a comma, colon or asterisk for the end of a folder's name: choose another")
	}
	if err != nil {
		return nil, fmt.Errorf("folder %s of %s: %w", o.Dir, k, err)
	}
	ports, err := o.Ports.complete(k)
	if err != nil {
		return nil, err
	}
	if o.Cache == "" {
		if o.Cache, err = cacheDir(); err != nil {
			return nil, err
		}
	}
	return &Server{k, dir, ports, o.Cache, o.Detached}, nil
}

// Start starts a server and returns when it serves; see Server.Start.
func Start(ctx context.Context, k Kind, o Options) (*Server, error) {
	s, err := New(k, o)
	if err != nil {
		return nil, err
	}
	return s, s.Start(ctx)
}

// Kind is which of the servers this is.
func (s *Server) Kind() Kind { return s.kind }

// Dir is the folder of the server.
func (s *Server) Dir() string { return s.dir }

// Log is the file with what the server said since its last start; the one
// before lies beside it as server.log.1.
func (s *Server) Log() string { return logFile(s.dir) }

// Addr is where clients go: the brokers of Kafka, the ZooKeeper quorum of HBase,
// the URL of Elasticsearch.
func (s *Server) Addr() string {
	addr := s.addr(s.kind.trait().listeners[0].name)
	if s.kind == Elastic {
		return "http://" + addr
	}
	return addr
}

// addr is host:port of a listener.
func (s *Server) addr(listener string) string {
	return fmt.Sprintf("%s:%d", host, s.ports[listener])
}

// ErrOtherPorts says that the server of the folder runs, but not on the ports asked for.
var ErrOtherPorts = errors.New("it runs on other ports")

// Start makes the server serve, on the data that its folder holds. One that runs
// is left as it is. If it does not get there, nothing of the attempt goes on, and
// the error has the lines of the log that say why.
func (s *Server) Start(ctx context.Context) error {
	if err := s.start(ctx); err != nil {
		return fmt.Errorf("start %s in %s: %w", s.kind, s.dir, err)
	}
	return nil
}

func (s *Server) start(ctx context.Context) error {
	unlock, err := lock(ctx, s.dir)
	if err != nil {
		return err
	}
	defer unlock()
	n, alive, err := readNote(s.dir)
	if err != nil {
		return err
	}
	if alive {
		if n.Ports.String() != s.ports.String() {
			return fmt.Errorf("%w: process %d has %s", ErrOtherPorts, n.PID, n.Ports)
		}
		return s.await(ctx, n.process)
	}
	if err := s.ports.checkVacant(); err != nil {
		return err
	}
	a, err := install(ctx, s.kind, s.cache)
	if err != nil {
		return err
	}
	p, err := s.launch(ctx, a)
	if err != nil {
		return err
	}
	if err := s.await(ctx, p); err != nil {
		return errors.Join(err, p.kill(), os.Remove(noteFile(s.dir)))
	}
	return nil
}

// launch starts the process of the server and takes a note of it.
func (s *Server) launch(ctx context.Context, a artifact, flags ...string) (process, error) {
	if err := os.MkdirAll(s.tmp(), 0o755); err != nil {
		return process{}, err
	}
	if err := s.kind.trait().prepare(ctx, s, a); err != nil {
		return process{}, err
	}
	cmd, err := s.java(a, append(flags, s.kind.trait().arguments(s, a)...)...)
	if err != nil {
		return process{}, err
	}
	log, err := newLog(s.dir)
	if err != nil {
		return process{}, err
	}
	defer log.Close() // the server has its own
	cmd.Stdout, cmd.Stderr = log, log
	p, err := spawn(cmd, s.detached)
	if err != nil {
		return process{}, err
	}
	if err := (note{p, s.ports, s.kind.Version()}).write(s.dir); err != nil {
		return process{}, errors.Join(err, p.kill())
	}
	return p, nil
}

// tmp is where the server puts what it unpacks; /tmp is not littered.
func (s *Server) tmp() string { return filepath.Join(s.dir, "tmp") }

// java is a virtual machine in the server's folder. It compiles quickly instead of
// well, which halves the time of a start and costs throughput.
func (s *Server) java(a artifact, arguments ...string) (*exec.Cmd, error) {
	java, err := tool("java")
	if err != nil {
		return nil, err
	}
	if a.classes != "" {
		arguments = append([]string{"-XX:SharedArchiveFile=" + a.classes}, arguments...)
	}
	cmd := exec.Command(java, append([]string{
		"-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError", "-XX:-UsePerfData",
		"-Djava.awt.headless=true", "-Djava.net.preferIPv4Stack=true", "-Dfile.encoding=UTF-8", "-Djava.io.tmpdir=" + s.tmp(),
	}, arguments...)...)
	cmd.Dir = s.dir
	return cmd, nil
}

// await returns when the process serves, or with the reason why it does not.
func (s *Server) await(ctx context.Context, p process) error {
	limit := s.kind.trait().start
	patient, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	ended, gaveUp := false, false
	err := until(patient, func() bool {
		ended = !p.alive()
		gaveUp = said(s.dir, " ABORTING ") // HBase's process stays when its master has given up
		return ended || gaveUp || s.kind.trait().ready(patient, s)
	})
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("wait until it serves: %w", ctx.Err())
	case ended:
		return fmt.Errorf("it ended instead of serving; %s", s.lastWords())
	case gaveUp:
		return fmt.Errorf("it gave up; %s", s.lastWords())
	case err != nil:
		return fmt.Errorf("it does not serve after %s; %s", limit, s.lastWords())
	}
	return nil
}

// lastWords quotes the log of a start that failed.
func (s *Server) lastWords() string {
	b, err := os.ReadFile(s.Log())
	if err != nil {
		return fmt.Sprintf("its log can't be read: %v", err)
	}
	return fmt.Sprintf("%s says\n%s", s.Log(), excerpt(b))
}

// A State is what is known of a server from outside.
type State struct {
	Running bool
	PID     int   // of the process, if it runs
	Ports   Ports // that it runs on
	Version string
}

// State says whether the server runs, and as which process.
func (s *Server) State() (State, error) {
	n, alive, err := readNote(s.dir)
	if err != nil || !alive {
		return State{}, err
	}
	return State{true, n.PID, n.Ports, n.Version}, nil
}

// Stop lets the server end in order, and kills it if it has not within a
// minute. What does not run is stopped.
func (s *Server) Stop() error {
	return s.end("stop", func(p process) error { return p.stop(s.kind.trait().stop) })
}

// Kill kills the server's process, as a crash does, and returns when it is gone.
func (s *Server) Kill() error { return s.end("kill", process.kill) }

// end brings the process of the server to its end and removes the note of it.
func (s *Server) end(verb string, by func(process) error) error {
	if err := s.endLocked(by); err != nil {
		return fmt.Errorf("%s %s in %s: %w", verb, s.kind, s.dir, err)
	}
	return nil
}

func (s *Server) endLocked(by func(process) error) error {
	if _, err := os.Stat(s.dir); errors.Is(err, fs.ErrNotExist) {
		return nil // no folder is made to say that nothing runs in it
	}
	ctx, cancel := limited(s.Patience()) // somebody may be starting it
	defer cancel()
	unlock, err := lock(ctx, s.dir)
	if err != nil {
		return err
	}
	defer unlock()
	n, alive, err := readNote(s.dir)
	if err == nil && alive {
		err = by(n.process)
	}
	if err != nil {
		return err
	}
	return os.RemoveAll(noteFile(s.dir))
}

// Freeze stops the server's clock: its process stands still with all its
// connections open, as on a machine that hangs.
func (s *Server) Freeze() error {
	return s.interrupt("freeze", syscall.SIGSTOP, func(state byte) bool { return state == 'T' })
}

// Thaw lets a frozen server go on.
func (s *Server) Thaw() error {
	return s.interrupt("thaw", syscall.SIGCONT, func(state byte) bool { return state != 'T' })
}

// interrupt sends a signal and waits until the process is in the state that it brings.
func (s *Server) interrupt(verb string, by syscall.Signal, reached func(state byte) bool) error {
	n, alive, err := readNote(s.dir)
	if err == nil && !alive {
		err = errors.New("it does not run")
	}
	if err == nil {
		err = n.signal(by)
	}
	if err == nil {
		ctx, cancel := limited(dying)
		defer cancel()
		err = until(ctx, func() bool {
			state, _, gone := inspect(n.PID)
			return gone != nil || reached(state)
		})
	}
	if err != nil {
		return fmt.Errorf("%s %s in %s: %w", verb, s.kind, s.dir, err)
	}
	return nil
}

// Patience is how long Start waits for the server until it serves, the download
// of its artifacts not counted: ten times what an idle machine needs.
func (s *Server) Patience() time.Duration { return s.kind.trait().start }

// Env are the variables by which tests learn of the server.
func (s *Server) Env() ([]string, error) {
	env := []string{"FERNWEH_TEST_" + strings.ToUpper(string(s.kind)) + "=" + s.Addr()}
	if s.kind != Kafka {
		return env, nil
	}
	secret, err := s.Secret()
	return append(env,
		"FERNWEH_TEST_KAFKA_SASL="+secret.Addr,
		"FERNWEH_TEST_KAFKA_CA="+secret.CA,
		"FERNWEH_TEST_KAFKA_USER="+secret.User,
		"FERNWEH_TEST_KAFKA_PASSWORD_FILE="+secret.PasswordFile,
	), err
}
