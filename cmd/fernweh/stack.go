package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"fernweh/infra/embedded"
	"fernweh/infra/hbase"
	"fernweh/infra/kafka"
	"fernweh/layer"
	"fernweh/schemas"
	"fernweh/serving/index"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// views is the view store as all layers together use it.
type views interface {
	Get(ctx context.Context, keys ...schemas.Key) ([]schemas.Row, error)
	Put(ctx context.Context, cells ...schemas.Cell) error
	Scan(ctx context.Context, table schemas.Table, from, to string, fn func(schemas.Row) error) error
	CompareAndSet(ctx context.Context, key schemas.Key, column string, old, value []byte) (bool, error)
	Delete(ctx context.Context, cells ...schemas.Cell) error
}

// A stack is what the layers of this process stand on, each opened once: those
// of a single layer only what it needs.
type stack struct {
	config    *config
	kafka     kafka.Config
	broker    *embedded.Broker            // nil: Kafka is elsewhere
	topics    func(context.Context) error // makes sure of the topics, where they were not at start; nil: they were
	producer  *kafka.Producer
	tail      *kafka.Tail
	views     views
	files     *embedded.Files
	documents index.Documents
	metrics   *prometheus.Registry
	health    *layer.Health // of this process

	needs      need           // what the command needs, and may make
	alone      bool           // the data directory is this process's own
	rebuilding sync.Mutex     // held while another set of views is made
	closers    []func() error // in the order of opening
}

// A need is a part of the stack besides the log.
type need int

const (
	needViews need = 1 << iota
	needFiles
	needDocuments
	needSpool
	everyNeed = needViews | needFiles | needDocuments | needSpool
)

// openStack opens what is needed and checks that it belongs together. note tells
// another process that finds the data directory taken what to talk to.
func openStack(ctx context.Context, c *config, note string, needs need) (s *stack, err error) {
	s = &stack{config: c, needs: needs, metrics: prometheus.NewRegistry(), health: layer.NewHealth(time.Now)}
	s.metrics.MustRegister(s.health)
	s.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: c.LogLevel})))
	if err := c.expectDirectory(needs); err != nil {
		return s, err
	}
	if err := s.lock(note, needs); err != nil {
		return s, err
	}
	if err := errors.Join(c.expectViews(needs), c.expectFiles(needs)); err != nil {
		return s, err
	}
	if err := s.openLog(ctx, needs); err != nil {
		return s, err
	}
	for _, part := range []struct {
		need need
		open func(context.Context) error
	}{{needViews, s.openViews}, {needFiles, s.openFiles}, {needDocuments, s.openDocuments}} {
		if needs&part.need == 0 {
			continue
		}
		if err := part.open(ctx); err != nil {
			return s, err
		}
	}
	return s, s.within(ctx, needs)
}

// lock takes the data directory if one of its parts is for a single process: an
// embedded store, or the spool. The archive is not: what two processes write
// there at once is one chain all the same.
func (s *stack) lock(note string, needs need) error {
	c := s.config
	dir := c.DataDir
	switch {
	case len(c.Log.Brokers) == 0,
		needs&needViews != 0 && len(c.HBase.Quorum) == 0,
		needs&needDocuments != 0 && len(c.Elastic.URLs) == 0:
	case needs&needSpool != 0:
		dir = s.spoolDir()
	default:
		return nil
	}
	unlock, err := embedded.Lock(dir, note)
	if err != nil {
		return err
	}
	s.closers = append(s.closers, unlock)
	s.alone = dir == c.DataDir
	return nil
}

// spoolDir is where events wait while Kafka is away.
func (s *stack) spoolDir() string { return filepath.Join(s.config.DataDir, "spool") }

// openLog starts the broker of this process, unless there is a Kafka to take,
// and makes sure that the topics are as the promise needs them.
func (s *stack) openLog(ctx context.Context, needs need) (err error) {
	c := s.config.Log
	s.kafka = kafka.Config{
		Brokers: c.Brokers, ClientID: "fernweh", Prefix: c.Prefix, Gaps: c.Gaps, Metrics: kafka.NewMetrics(s.metrics),
		SASL: kafka.SASL{Mechanism: c.SASL.Mechanism, User: c.SASL.User, Password: c.SASL.Password},
		TLS:  kafka.TLS{On: c.TLS.On, CA: c.TLS.CA, Cert: c.TLS.Cert, Key: c.TLS.Key, ServerName: c.TLS.ServerName},
	}
	if len(c.Brokers) == 0 {
		broker, err := embedded.OpenBroker(filepath.Join(s.config.DataDir, "log"), c.BrokerPort)
		if err != nil {
			return err
		}
		s.broker = broker
		s.closers = append(s.closers, broker.Close)
		s.kafka.Brokers = []string{broker.Addr()}
	}
	if len(c.Brokers) > 0 && needs&makesTopic == 0 {
		if err := kafka.ExpectTopic(ctx, s.kafka, schemas.TopicEvents); err != nil {
			return fmt.Errorf("%w (kafka-prefix, kafka-brokers)", err)
		}
	}
	ensure := func(ctx context.Context) error {
		return kafka.EnsureTopics(ctx, s.kafka, schemas.Topics(c.Partitions), int16(c.Replicas))
	}
	if needs&everyNeed == needSpool && len(c.Brokers) > 0 {
		s.topics = ensure // the collector has a spool, and need not wait for Kafka
	} else if err := ensure(ctx); err != nil {
		return err
	}
	if s.producer, err = kafka.NewProducer(s.kafka, c.Partitions); err != nil {
		return err
	}
	s.closers = append(s.closers, s.producer.Close)
	s.tail = kafka.NewTail(s.kafka, schemas.TopicEvents)
	s.closers = append(s.closers, s.tail.Close)
	return nil
}

