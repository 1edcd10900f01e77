package native

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

func kafkaTrait() trait {
	return trait{
		listeners: []listener{{"plain", 29092}, {"controller", 29093}, {"secure", 29094}},
		ready:     func(_ context.Context, s *Server) bool { return said(s.dir, "Kafka Server started") },
		prepare:   prepareKafka,
		arguments: func(s *Server, a artifact) []string { return kafkaArguments(s, a, "kafka.Kafka", kafkaSettings(s)) },
		start:     2 * time.Minute,
		stop:      30 * time.Second,
	}
}

func kafkaSettings(s *Server) string { return filepath.Join(s.dir, "config", "server.properties") }

func kafkaArguments(s *Server, a artifact, main string, arguments ...string) []string {
	return append([]string{
		"-Xms128m", "-Xmx512m",
		"-Dlog4j2.configurationFile=" + filepath.Join(s.dir, "config", "log4j2.properties"),
		"-cp", filepath.Join(a.lib(), "*"), main,
	}, arguments...)
}

// prepareKafka writes the settings, and gives a new folder its secret and its log.
func prepareKafka(ctx context.Context, s *Server, a artifact) error {
	secret, err := openSecret(secretDir(s.dir))
	if err != nil {
		return err
	}
	p := s.place()
	p.Secret = secret
	config := filepath.Dir(kafkaSettings(s))
	if err := s.configure(config, "log4j2.properties", p); err != nil {
		return err
	}
	if _, err := os.Stat(p.Data); errors.Is(err, fs.ErrNotExist) {
		if err := formatKafka(ctx, s, a, p); err != nil {
			return fmt.Errorf("format %s: %w", p.Data, err)
		}
	}
	return s.configure(config, filepath.Base(kafkaSettings(s)), p)
}

// formatKafka makes Kafka's log, which knows the user from its beginning. It is made
// beside its place and moved there, so that there is never half of one.
func formatKafka(ctx context.Context, s *Server, a artifact, p place) error {
	final := p.Data
	p.Data += ".new"
	if err := os.RemoveAll(p.Data); err != nil {
		return err
	}
	if err := s.configure(filepath.Dir(kafkaSettings(s)), filepath.Base(kafkaSettings(s)), p); err != nil {
		return err
	}
	arguments := []string{"format", "--cluster-id", p.cluster, "--config", kafkaSettings(s)}
	for _, mechanism := range scramMechanisms {
		verifier, err := p.scram(mechanism)
		if err != nil {
			return err
		}
		arguments = append(arguments, "--add-scram", verifier)
	}
	cmd, err := s.java(a, kafkaArguments(s, a, "kafka.tools.StorageTool", arguments...)...)
	if err != nil {
		return err
	}
	if out, err := output(ctx, cmd); err != nil {
		return fmt.Errorf("%w:\n%s", err, excerpt(out))
	}
	return os.Rename(p.Data, final)
}
