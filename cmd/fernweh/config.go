package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"text/tabwriter"
	"time"

	"fernweh/infra/kafka"
	"fernweh/serving/access"
)

// A config is every setting in force.
type config struct {
	File     string // the YAML file that was read; empty: none
	DataDir  string
	Real     bool // the servers of make servers-up
	Zone     *time.Location
	LogLevel slog.Level
	Views    string // name of the set of tables and indices
	Admin    string // where this process tells how it is; empty: nowhere
	Hosts    access.Hosts
	Log      logConfig
	HBase    hbaseConfig
	Elastic  elasticConfig
	Ingest   ingestConfig
	Speed    speedConfig
	Batch    batchConfig
	Serve    serveConfig
	Erase    eraseConfig
	Repair   repairConfig
	Client   clientConfig

	Args    []string // what stood on the command line besides settings
	inForce []choice // one a setting, in the order of the table
}

// A logConfig says where the log is and how wide.
type logConfig struct {
	Brokers    []string // host:port; none: the broker in this process
	BrokerPort int      // of the broker in this process; 0: any free one
	Partitions int32
	Prefix     string // of the topics' names
	Replicas   int    // of each topic
	Gaps       []kafka.Gap
	SASL       saslConfig
	TLS        tlsConfig
}

// A saslConfig is how this process proves to Kafka who it is; no mechanism: not at all.
type saslConfig struct{ Mechanism, User, Password string }

// A tlsConfig is how this process and Kafka trust each other. CA, Cert and Key
// are names of PEM files; empty: the system's authorities, no certificate.
type tlsConfig struct {
	On            bool
	CA, Cert, Key string
	ServerName    string
}

// An hbaseConfig says where the views are.
type hbaseConfig struct {
	Quorum []string // ZooKeeper, host:port; none: Pebble in the data directory
	Root   string   // znode
}

// An elasticConfig says where the documents are.
type elasticConfig struct {
	URLs             []string // none: Bleve in the data directory
	User, Password   string
	APIKey           string
	CA               string // name of a PEM file; empty: the system's authorities
	Shards, Replicas int
}

// An ingestConfig is what the collector takes, and from whom.
type ingestConfig struct {
	Addr          string
	WriteKeys     map[string]digest // by source
	AssumeConsent bool
	Origins       []string       // browsers' origins; "*": any
	Proxies       []netip.Prefix // whose X-Forwarded-For is believed
	SpoolSize     int64          // bytes
	MaxBody       int64          // bytes
}

// A digest is the SHA-256 of a write key: the key itself is nowhere stored.
type digest = [sha256.Size]byte

// A speedConfig trades the age of the views against the number of writes.
type speedConfig struct {
	FlushDelay time.Duration
	Batch      int // events
	Visitors   int // devices held in memory
}

// A batchConfig is when the batch layer runs, on what, and with what.
type batchConfig struct {
	ArchiveRows int
	ArchiveFile int64
	ArchiveHeld int64
	Segments    int
	Restarts    int
	Seed        uint64
	Memory      int64 // bytes
	Schedule    []clock
	Retry       time.Duration // of a scheduled run, the first; 0: none
	Quiet       [2]clock      // no run is tried again from the first to the second; equal: always
}

// A serveConfig is where answers are given, and to whom.
type serveConfig struct {
	Addr string
	Keys map[string]digest // administrators' keys by name, besides those of the data directory
	Key  string            // of who asks a running process from the command line
}

// An eraseConfig is who is to be forgotten.
type eraseConfig struct {
	Device, Customer string
	Force            bool // also a device that the views do not know
}

// A repairConfig is how far a repair goes.
type repairConfig struct {
	Dry bool // counts, and appends nothing
}

// A clientConfig is for the commands that come through the collector's door
// like any website: simulate and replay.
type clientConfig struct {
	URL      string
	WriteKey string
	Format   string // of the file to replay

	Visitors int
	Days     int
	Seed     uint64
	Rate     int    // events a second; 0: as fast as possible
	Truth    string // file for the hidden truth; empty: none
}

// demoKey is the SHA-256 of "demo", the write key of a laptop.
const demoKey = "2a97516c354b68848cdbd8f54a226a0a55b21ed138e207ad6c5cbb9c00aa5aea"

// Commands by the settings that concern them.
const (
	layers    = "up ingest speed archive batch index serve rebuild erase repair"
	clients   = "simulate replay"
	all       = layers + " " + clients + " key"
	keeping   = layers + " key"
	asking    = "batch rebuild erase"
	serving   = "up serve"
	ingesting = "up ingest"
	speeding  = "up speed"
	archiving = "up archive batch rebuild"
	batching  = "up batch rebuild"
	viewing   = "up speed batch index serve rebuild erase"
	erasing   = "erase"
	indexing  = "up index rebuild"
	answering = "up serve batch rebuild"
	timed     = "up speed batch serve simulate"
	simulated = "simulate"
	replayed  = "replay"
)