// defaultViews is the name of the set of views that nobody has named.
const defaultViews = "fernweh"

// ofSet is a name of something that every set of views has its own of.
func (c *config) ofSet(name string) string {
	if c.Views == defaultViews {
		return name
	}
	return name + "-" + c.Views
}

// openViews opens the set of views and refuses one that was made from another
// log, or by another fold.
func (s *stack) openViews(ctx context.Context) error {
	c := s.config
	if len(c.HBase.Quorum) == 0 {
		v, err := embedded.OpenViews(filepath.Join(c.DataDir, c.ofSet("views")))
		if err != nil {
			return err
		}
		s.views = v
		s.closers = append(s.closers, v.Close)
	} else {
		if err := s.expectTables(ctx); err != nil {
			return err
		}
		v, err := hbase.Open(ctx, s.tables(c.Views), s.metrics)
		if err != nil {
			return err
		}
		s.views = v
		s.closers = append(s.closers, v.Close)
	}
	here, err := s.origin(ctx)
	if err != nil {
		return err
	}
	if _, err := s.views.CompareAndSet(ctx, schemas.KeyTopic, schemas.ColumnValue, nil, schemas.EncodeJSON(here)); err != nil {
		return err
	}
	rows, err := s.views.Get(ctx, schemas.KeyTopic)
	if err != nil {
		return err
	}
	cell, _ := rows[0].Cell(schemas.ColumnValue)
	return belongs("the views "+c.Views, cell.Value, here)
}

// openFiles opens the archive and refuses one that was made from another log.
func (s *stack) openFiles(ctx context.Context) (err error) {
	dir := filepath.Join(s.config.DataDir, "archive")
	if len(s.config.Log.Brokers) == 0 {
		s.files, err = embedded.OpenFiles(dir)
	} else {
		s.files, err = embedded.OpenSharedFiles(dir)
	}
	if err != nil {
		return err
	}
	here, err := s.origin(ctx)
	if err != nil {
		return err
	}
	here.Fold = 0 // the archive is not folded
	const name = "origin.json"
	_, err = s.files.Create(ctx, name, func(w io.Writer) error {
		_, err := w.Write(schemas.EncodeJSON(here))
		return err
	})
	if err != nil {
		return err
	}
	return s.files.Open(ctx, name, func(r io.ReaderAt, size int64) error {
		b := make([]byte, size)
		if _, err := r.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		return belongs("the archive "+dir, b, here)
	})
}

// origin is the log of this stack, and the fold of this program.
func (s *stack) origin(ctx context.Context) (schemas.Origin, error) {
	topic, err := kafka.TopicID(ctx, s.kafka, schemas.TopicEvents)
	return schemas.Origin{Topic: topic, Partitions: s.config.Log.Partitions, Fold: schemas.FoldVersion}, err
}

// belongs refuses what was made from another log or by another fold.
func belongs(what string, origin []byte, here schemas.Origin) error {
	there, err := schemas.DecodeJSON[schemas.Origin](origin)
	if err != nil {
		return fmt.Errorf("read what %s was made from: %w", what, err)
	}
	if there.Topic == here.Topic && there.Partitions == here.Partitions && there.Fold < here.Fold {
		return fmt.Errorf("%s: made by fold %d, this program's is %d: make another set of views from the archive and the log with "+
			"fernweh rebuild --views NAME, and start with --views NAME", what, there.Fold, here.Fold)
	}
	if there != here {
		return fmt.Errorf("%s: made from topic %s with %d partitions by fold %d, but the log here is topic %s "+
			"with %d partitions and this program's fold is %d: they do not belong together",
			what, there.Topic, there.Partitions, there.Fold, here.Topic, here.Partitions, here.Fold)
	}
	return nil
}

// close closes what was opened, the last first.
func (s *stack) close() error {
	var errs []error
	for _, c := range slices.Backward(s.closers) {
		errs = append(errs, c())
	}
	return errors.Join(errs...)
}
