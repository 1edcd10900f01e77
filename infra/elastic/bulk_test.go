package elastic_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"fernweh/infra/elastic"
	"fernweh/schemas"
)

// A script answers bulk requests one after the other, and the last of it for
// ever; everything else it takes kindly.
type script struct {
	mu      sync.Mutex
	answers []answer
	bodies  []string // of the bulk requests that came
}

// An answer is what a server says to a bulk request: nothing at all if status is 0.
type answer struct {
	status int
	body   string
}

// items is the answer to the documents of a bulk request, one by one.
func items(items ...string) answer {
	for i, item := range items {
		items[i] = `{"index":` + item + `}`
	}
	return answer{200, `{"items":[` + strings.Join(items, ",") + `]}`}
}

// What may become of a document.
const (
	created  = `{"status":201}`
	conflict = `{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"current version [9] is higher"}}`
	busy     = `{"status":429,"error":{"type":"es_rejected_execution_exception","reason":"queue is full"}}`
	blocked  = `{"status":403,"error":{"type":"cluster_block_exception","reason":"index blocked by: [FORBIDDEN/8/index write (api)]"}}`
	misfit   = `{"status":400,"error":{"type":"document_parsing_exception","reason":"[1:24] failed to parse field [views] of type [long]","caused_by":{"reason":"out of range"}}}`
)

// ServeHTTP plays the server.
func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Elastic-Product", "Elasticsearch")
	if !strings.HasSuffix(r.URL.Path, "/_bulk") {
		_, _ = io.WriteString(w, "{}") // the client is gone if this fails
		return
	}
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	next := s.answers[min(len(s.bodies), len(s.answers)-1)]
	s.bodies = append(s.bodies, string(body))
	s.mu.Unlock()
	if next.status == 0 {
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(next.status)
	_, _ = io.WriteString(w, next.body)
}

// play opens a store on a script.
func play(t *testing.T, r prometheus.Registerer, answers ...answer) (*elastic.Documents, *script) {
	t.Helper()
	s := &script{answers: answers}
	d, err := elastic.Open(t.Context(), elastic.Config{Addresses: []string{serve(t, s)}, Patience: 2 * time.Second}, r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d, s
}

// seen is a visitor with an id and a version.
func seen(device string, version int64) schemas.Document {
	return schemas.VisitorDocument{Device: device, State: schemas.StateLive, Generation: 1, Views: version}.
		Document(schemas.IndexVisitorsBatch(1), version)
}

func TestEachDocumentsAnswerIsLookedAt(t *testing.T) {
	three := []schemas.Document{seen("a", 1), seen("b", 1), seen("c", 1)}
	tests := []struct {
		name    string
		answers []answer
		refused string // ids
		says    string // of the error; empty: none
		sent    []string
	}{
		{"all taken", []answer{items(created, created, created)}, "", "", []string{"abc"}},
		{"older is no error", []answer{items(created, conflict, conflict)}, "", "", []string{"abc"}},
		{"only who was too many is sent again", []answer{items(busy, created, busy), items(busy, created), items(created)}, "", "", []string{"abc", "ac", "a"}},
		{"who can never be written is named, and not sent again", []answer{items(created, misfit, busy), items(created)}, "b",
			`field "views": document_parsing_exception`, []string{"abc", "c"}},
		{"a lost answer", []answer{{}, items(created, created, created)}, "", "", []string{"abc", "abc"}},
		{"a server that is too busy", []answer{{429, `{"error":{"type":"circuit_breaking_exception","reason":"too large"}}`}, {503, ""}, items(created, created, created)},
			"", "", []string{"abc", "abc", "abc"}},
		{"an answer that lacks a document", []answer{items(created, created), items(created, created, created)}, "", "", []string{"abc", "abc"}},
		{"an answer cut off", []answer{{200, `{"items":[{"index":{"sta`}, items(created, created, created)}, "", "", []string{"abc", "abc"}},
		{"credentials taken away", []answer{{401, `{"error":{"type":"security_exception","reason":"expired"}}`}}, "", "refuses the credentials", []string{"abc"}},
		{"writes forbidden", []answer{items(created, blocked, created)}, "", "takes no writes", []string{"abc"}},
		{"too long", []answer{{413, ""}}, "", "http.max_content_length", []string{"abc"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, s := play(t, nil, tt.answers...)
			err := d.Write(t.Context(), three...)
			if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got error %v, want one that says %q", err, tt.says)
			}
			var refused string
			for _, r := range schemas.RefusedIn(err) {
				refused += r.ID
			}
			if refused != tt.refused {
				t.Errorf("refused are %q, want %q", refused, tt.refused)
			}
			if got := fmt.Sprint(s.devices()); got != fmt.Sprint(tt.sent) {
				t.Errorf("sent were %s, want %s", got, tt.sent)
			}
		})
	}
}

