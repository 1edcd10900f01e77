package kafka

import (
	"sync"
	"testing"

	"github.com/IBM/sarama"
)

// TestClientClosedFromManySides gives up what is being connected as a producer
// does: who dials closes the client, and so does who no longer wants it.
func TestClientClosedFromManySides(t *testing.T) {
	config := sarama.NewConfig()
	config.Metadata.Full = false // nobody is asked
	for range 500 {
		c, err := newClient([]string{"127.0.0.1:9"}, config)
		if err != nil {
			t.Fatal(err)
		}
		var sides sync.WaitGroup
		begin := make(chan struct{})
		for range 8 {
			sides.Go(func() {
				<-begin
				if err := c.Close(); err != nil {
					t.Errorf("close: got %v", err)
				}
			})
		}
		close(begin)
		sides.Wait()
	}
}
