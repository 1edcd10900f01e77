package elastic_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"fernweh/infra/elastic"
	"fernweh/infra/infratest"
)

// server is the address of the server to test on, which the environment names.
func server(t testing.TB) string {
	t.Helper()
	address := os.Getenv("FERNWEH_TEST_ELASTIC")
	if address == "" {
		t.Skip("FERNWEH_TEST_ELASTIC names no Elasticsearch, such as http://127.0.0.1:9200")
	}
	return address
}

// settings are those of a test: a prefix of its own on the server.
func settings(t testing.TB) elastic.Config {
	t.Helper()
	return elastic.Config{Addresses: []string{server(t)}, Prefix: fmt.Sprintf("t%016x", rand.Uint64())}
}

// open opens a store and removes its indices and templates in the end.
func open(t testing.TB, config elastic.Config) *elastic.Documents {
	t.Helper()
	d, err := elastic.Open(t.Context(), config, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := cmp.Or(elastic.Remove(ctx, config), d.Close()); err != nil {
			t.Error(err)
		}
	})
	return d
}

func TestDocuments(t *testing.T) {
	infratest.Documents(t, func(t *testing.T) infratest.DocumentStore { return open(t, settings(t)) })
}
