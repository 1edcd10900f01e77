package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"fernweh/infra/embedded"
	"fernweh/infra/kafka"
	"fernweh/schemas"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// A stack is what the layers of this process stand on: the log, the views and
// the archive, each opened once.
type stack struct {
	config   *config
	kafka    kafka.Config
	producer *kafka.Producer
	tail     *kafka.Tail
	views    *embedded.Views
	files    *embedded.Files
	metrics  *prometheus.Registry

	closers []func() error // in the order of opening
}

// openStack opens everything and checks that it belongs together. note tells
// another process that finds the data directory taken what to talk to.
func openStack(ctx context.Context, c *config, note string) (s *stack, err error) {
	s = &stack{config: c, metrics: prometheus.NewRegistry()}
	s.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: c.LogLevel})))
	unlock, err := embedded.Lock(c.DataDir, note)
	if err != nil {
		return s, err
	}
	s.closers = append(s.closers, unlock)
	if err := s.openLog(ctx); err != nil {
		return s, err
	}
	if s.views, err = embedded.OpenViews(filepath.Join(c.DataDir, "views")); err != nil {
		return s, err
	}
	s.closers = append(s.closers, s.views.Close)
	if s.files, err = embedded.OpenFiles(filepath.Join(c.DataDir, "archive")); err != nil {
		return s, err
	}
	return s, s.checkOrigin(ctx)
}

// openLog starts the broker of this process, unless there is a Kafka to take,
// and makes sure that the topics are as the promise needs them.
func (s *stack) openLog(ctx context.Context) (err error) {
	s.kafka = kafka.Config{Brokers: s.config.Log.Brokers, ClientID: "fernweh"}
	if len(s.kafka.Brokers) == 0 {
		broker, err := embedded.OpenBroker(filepath.Join(s.config.DataDir, "log"), s.config.Log.BrokerPort)
		if err != nil {
			return err
		}
		s.closers = append(s.closers, broker.Close)
		s.kafka.Brokers = []string{broker.Addr()}
	}
	const replicas = 1
	if err := kafka.EnsureTopics(ctx, s.kafka, schemas.Topics(s.config.Log.Partitions), replicas); err != nil {
		return err
	}
	if s.producer, err = kafka.NewProducer(s.kafka, s.config.Log.Partitions); err != nil {
		return err
	}
	s.closers = append(s.closers, s.producer.Close)
	s.tail = kafka.NewTail(s.kafka, schemas.TopicEvents)
	s.closers = append(s.closers, s.tail.Close)
	return nil
}

// checkOrigin refuses views that were made from another log, or by another fold.
func (s *stack) checkOrigin(ctx context.Context) error {
	topic, err := kafka.TopicID(ctx, s.kafka, schemas.TopicEvents)
	if err != nil {
		return err
	}
	here := schemas.Origin{Topic: topic, Partitions: s.config.Log.Partitions, Fold: schemas.FoldVersion}
	if _, err := s.views.CompareAndSet(ctx, schemas.KeyTopic, schemas.ColumnValue, nil, schemas.EncodeJSON(here)); err != nil {
		return err
	}
	rows, err := s.views.Get(ctx, schemas.KeyTopic)
	if err != nil {
		return err
	}
	cell, _ := rows[0].Cell(schemas.ColumnValue)
	there, err := schemas.DecodeJSON[schemas.Origin](cell.Value)
	if err != nil {
		return err
	}
	if there != here {
		return fmt.Errorf("the views in %s were made from topic %s with %d partitions by fold %d, but the log here is topic %s "+
			"with %d partitions and this program's fold is %d: they do not belong together",
			s.config.DataDir, there.Topic, there.Partitions, there.Fold, here.Topic, here.Partitions, here.Fold)
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
