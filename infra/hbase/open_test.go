package hbase_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/tsuna/gohbase"
	"github.com/tsuna/gohbase/hrpc"

	"fernweh/infra/hbase"
	"fernweh/schemas"
)

// refuses expects that the views can't be opened, and an error that says each
// of the words.
func refuses(t *testing.T, cfg hbase.Config, words ...string) {
	t.Helper()
	begun := time.Now()
	v, err := hbase.Open(t.Context(), cfg, nil)
	if err == nil {
		v.Close()
		t.Fatal("the views were opened, want an error")
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("got error %q, want it to say %q", err, word)
		}
	}
	if strings.Contains(err.Error(), "\n\tat ") {
		t.Errorf("got a stack trace: %q", err)
	}
	t.Logf("after %s: %v", time.Since(begun).Round(time.Millisecond), err)
}

// TestWrongSettings: what can be known without a server.
func TestWrongSettings(t *testing.T) {
	tests := []struct {
		name string
		set  func(*hbase.Config)
		word string
	}{
		{"no quorum", func(c *hbase.Config) { c.Quorum = nil }, "quorum is empty"},
		{"address without a port", func(c *hbase.Config) { c.Quorum = []string{"zookeeper"} }, `"zookeeper" is not host:port`},
		{"port without an address", func(c *hbase.Config) { c.Quorum = []string{":2181"} }, `":2181" is not host:port`},
		{"port too high", func(c *hbase.Config) { c.Quorum = []string{"zookeeper:70000"} }, `"zookeeper:70000" is not host:port`},
		{"relative root", func(c *hbase.Config) { c.Root = "hbase" }, `"hbase" is no path`},
		{"prefix of a namespace", func(c *hbase.Config) { c.Prefix = "ns:fernweh" }, `"ns:fernweh"`},
		{"prefix with a space", func(c *hbase.Config) { c.Prefix = "fern weh" }, `"fern weh"`},
		{"prefix with an umlaut", func(c *hbase.Config) { c.Prefix = "müller" }, `"müller"`},
		{"too many regions", func(c *hbase.Config) { c.Regions = 257 }, "1 to 256"},
		{"negative regions", func(c *hbase.Config) { c.Regions = -1 }, "1 to 256"},
		{"unknown durability", func(c *hbase.Config) { c.Durability = "async" }, "neither sync nor fsync"},
		{"negative deadline", func(c *hbase.Config) { c.Deadline = -time.Second }, "negative"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cfg := hbase.Config{Quorum: []string{"127.0.0.1:1"}}
			test.set(&cfg)
			refuses(t, cfg, test.word)
		})
	}
}

// listen accepts connections and hands them to serve.
func listen(t *testing.T, serve func(net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
			go serve(conn)
		}
	}()
	return l.Addr().String()
}

