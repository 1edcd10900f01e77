package kafka_test

import (
	"fmt"
	"testing"
	"time"

	"fernweh/infra/kafka"
	"fernweh/schemas"
)

// TestTwoPortalsShareBrokers gives each portal topics and groups of its own.
func TestTwoPortalsShareBrokers(t *testing.T) {
	cfg := broker(t)
	other := cfg
	other.Prefix = "coast"
	if topic, group := other.Topic(schemas.TopicEvents), other.Group("fernweh-speed"); topic != "coast.events" || group != "coast-speed" {
		t.Errorf("names of the portal coast: got topic %s and group %s, want coast.events and coast-speed", topic, group)
	}
	if err := kafka.EnsureTopics(t.Context(), other, schemas.Topics(partitions), 1); err != nil {
		t.Fatal(err)
	}
	if _, err := producer(t, other).Append(t.Context(), []*schemas.Event{page("mueller", 1)}); err != nil {
		t.Fatal(err)
	}
	seen := make(chan string, 1)
	go readInto(t.Context(), other, seen) // ends with the test
	select {
	case id := <-seen:
		if id != "mueller-1" {
			t.Errorf("the portal coast read %s, want its own event mueller-1", id)
		}
	case <-time.After(20 * time.Second):
		t.Error("the portal coast did not read its event")
	}
	for _, c := range []kafka.Config{cfg, other} {
		tail := kafka.NewTail(c, schemas.TopicEvents)
		ends, err := tail.Ends(t.Context())
		tail.Close()
		if sum := fmt.Sprint(ends); err != nil || (sum == "[0 0 0]") != (c.Prefix == "") {
			t.Errorf("prefix %q: the event topic ends at %s, %v, want one event with the portal coast and none beside it", c.Prefix, sum, err)
		}
	}
}