// devices are the ids in each bulk request.
func (s *script) devices() (all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, body := range s.bodies {
		var ids string
		for part := range strings.SplitSeq(body, `"_id":"`) {
			if !strings.HasPrefix(part, "{") {
				ids += part[:1]
			}
		}
		all = append(all, ids)
	}
	return all
}

func TestPatienceEnds(t *testing.T) {
	d, s := play(t, nil, items(busy))
	err := d.Write(t.Context(), seen("a", 1))
	if err == nil || !strings.Contains(err.Error(), "queue is full") || !strings.Contains(err.Error(), "tried for 2s") {
		t.Errorf("got %v, want the server's word and how long it was tried", err)
	}
	if n := len(s.devices()); n < 3 {
		t.Errorf("it was tried %d times in two seconds, want some more", n)
	}
}

func TestACallEndsWithItsContext(t *testing.T) {
	d, _ := play(t, nil, items(busy))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := d.Write(ctx, seen("a", 1)); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "queue is full") {
		t.Errorf("got %v, want %v and why it was not done by then", err, context.DeadlineExceeded)
	}
}

// TestQueueIsBounded: no more requests are under way than there are workers,
// however many callers wait.
func TestQueueIsBounded(t *testing.T) {
	const workers, callers = 2, 8
	var mu sync.Mutex
	now, most := 0, 0
	release := make(chan struct{})
	address := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Elastic-Product", "Elasticsearch")
		if !strings.HasSuffix(r.URL.Path, "/_bulk") {
			_, _ = io.WriteString(w, "{}")
			return
		}
		mu.Lock()
		now++
		if most = max(most, now); now == workers {
			select {
			case <-release:
			default:
				close(release) // so many came at once; were there to be more, they would have come by the end
			}
		}
		mu.Unlock()
		<-release
		mu.Lock()
		now--
		mu.Unlock()
		_, _ = io.WriteString(w, `{"items":[{"index":{"status":201}}]}`)
	}))
	d, err := elastic.Open(t.Context(), elastic.Config{Addresses: []string{address}, Workers: workers}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var done sync.WaitGroup
	for i := range callers {
		done.Go(func() {
			if err := d.Write(t.Context(), seen(fmt.Sprint(i), 1)); err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
	if most != workers {
		t.Errorf("%d requests were under way at once, want %d", most, workers)
	}
}

func TestMetricsSayWhatBecameOfDocuments(t *testing.T) {
	r := prometheus.NewRegistry()
	d, _ := play(t, r, items(created, conflict, busy, misfit), items(created))
	if err := d.Write(t.Context(), seen("a", 1), seen("b", 1), seen("c", 1), seen("d", 1)); err == nil {
		t.Fatal("a refused document is no error")
	}
	want := map[string]float64{
		"fernweh_elastic_documents_total older": 1, "fernweh_elastic_documents_total refused": 1,
		"fernweh_elastic_documents_total retried": 1, "fernweh_elastic_documents_total written": 2,
		"fernweh_elastic_retries_total index": 1, "fernweh_elastic_queue_documents": 0,
	}
	got := gather(t, r)
	for name, n := range want {
		if there, ok := got[name]; !ok || there != n {
			t.Errorf("metric %s is %g (there: %t), want %g", name, there, ok, n)
		}
	}
}

// gather reads counters and gauges, by name and label.
func gather(t *testing.T, r prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, label := range m.GetLabel() {
				name += " " + label.GetValue()
			}
			all[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return all
}
