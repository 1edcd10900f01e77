package hbase_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"

	"fernweh/infra/hbase"
)

// server is the quorum of the HBase that the tests of this package run on.
func server(t testing.TB) []string {
	t.Helper()
	quorum := os.Getenv("FERNWEH_TEST_HBASE")
	if quorum == "" {
		t.Skip("no HBase: FERNWEH_TEST_HBASE names no ZooKeeper (host:port, as 127.0.0.1:12181)")
	}
	return strings.Split(quorum, ",")
}

// run is the set of tables that the tests of this process share.
var run = sync.OnceValue(func() string { return fmt.Sprintf("test_%08x", rand.Uint32()) })

// config is how the tests reach their tables.
func config(t testing.TB) hbase.Config {
	return hbase.Config{Quorum: server(t), Prefix: run(), Regions: 4}
}

// views opens the tables of this run.
func views(t testing.TB) *hbase.Views {
	t.Helper()
	v, err := hbase.Open(t.Context(), config(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return v
}

// TestMain drops the tables of this run.
func TestMain(m *testing.M) {
	code := m.Run()
	if quorum := os.Getenv("FERNWEH_TEST_HBASE"); quorum != "" {
		err := hbase.Drop(context.Background(), hbase.Config{Quorum: strings.Split(quorum, ","), Prefix: run()})
		if err != nil {
			fmt.Fprintln(os.Stderr, "tables of the tests stay behind:", err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}
