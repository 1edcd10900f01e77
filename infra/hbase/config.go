package hbase

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/tsuna/gohbase/hrpc"

	"fernweh/schemas"
)

// Config says which HBase to talk to and how. Only Quorum has no default.
type Config struct {
	Quorum     []string      // addresses host:port of the ZooKeeper that HBase registers in
	Root       string        // HBase's znode there (zookeeper.znode.parent); default /hbase
	Prefix     string        // name of the set of tables: a rebuild writes another one beside it; default fernweh
	Regions    int           // that a salted table is split into when it is made; default 16
	Durability string        // of a write: sync (in the memory of all replicas of the log) or fsync (on their disks, slower); default sync
	Deadline   time.Duration // for one attempt; default 5 s, below which a loaded server is given up too soon
	Patience   time.Duration // for all attempts of one call, if its context does not end before; default 1 min, a restart of a server
	InFlight   int           // rows under way at once, a large one counting for several; who wants more waits; default 512
}

// Durabilities of a write.
const (
	DurabilitySync  = "sync"
	DurabilityFsync = "fsync"
)

// withDefaults fills in what was left out.
func (c Config) withDefaults() Config {
	c.Root = cmp.Or(c.Root, "/hbase")
	c.Prefix = cmp.Or(c.Prefix, "fernweh")
	c.Regions = cmp.Or(c.Regions, 16)
	c.Durability = cmp.Or(c.Durability, DurabilitySync)
	c.Deadline = cmp.Or(c.Deadline, 5*time.Second)
	c.Patience = cmp.Or(c.Patience, time.Minute)
	c.InFlight = cmp.Or(c.InFlight, 512)
	return c
}

// prefixes are the names that HBase takes for a table, and that leave no doubt
// which set a table belongs to.
var prefixes = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$`)

// check finds what no server needs to be asked about.
func (c Config) check() error {
	if len(c.Quorum) == 0 {
		return errors.New("the quorum is empty: it takes the addresses host:port of HBase's ZooKeeper")
	}
	for _, address := range c.Quorum {
		host, port, err := net.SplitHostPort(address)
		if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || n == 0 || host == "" {
			return fmt.Errorf("quorum address %q is not host:port", address)
		}
	}
	switch {
	case !strings.HasPrefix(c.Root, "/") || path.Clean(c.Root) != c.Root:
		return fmt.Errorf("root znode %q is no path like /hbase", c.Root)
	case !prefixes.MatchString(c.Prefix):
		return fmt.Errorf("prefix %q can't begin a table's name: it takes letters, digits, and then also _ . -, at most 100", c.Prefix)
	case c.Regions < 1 || c.Regions > schemas.Salts:
		return fmt.Errorf("%d regions a salted table: it takes 1 to %d, the number of salts", c.Regions, schemas.Salts)
	case c.Durability != DurabilitySync && c.Durability != DurabilityFsync:
		return fmt.Errorf("durability %q is neither %s nor %s", c.Durability, DurabilitySync, DurabilityFsync)
	case c.Deadline < 0 || c.Patience < 0 || c.InFlight < 0:
		return errors.New("deadline, patience and rows in flight can't be negative")
	}
	return nil
}

// quorum is how gohbase wants it.
func (c Config) quorum() string { return strings.Join(c.Quorum, ",") }

// table is the name of a table in HBase.
func (c Config) table(t schemas.Table) string { return c.Prefix + "_" + string(t) }

// durability is how gohbase names it.
func (c Config) durability() hrpc.DurabilityType {
	if c.Durability == DurabilityFsync {
		return hrpc.FsyncWal
	}
	return hrpc.SyncWal
}