// realDefaults are the defaults of settings where real is set.
func realDefaults() map[string]string {
	return map[string]string{
		"data-dir": "data/real", "kafka-brokers": "127.0.0.1:29092", "hbase-quorum": "127.0.0.1:22181",
		"elastic-urls": "http://127.0.0.1:29200",
	}
}

// settings is every setting of the program, once: its name as a flag and in the
// YAML file (as FERNWEH_NAME_IN_CAPITALS in the environment), its default, what
// it is for, what it may be, and which commands it concerns.
func (c *config) settings() []setting {
	return []setting{
		{"config", "", "YAML file of settings; flags and environment go before it", text(&c.File), all},
		{"log-level", "info", "least level that is logged", level(&c.LogLevel), all},
		{"timezone", "Europe/Berlin", "the portal's time zone: days of reports, hours of the schedule", zone(&c.Zone), timed},
		{"data-dir", "data", "directory of everything durable that this process keeps itself", filled(&c.DataDir), keeping},

		{"real", "false", "take the servers that make servers-up starts, and a data directory beside the embedded one's",
			yesNo(&c.Real), layers},
		{"views", "fernweh", "name of the set of tables and indices: a rebuild makes another one",
			viewsName(&c.Views), viewing},
		{"admin-addr", "", "where this process answers /healthz, /readyz and /metrics; empty: nowhere",
			addressOrNone(&c.Admin), layers},
		{"allowed-hosts", "", "hosts by which other machines ask serve-addr and admin-addr, besides their own addresses; of any other there is no answer",
			hosts(&c.Hosts), layers},

		{"kafka-brokers", "", "Kafka to take as the log; empty: the broker in this process", brokers(&c.Log.Brokers), keeping},
		{"broker-port", "0", "port of the broker in this process on 127.0.0.1; 0: any free one", whole(&c.Log.BrokerPort, 0, 65535), layers},
		{"partitions", "8", "partitions of the event topic, fixed for its life: the degree to which speed can be spread",
			whole(&c.Log.Partitions, 1, 1024), layers},
		{"kafka-prefix", "fernweh", "what the names of topics and reader groups begin with", topicPrefix(&c.Log.Prefix), layers},
		{"accept-gaps", "", "offsets of the event topic that hold no record, as someone knows who knows why: every reader goes on behind them, " +
			"so every layer needs the same; empty: a reader that misses an offset stops", gaps(&c.Log.Gaps), layers},
		{"kafka-replicas", "1", "replicas of each topic, and of its acknowledged events all but one; 3 where there are three brokers",
			whole(&c.Log.Replicas, 1, 32), layers},
		{"kafka-sasl-mechanism", "", "how to prove who we are: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; empty: not at all",
			oneOf(&c.Log.SASL.Mechanism, "", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"), layers},
		{"kafka-sasl-user", "", "user of Kafka", text(&c.Log.SASL.User), layers},
		{"kafka-sasl-password-file", "", "file with the user's password", secretFile(&c.Log.SASL.Password), layers},
		{"kafka-tls", "false", "speak TLS with Kafka", yesNo(&c.Log.TLS.On), layers},
		{"kafka-tls-ca", "", "PEM file of the authority that Kafka's certificate is from; empty: the system's", file(&c.Log.TLS.CA), layers},
		{"kafka-tls-cert", "", "PEM file of this process's certificate, if Kafka asks for one", file(&c.Log.TLS.Cert), layers},
		{"kafka-tls-server-name", "", "name in Kafka's certificate, where it is not that of kafka-brokers", text(&c.Log.TLS.ServerName), layers},
		{"kafka-tls-key", "", "PEM file of that certificate's key", file(&c.Log.TLS.Key), layers},

		{"hbase-quorum", "", "ZooKeeper of the HBase to keep the views in; empty: Pebble in the data directory",
			brokers(&c.HBase.Quorum), viewing},
		{"hbase-root", "/hbase", "znode under which HBase is registered", filled(&c.HBase.Root), viewing},

		{"elastic-urls", "", "Elasticsearch to keep the documents in; empty: Bleve in the data directory",
			httpURLs(&c.Elastic.URLs), indexing},
		{"elastic-user", "", "user of Elasticsearch", text(&c.Elastic.User), indexing},
		{"elastic-password-file", "", "file with the user's password", secretFile(&c.Elastic.Password), indexing},
		{"elastic-api-key-file", "", "file with an API key, instead of user and password", secretFile(&c.Elastic.APIKey), indexing},
		{"elastic-ca", "", "PEM file of the authority that Elasticsearch's certificate is from; empty: the system's",
			file(&c.Elastic.CA), indexing},
		{"elastic-shards", "1", "shards of a new index", whole(&c.Elastic.Shards, 1, 1024), indexing},
		{"elastic-replicas", "0", "replicas of a new index; 1 where there are two nodes or more", whole(&c.Elastic.Replicas, 0, 32), indexing},

		{"ingest-addr", "127.0.0.1:8080", "where the collector takes events", address(&c.Ingest.Addr), ingesting},
		{"ingest-write-keys", "web=" + demoKey, "who may send: the SHA-256 of each source's write key; the default is the key \"demo\"",
			digests(&c.Ingest.WriteKeys), ingesting},
		{"ingest-assume-consent", "true", "the websites ask for consent before they send: no word of a visitor counts as yes",
			yesNo(&c.Ingest.AssumeConsent), ingesting},
		{"ingest-cors-origins", "*", "origins of pages that may send from a browser; *: any", origins(&c.Ingest.Origins), ingesting},
		{"ingest-proxies", "", "networks of the proxies in front, such as 10.0.0.0/8: they are believed for whom they forward; empty: none",
			networks(&c.Ingest.Proxies), ingesting},
		{"ingest-spool-size", "1GiB", "disk for events that wait while Kafka is away; when it is full, senders are told to come back",
			size(&c.Ingest.SpoolSize, 1<<20, 1<<50), ingesting},
		{"ingest-max-body", "4MiB", "greatest request body; Segment's clients send up to 500 KB",
			size(&c.Ingest.MaxBody, 500_000, 1<<30), ingesting},

		{"speed-flush-delay", "50ms", "how long a change may wait for its write: longer makes fewer writes and older views",
			span(&c.Speed.FlushDelay, time.Millisecond, time.Minute), speeding},
		{"speed-batch", "5000", "events of a partition after which its changes are written without waiting",
			whole(&c.Speed.Batch, 1, 1_000_000), speeding},
		{"speed-visitors", "1000000", "devices held in memory; others are read again when they come back",
			whole(&c.Speed.Visitors, 1, 1_000_000_000), speeding},

		{"archive-rows", "65536", "rows after which a file of the archive ends; until then they are in memory, too",
			whole(&c.Batch.ArchiveRows, 1, 100_000_000), archiving},
		{"archive-file", "64MiB", "bytes of rows after which a file of the archive ends", size(&c.Batch.ArchiveFile, 64<<10, 1<<30), archiving},
		{"archive-memory", "256MiB", "bytes of rows that all files not yet written may take; where it is full, the largest ends early",
			size(&c.Batch.ArchiveHeld, 1<<20, 1<<42), archiving},
		{"batch-segments", "8", "segments that visitors are put into", whole(&c.Batch.Segments, 1, 1000), batching},
		{"batch-restarts", "5", "times that k-means starts anew; the best is kept", whole(&c.Batch.Restarts, 1, 1000), batching},
		{"batch-seed", "1", "seed of training: the same archive and seed give the same bytes", whole(&c.Batch.Seed, 0, 1<<62), batching},
		{"batch-memory", "512MiB", "memory that scan and fold stay below", size(&c.Batch.Memory, 64<<20, 1<<42), batching},
		{"batch-schedule", "10:30,19:30", "hours of the portal's day at which a run begins; empty: never by itself",
			clocks(&c.Batch.Schedule), batching},
		{"batch-retry", "5m", "how long after a scheduled run failed it is tried again, twice as long each time, an hour at most, until the next set hour; " +
			"an hour that was missed is caught up; 0s: neither", span(&c.Batch.Retry, 0, 24*time.Hour), batching},
		{"batch-quiet-hours", "22:00-10:00", "hours of the portal's day in which no run is tried again or caught up; empty: none",
			clockSpan(&c.Batch.Quiet), batching},

		{"serve-addr", "127.0.0.1:8081", "where the API and the operators' page answer", address(&c.Serve.Addr), answering},
		{"serve-admin-keys", "", "who may erase, run and roll back, and read of persons from other machines: the SHA-256 of each administrator's key by name, besides those that fernweh key new keeps in data-dir",
			keyDigests(&c.Serve.Keys), serving},
		{"admin-key", "", "administrator's key to ask a running process with; better in the environment or a file: others see a command line. Empty: the socket in data-dir, which only its owner opens",
			secret(adminKey(&c.Serve.Key)), asking},
		{"admin-key-file", "", "file with that key", secretFile(&c.Serve.Key), asking},

		{"device", "", "device to forget", text(&c.Erase.Device), erasing},
		{"customer", "", "customer number to forget on every device", text(&c.Erase.Customer), erasing},
		{"force", "false", "erase the device also where the views know nothing of it: they lag, are away, or its events wait in a spool",
			yesNo(&c.Erase.Force), erasing},

		{"dry-run", "false", "count what is misplaced, and append nothing", yesNo(&c.Repair.Dry), "repair"},

		{"collector-url", "http://127.0.0.1:8080", "collector to send to", httpURL(&c.Client.URL), clients},
		{"collector-write-key", "demo", "write key to send with", secret(filled(&c.Client.WriteKey)), clients},
		{"simulate-visitors", "1000", "travellers of the simulated portal", whole(&c.Client.Visitors, 1, 100_000_000), simulated},
		{"simulate-days", "30", "days of the simulated portal's history", whole(&c.Client.Days, 1, 3660), simulated},
		{"simulate-seed", "1", "seed of the simulated portal: the same seed makes the same events", whole(&c.Client.Seed, 0, 1<<62), simulated},
		{"simulate-rate", "0", "events a second; 0: as fast as the collector takes them", whole(&c.Client.Rate, 0, 10_000_000), simulated},
		{"simulate-truth", "", "file to write the travellers' hidden truth to; empty: none", text(&c.Client.Truth), simulated},
		{"replay-format", "", "format of the recorded files", text(&c.Client.Format), replayed},
	}
}

// check finds settings that are each possible, but not together.
func (c *config) check(command string) error {
	var errs []error
	if concerns(ingesting, command) {
		errs = append(errs, c.checkIngest())
	}
	errs = append(errs, c.checkLog())
	if concerns(asking, command) && c.Serve.Key != "" && !access.IsKey(c.Serve.Key) {
		errs = append(errs, errors.New("admin-key: that is no administrator's key: want fwk_ and 43 letters or digits, as fernweh key new NAME prints it"))
	}
	if command == "erase" && (c.Erase.Device == "") == (c.Erase.Customer == "") {
		errs = append(errs, errors.New("erase needs either --device or --customer"))
	}
	if command == "erase" && c.Erase.Force && c.Erase.Device == "" {
		errs = append(errs, errors.New("erase --force needs --device: only the views know which devices a customer has"))
	}
	if concerns("up", command) && c.Ingest.Addr == c.Serve.Addr && !anyPort(c.Serve.Addr) {
		errs = append(errs, fmt.Errorf("ingest-addr and serve-addr are both %s", c.Serve.Addr))
	}
	return errors.Join(errs...)
}

// checkLog finds what Kafka's settings lack.
func (c *config) checkLog() error {
	sasl, tls := c.Log.SASL, c.Log.TLS
	switch {
	case (sasl.Mechanism == "") != (sasl.User == "") || (sasl.Mechanism == "") != (sasl.Password == ""):
		return errors.New("kafka-sasl-mechanism, kafka-sasl-user and kafka-sasl-password-file go together: give all or none")
	case (tls.Cert == "") != (tls.Key == ""):
		return errors.New("kafka-tls-cert and kafka-tls-key go together: give both or none")
	case !tls.On && tls != (tlsConfig{}):
		return errors.New("kafka-tls-ca, kafka-tls-cert and kafka-tls-key mean nothing without kafka-tls")
	case len(c.Log.Brokers) == 0 && (tls.On || sasl.Mechanism != ""):
		return errors.New("kafka-tls and kafka-sasl-mechanism are for Kafka: name its kafka-brokers")
	}
	return nil
}

func (c *config) checkIngest() error {
	if c.Ingest.MaxBody > c.Ingest.SpoolSize {
		return fmt.Errorf("ingest-max-body %s is more than ingest-spool-size %s: such a body could never wait",
			c.text("ingest-max-body"), c.text("ingest-spool-size"))
	}
	if isLoopback(c.Ingest.Addr) {
		return nil
	}
	for source, key := range c.Ingest.WriteKeys {
		if key == sha256.Sum256([]byte("demo")) {
			return fmt.Errorf("ingest-addr %s is open to other machines, but the source %q of ingest-write-keys "+
				"has the write key \"demo\" that everybody knows: set the SHA-256 of a key of your own, "+
				"or listen on 127.0.0.1", c.Ingest.Addr, source)
		}
	}
	return nil
}

// text is a setting as it was written.
func (c *config) text(name string) string {
	i := slices.IndexFunc(c.inForce, func(f choice) bool { return f.setting.name == name })
	return c.inForce[i].text
}

// runConfig prints what is in force. Its words are masked where they are secret.
func runConfig(_ context.Context, c *config, to console) error {
	w := tabwriter.NewWriter(to.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SETTING\tVALUE\tFROM")
	for _, f := range c.inForce {
		fmt.Fprintf(w, "%s\t%s\t%s\n", f.setting.name, f.masked(), f.origin)
	}
	return w.Flush()
}
