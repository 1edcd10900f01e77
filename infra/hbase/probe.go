package hbase

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/tsuna/gohbase/pb"
	"google.golang.org/protobuf/proto"
)

// A probe is bounded in each of its steps.
const (
	probeDial    = 2 * time.Second
	probeSession = 4 * time.Second
)

// probe says in one sentence why HBase can't be reached: gohbase would wait for
// ever, or end the process where a znode is empty.
func probe(ctx context.Context, cfg Config) error {
	address, err := dialAny(ctx, cfg.Quorum)
	if err != nil {
		return fmt.Errorf("no ZooKeeper of the quorum %s can be reached: %w", cfg.quorum(), err)
	}
	ctx, cancel := context.WithTimeout(ctx, probeSession)
	defer cancel()
	conn, events, err := zk.Connect(cfg.Quorum, 2*probeSession, zk.WithLogger(silent{}))
	if err != nil {
		return fmt.Errorf("connect to ZooKeeper %s: %w", cfg.quorum(), err)
	}
	defer conn.Close() // ends every question that is left behind, too
	if !hasSession(ctx, events) {
		return fmt.Errorf("%s accepts connections and does not answer like a ZooKeeper: "+
			"it hangs, or the quorum's port is another service's", address)
	}
	return answerBefore(ctx, func() error { return probeServers(ctx, conn, cfg) })
}

// silent is a log that nobody reads.
type silent struct{}

// Printf drops a line.
func (silent) Printf(string, ...any) {}

// dialAny connects to the first address that accepts.
func dialAny(ctx context.Context, addresses []string) (string, error) {
	var errs []error
	for _, address := range addresses {
		err := dial(ctx, address)
		if err == nil {
			return address, nil
		}
		errs = append(errs, err)
	}
	return "", errors.Join(errs...)
}

func dial(ctx context.Context, address string) error {
	d := net.Dialer{Timeout: probeDial}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return conn.Close()
}

// hasSession waits for ZooKeeper's word.
func hasSession(ctx context.Context, events <-chan zk.Event) bool {
	for {
		select {
		case e := <-events:
			if e.State == zk.StateHasSession {
				return true
			}
		case <-ctx.Done():
			return false
		}
	}
}

// answerBefore runs ask until ctx is done. What is left behind then ends when
// its connection is closed.
func answerBefore(ctx context.Context, ask func() error) error {
	answer := make(chan error, 1)
	go func() { answer <- ask() }()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return fmt.Errorf("ZooKeeper answers no more: %w", ctx.Err())
	}
}

// probeServers looks for the master and for the server of hbase:meta in
// ZooKeeper, and knocks at their doors.
func probeServers(ctx context.Context, conn *zk.Conn, cfg Config) error {
	there, _, err := conn.Exists(cfg.Root)
	if err != nil {
		return fmt.Errorf("look for znode %s: %w", cfg.Root, err)
	}
	if !there {
		return fmt.Errorf("ZooKeeper %s has no znode %s, where HBase would be registered; it has %s: "+
			"root has to be HBase's zookeeper.znode.parent", cfg.quorum(), cfg.Root, rootsOf(conn))
	}
	for _, server := range []struct {
		znode, what string
		read        func([]byte) (*pb.ServerName, error)
	}{
		{"master", "master", readMaster},
		{"meta-region-server", "server of hbase:meta", readMeta},
	} {
		znode := path.Join(cfg.Root, server.znode)
		b, _, err := conn.Get(znode)
		if errors.Is(err, zk.ErrNoNode) || err == nil && len(b) == 0 {
			return fmt.Errorf("no %s of HBase is registered in %s: it is down, or starting, or %s is not its znode",
				server.what, znode, cfg.Root)
		}
		if err != nil {
			return fmt.Errorf("read znode %s: %w", znode, err)
		}
		name, err := server.read(b)
		if err != nil {
			return fmt.Errorf("read znode %s: %w", znode, err)
		}
		address := net.JoinHostPort(name.GetHostName(), strconv.Itoa(int(name.GetPort())))
		if err := dial(ctx, address); err != nil {
			return fmt.Errorf("the %s of HBase is registered at %s, and does not answer there: %w", server.what, address, err)
		}
	}
	return nil
}

// rootsOf lists what lies at the top of ZooKeeper, for a sentence.
func rootsOf(conn *zk.Conn) string {
	children, _, err := conn.Children("/")
	if err != nil || len(children) == 0 {
		return "none"
	}
	slices.Sort(children)
	return "/" + strings.Join(children[:min(len(children), 10)], ", /")
}

func readMaster(b []byte) (*pb.ServerName, error) {
	var m pb.Master
	err := readZnode(b, &m)
	return m.GetMaster(), err
}

func readMeta(b []byte) (*pb.ServerName, error) {
	var m pb.MetaRegionServer
	err := readZnode(b, &m)
	return m.GetServer(), err
}

// readZnode reads what HBase writes: ff, the length of a header, the header,
// the letters PBUF, a message.
func readZnode(b []byte, m proto.Message) error {
	const magic = "PBUF"
	if len(b) < 5 || b[0] != 0xff {
		return errors.New("it was not written by HBase")
	}
	header := int64(binary.BigEndian.Uint32(b[1:]))
	if int64(len(b)) < 5+header+int64(len(magic)) {
		return io.ErrUnexpectedEOF
	}
	b = b[5+header:]
	if string(b[:len(magic)]) != magic {
		return errors.New("it was not written by an HBase that this program knows")
	}
	return proto.Unmarshal(b[len(magic):], m)
}