func TestWrongServer(t *testing.T) {
	t.Parallel()
	t.Run("nobody listens", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		refuses(t, hbase.Config{Quorum: []string{l.Addr().String()}}, "no ZooKeeper", "can be reached", l.Addr().String())
	})
	t.Run("no such host", func(t *testing.T) {
		refuses(t, hbase.Config{Quorum: []string{"zookeeper.invalid:2181"}}, "no ZooKeeper", "zookeeper.invalid")
	})
	t.Run("it accepts and says nothing", func(t *testing.T) {
		t.Parallel()
		address := listen(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
		refuses(t, hbase.Config{Quorum: []string{address}}, address, "does not answer like a ZooKeeper")
	})
	t.Run("it hangs up", func(t *testing.T) {
		t.Parallel()
		address := listen(t, func(conn net.Conn) { conn.Close() })
		refuses(t, hbase.Config{Quorum: []string{address}}, address, "does not answer like a ZooKeeper")
	})
	t.Run("a web server", func(t *testing.T) {
		t.Parallel()
		s := httptest.NewServer(http.NotFoundHandler())
		t.Cleanup(s.Close)
		address := s.Listener.Addr().String()
		refuses(t, hbase.Config{Quorum: []string{address}}, address, "does not answer like a ZooKeeper")
	})
	t.Run("the caller has no time", func(t *testing.T) {
		address := listen(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if v, err := hbase.Open(ctx, hbase.Config{Quorum: []string{address}}, nil); err == nil {
			v.Close()
			t.Error("the views were opened, want an error")
		}
	})
}

// zookeeper is a session with the server's ZooKeeper.
func zookeeper(t *testing.T) *zk.Conn {
	t.Helper()
	conn, _, err := zk.Connect(server(t), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

// root makes a znode with children of the given content, as another HBase's
// might be, or a broken one's.
func root(t *testing.T, children map[string][]byte) string {
	t.Helper()
	conn, path := zookeeper(t), "/"+run()+strings.NewReplacer("/", "_", " ", "_").Replace(t.Name())
	create := func(path string, b []byte) {
		if _, err := conn.Create(path, b, 0, zk.WorldACL(zk.PermAll)); err != nil {
			t.Fatalf("create znode %s: %v", path, err)
		}
		t.Cleanup(func() {
			if err := conn.Delete(path, -1); err != nil {
				t.Errorf("delete znode %s: %v", path, err)
			}
		})
	}
	create(path, nil)
	for name, b := range children {
		create(path+"/"+name, b)
	}
	return path
}

func TestWrongRoot(t *testing.T) {
	cfg := config(t)
	t.Run("it is not there", func(t *testing.T) {
		cfg.Root = "/hbase-unsecure"
		refuses(t, cfg, "no znode /hbase-unsecure", "/hbase", "zookeeper.znode.parent")
	})
	t.Run("it is another service's", func(t *testing.T) {
		cfg.Root = root(t, nil)
		refuses(t, cfg, "no master", cfg.Root+"/master")
	})
	t.Run("its master has left an empty znode", func(t *testing.T) {
		cfg.Root = root(t, map[string][]byte{"master": nil})
		refuses(t, cfg, "no master", cfg.Root+"/master")
	})
	t.Run("its master's znode holds something else", func(t *testing.T) {
		cfg.Root = root(t, map[string][]byte{"master": []byte("{}")})
		refuses(t, cfg, cfg.Root+"/master", "not written by HBase")
	})
	t.Run("its master is gone", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		l.Close()
		// Master{master: ServerName{host_name, port}}
		name := append([]byte("\x0a\x09127.0.0.1\x10"), byte(port&0x7f|0x80), byte(port>>7&0x7f|0x80), byte(port>>14))
		b := append([]byte("\xff\x00\x00\x00\x01xPBUF\x0a"), byte(len(name)))
		cfg.Root = root(t, map[string][]byte{"master": append(b, name...)})
		refuses(t, cfg, "master of HBase is registered at "+l.Addr().String(), "does not answer")
	})
	t.Run("the port is HBase's own and not ZooKeeper's", func(t *testing.T) {
		conn := zookeeper(t)
		b, _, err := conn.Get("/hbase/master")
		if err != nil {
			t.Skipf("HBase is not registered in /hbase: %v", err)
		}
		host, port, ok := hbase.MasterAddress(b)
		if !ok {
			t.Fatalf("znode /hbase/master: %q", b)
		}
		refuses(t, hbase.Config{Quorum: []string{net.JoinHostPort(host, port)}}, "does not answer like a ZooKeeper")
	})
}

// wrongly makes a table otherwise than it should be, before the views do.
func wrongly(t *testing.T, prefix string, table schemas.Table, change func(families map[string]map[string]string)) {
	t.Helper()
	families := hbase.Families(table)
	change(families)
	admin := gohbase.NewAdminClient(strings.Join(server(t), ","))
	if err := admin.CreateTable(hrpc.NewCreateTable(t.Context(), []byte(prefix+"_"+string(table)), families)); err != nil {
		t.Fatal(err)
	}
}

// TestWrongTable: tables that another program has made, or another release.
func TestWrongTable(t *testing.T) {
	cfg := config(t)
	cfg.Prefix = run() + "_wrong"
	t.Cleanup(func() {
		if err := hbase.Drop(context.WithoutCancel(t.Context()), cfg); err != nil {
			t.Error(err)
		}
	})
	wrongly(t, cfg.Prefix, schemas.TableVisitors, func(families map[string]map[string]string) {
		delete(families, "s")
		families["b"]["VERSIONS"] = "3"
		families["d"]["TTL"] = "86400"
	})
	wrongly(t, cfg.Prefix, schemas.TableMeta, func(families map[string]map[string]string) {
		families["v"]["KEEP_DELETED_CELLS"] = "TRUE"
		families["v"]["MIN_VERSIONS"] = "1"
		families["v"]["VERSIONS"] = "2"
	})
	wrongly(t, cfg.Prefix, schemas.TablePersons, func(families map[string]map[string]string) {
		families["l"]["DATA_BLOCK_ENCODING"] = "NONE"
	})
	visitors, meta := "table "+cfg.Prefix+"_visitors", "table "+cfg.Prefix+"_meta"
	refuses(t, cfg,
		visitors+" has no family s",
		visitors+", family b: VERSIONS is 3, it should be 1",
		visitors+", family d: TTL is 86400, it should be 2147483647",
		meta+", family v: KEEP_DELETED_CELLS is TRUE, it should be false",
		meta+", family v: MIN_VERSIONS is 1, it should be 0",
		meta+", family v: VERSIONS is 2, it should be 1",
		"table "+cfg.Prefix+"_persons, family l: DATA_BLOCK_ENCODING is NONE, it should be FAST_DIFF")
}

// TestDisabledTable: HBase holds it and does not serve it.
func TestDisabledTable(t *testing.T) {
	cfg := config(t)
	cfg.Prefix = run() + "_disabled"
	t.Cleanup(func() {
		if err := hbase.Drop(context.WithoutCancel(t.Context()), cfg); err != nil {
			t.Error(err)
		}
	})
	v, err := hbase.Open(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	name := cfg.Prefix + "_" + string(schemas.TableLists)
	admin := gohbase.NewAdminClient(strings.Join(cfg.Quorum, ","))
	if err := admin.DisableTable(hrpc.NewDisableTable(t.Context(), []byte(name))); err != nil {
		t.Fatal(err)
	}
	refuses(t, cfg, "table "+name+" is disabled", "enable '"+name+"'")
}

// TestOpenTwice: several processes start at once on an empty HBase.
func TestOpenTwice(t *testing.T) {
	cfg := config(t)
	cfg.Prefix = run() + "_twice"
	t.Cleanup(func() {
		if err := hbase.Drop(context.WithoutCancel(t.Context()), cfg); err != nil {
			t.Error(err)
		}
	})
	errs := make(chan error)
	for range 3 {
		go func() {
			v, err := hbase.Open(t.Context(), cfg, nil)
			if err == nil {
				err = v.Close()
			}
			errs <- err
		}()
	}
	for range 3 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
