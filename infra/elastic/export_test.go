package elastic

import (
	"context"
	"slices"
	"strings"

	"github.com/elastic/go-elasticsearch/v8/esapi"

	"fernweh/schemas"
)

// Remove removes all indices and templates of a prefix.
func Remove(ctx context.Context, config Config) error {
	d, err := bare(config)
	if err != nil {
		return err
	}
	defer d.connections.CloseIdleConnections()
	var there map[string]struct{}
	if err := d.call(ctx, "remove", func() request {
		return esapi.IndicesGetAliasRequest{Index: []string{d.name("*")}}
	}, &there); err != nil {
		return err
	}
	for name := range there {
		if err := d.call(ctx, "remove", func() request { return esapi.IndicesDeleteRequest{Index: []string{name}} }, nil); err != nil {
			return err
		}
	}
	for _, m := range schemas.Mappings() {
		err := d.call(ctx, "remove", func() request { return esapi.IndicesDeleteIndexTemplateRequest{Name: d.name(m.Kind)} }, nil)
		if err != nil && !strings.Contains(err.Error(), "missing") {
			return err
		}
	}
	return nil
}

// bare is a store that has looked at nothing.
func bare(config Config) (*Documents, error) {
	config, err := config.with()
	if err != nil {
		return nil, err
	}
	urls, err := config.urls()
	if err != nil {
		return nil, err
	}
	d := &Documents{config: config, slots: make(chan struct{}, config.Workers)}
	if d.metrics, err = newMetrics(nil); err != nil {
		return nil, err
	}
	d.transport, d.connections, err = config.transport(slices.Clone(urls))
	return d, err
}
