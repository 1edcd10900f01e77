package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A gate is the broker's listener: what comes through it is flushed before the
// answer goes out.
type gate struct {
	net.Listener
	flusher *flusher
}

// Accept waits for the next client.
func (g *gate) Accept() (net.Conn, error) {
	conn, err := g.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &gateConn{Conn: conn, flusher: g.flusher}, nil
}

// A gateConn looks at the requests of one client as far as it must, and holds
// every answer back until what it tells of is on the disk.
type gateConn struct {
	net.Conn
	flusher *flusher

	head [6]byte // of the request that is read: its length, and which it is
	have int     // bytes of head
	left int64   // bytes of the request that are still to come

	mu      sync.Mutex
	changes []bool // guarded by mu: of each request without an answer, whether it may change topics. One that wants none stays: then a change ends late
}

// maxRequest is far above what the clients send; the broker would allocate any length.
const maxRequest = 128 << 20

// changesTopics are the requests that rewrite topics.json.
func changesTopics(key kmsg.Key) bool {
	switch key {
	case kmsg.CreateTopics, kmsg.DeleteTopics, kmsg.CreatePartitions, kmsg.AlterConfigs, kmsg.IncrementalAlterConfigs:
		return true
	}
	return false
}

// Read reads requests for the broker.
func (c *gateConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	for b := p[:n]; len(b) > 0; {
		if c.left > 0 {
			skip := min(c.left, int64(len(b)))
			b, c.left = b[skip:], c.left-skip
			continue
		}
		took := copy(c.head[c.have:], b)
		b, c.have = b[took:], c.have+took
		if c.have == len(c.head) {
			c.have = 0
			if err := c.request(); err != nil {
				return 0, err
			}
		}
	}
	return n, err
}

// request is called before the broker sees a request.
func (c *gateConn) request() error {
	length, key := int64(binary.BigEndian.Uint32(c.head[:])), int16(binary.BigEndian.Uint16(c.head[4:]))
	if length < 8 || length > maxRequest || kmsg.RequestForKey(key) == nil {
		return fmt.Errorf("a request of %d bytes with the key %d is none of Kafka's", length, key)
	}
	if kmsg.Key(key) == kmsg.DeleteRecords {
		return errors.New("the embedded log deletes no records") // what lies before the offset would be missing at the next start
	}
	c.left = length - 2
	change := changesTopics(kmsg.Key(key))
	c.mu.Lock()
	c.changes = append(c.changes, change)
	c.mu.Unlock()
	if change {
		c.flusher.change(+1)
		return c.flusher.flush()
	}
	select {
	case <-c.flusher.broken:
		return c.flusher.lost
	default:
		return nil
	}
}

// Write writes one answer of the broker, as soon as it is true.
func (c *gateConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	change := len(c.changes) > 0 && c.changes[0]
	c.changes = c.changes[min(1, len(c.changes)):]
	c.mu.Unlock()
	if change {
		c.flusher.change(-1)
	}
	if err := c.flusher.flush(); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}
