package main

import (
	"context"
	"path/filepath"

	"fernweh/infra/elastic"
	"fernweh/infra/embedded"
)

// openDocuments opens the documents of the set of views.
func (s *stack) openDocuments(ctx context.Context) error {
	c := s.config
	if len(c.Elastic.URLs) == 0 {
		d, err := embedded.OpenDocuments(filepath.Join(c.DataDir, c.ofSet("documents")))
		if err != nil {
			return err
		}
		s.documents = d
		s.closers = append(s.closers, d.Close)
		return nil
	}
	d, err := elastic.Open(ctx, elastic.Config{
		Addresses: c.Elastic.URLs, Username: c.Elastic.User, Password: c.Elastic.Password, APIKey: c.Elastic.APIKey,
		CAFile: c.Elastic.CA, Prefix: c.Views, Shards: c.Elastic.Shards, Replicas: c.Elastic.Replicas,
	}, s.metrics)
	if err != nil {
		return err
	}
	s.documents = d
	s.closers = append(s.closers, d.Close)
	return nil
}
