package main_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"fernweh/infra/embedded"
	"fernweh/infra/kafka"
	"fernweh/schemas"
)

// TestCollectorStartsWhileKafkaIsAway starts it before there is a broker at the
// address that it was given. What it took then is in the log once there is one.
func TestCollectorStartsWhileKafkaIsAway(t *testing.T) {
	p := newPortal(t)
	broker, admin := door(t), door(t)
	p.args = []string{"ingest", "--data-dir", p.dir, "--ingest-addr", p.doors[0], "--kafka-brokers", broker,
		"--partitions", fmt.Sprint(partitions), "--admin-addr", admin}
	p.start()
	get := func(url string) string {
		resp, err := http.Get(url)
		if err != nil {
			return err.Error()
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return fmt.Sprint(resp.StatusCode, " ", string(b))
	}
	says := func(what, url string, parts ...string) {
		p.until(what, 30*time.Second, func() error {
			got := get(url)
			for _, part := range parts {
				if !strings.Contains(got, part) {
					return fmt.Errorf("%s answers %s, want %q in it", url, got, part)
				}
			}
			return nil
		})
	}
	says("the door is open", "http://"+p.doors[0]+"/healthz", `"status":"spooling"`)
	for i := range 3 {
		b, _, err := send("POST", "http://"+p.doors[0]+"/v1/batch",
			fmt.Appendf(nil, `{"batch":[{"type":"page","messageId":"%d","anonymousId":"mueller"}]}`, i), demo)
		if err != nil || !bytes.Contains(b, []byte(`"spooled"`)) {
			t.Fatalf("event %d: %s, %v, want it spooled", i, b, err)
		}
	}
	says("health says why", "http://"+p.doors[0]+"/healthz", broker, "nobody listens there", `"spoolRecords":3`)
	says("readiness says why", "http://"+admin+"/readyz", "200 ", "collector log is limited", "nobody listens there")

	_, port, _ := net.SplitHostPort(broker)
	n, _ := strconv.Atoi(port)
	dir := filepath.Join(t.TempDir(), "log")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	b, err := embedded.OpenBroker(dir, n)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	says("the spool is drained", "http://"+p.doors[0]+"/healthz", `"status":"ok"`, `"spoolRecords":0`)
	says("it is ready", "http://"+admin+"/readyz", "200 ok")
	tail := kafka.NewTail(kafka.Config{Brokers: []string{broker}, ClientID: "test"}, schemas.TopicEvents)
	defer tail.Close()
	ends, err := tail.Ends(t.Context())
	if err != nil || len(ends) != partitions || ends[schemas.Partition("mueller", partitions)] != 3 {
		t.Errorf("ends of the log: %v, %v, want 3 events of one device in %d partitions", ends, err, partitions)
	}
}
