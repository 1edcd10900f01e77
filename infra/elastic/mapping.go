package elastic

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/elastic/go-elasticsearch/v8/esapi"

	"fernweh/schemas"
)

// A template is what new indices of a kind are made with.
type template struct {
	Patterns []string       `json:"index_patterns"`
	Priority int            `json:"priority"` // above those that a server may have for all indices
	Template templateInside `json:"template"`
}

type templateInside struct {
	Settings settings            `json:"settings"`
	Mappings mapping             `json:"mappings"`
	Aliases  map[string]struct{} `json:"aliases,omitempty"`
}

// settings of an index.
type settings struct {
	Shards   int    `json:"number_of_shards"`
	Replicas int    `json:"number_of_replicas"`
	Deletes  string `json:"index.gc_deletes"`     // how long a deletion keeps out what is older
	Coerce   bool   `json:"index.mapping.coerce"` // "7" is no number
}

// A mapping as the server has it.
type mapping struct {
	Dynamic    string           `json:"dynamic"`
	Properties map[string]field `json:"properties"`
}

type field struct {
	Type   string `json:"type"`
	Format string `json:"format,omitempty"`
}

const (
	strict = "strict"
	// dateFormat takes what documents have, and the milliseconds that the server itself
	// hands out as the place of a document in an order by date.
	dateFormat = "strict_date_time||epoch_millis"
)

// declare is the mapping of a kind.
func declare(m schemas.Mapping) mapping {
	declared := mapping{strict, make(map[string]field, len(m.Fields))}
	for _, f := range m.Fields {
		p := field{Type: string(f.Type)}
		if f.Type == schemas.FieldDate {
			p.Format = dateFormat
		}
		declared.Properties[f.Name] = p
	}
	return declared
}

// template is the template of a kind.
func (d *Documents) template(m schemas.Mapping) template {
	t := template{
		Patterns: []string{d.name(m.Kind) + "-*"}, Priority: 500,
		Template: templateInside{
			Settings: settings{d.config.Shards, d.config.Replicas, "1h", false},
			Mappings: declare(m),
		},
	}
	switch m.Kind {
	case schemas.KindPositions:
		t.Patterns = append(t.Patterns, d.name(schemas.IndexPositions))
	case schemas.KindDecisions:
		t.Template.Aliases = map[string]struct{}{d.name(m.Kind): {}}
	}
	return t
}

// putTemplates makes every index that will come follow the declared mappings.
func (d *Documents) putTemplates(ctx context.Context) error {
	for _, m := range schemas.Mappings() {
		body, err := json.Marshal(d.template(m))
		if err != nil {
			return err
		}
		r := esapi.IndicesPutIndexTemplateRequest{Name: d.name(m.Kind), Body: bytes.NewReader(body)}
		if err := d.attempt(ctx, "template", r, nil); err != nil {
			return fmt.Errorf("put index template %s: %w", d.name(m.Kind), err)
		}
	}
	return nil
}

// checkIndices holds the indices that are there to what is declared: names, mappings,
// and that they take writes. A field that an index does not have yet is added.
func (d *Documents) checkIndices(ctx context.Context) error {
	var there map[string]struct{ Mappings mapping }
	all := []string{d.config.Prefix + "-*"}
	if err := d.attempt(ctx, "check", esapi.IndicesGetMappingRequest{Index: all}, &there); err != nil {
		return fmt.Errorf("read mappings of %s: %w", all[0], err)
	}
	for _, index := range slices.Sorted(maps.Keys(there)) {
		if err := d.checkIndex(ctx, index, there[index].Mappings); err != nil {
			return err
		}
	}
	return d.checkBlocks(ctx, all)
}

// checkIndex holds one index to its declaration.
func (d *Documents) checkIndex(ctx context.Context, index string, is mapping) error {
	kind := d.unname(index)
	if err := schemas.CheckIndex(kind); err != nil {
		if _, unknown := schemas.MappingOf(kind); unknown == nil {
			return fmt.Errorf("index %s has the name that an alias needs: remove it, or set another prefix: %w", index, err)
		}
		return nil // somebody else's
	}
	m, err := schemas.MappingOf(kind)
	if err != nil {
		return err
	}
	missing, err := compare(is, declare(m))
	if err != nil {
		return fmt.Errorf("index %s has another mapping: %w; remove it (documents are made again), or set another prefix", index, err)
	}
	if len(missing) == 0 {
		return nil
	}
	body, err := json.Marshal(struct {
		Properties map[string]field `json:"properties"`
	}{missing})
	if err != nil {
		return err
	}
	r := esapi.IndicesPutMappingRequest{Index: []string{index}, Body: bytes.NewReader(body)}
	if err := d.attempt(ctx, "check", r, nil); err != nil {
		return fmt.Errorf("add fields to index %s: %w", index, err)
	}
	return nil
}

// compare finds the fields that an index lacks; anything else that differs is an error.
func compare(is, should mapping) (missing map[string]field, err error) {
	if is.Dynamic != strict {
		return nil, fmt.Errorf("dynamic is %q, should be %q", cmp.Or(is.Dynamic, "true"), strict)
	}
	for _, name := range slices.Sorted(maps.Keys(is.Properties)) {
		want, declared := should.Properties[name]
		if got := is.Properties[name]; !declared || got != want {
			return nil, fmt.Errorf("field %q is %s, should be %s", name, got, want)
		}
	}
	missing = make(map[string]field)
	for name, want := range should.Properties {
		if _, ok := is.Properties[name]; !ok {
			missing[name] = want
		}
	}
	return missing, nil
}

// String shows a field in an error.
func (f field) String() string {
	if f == (field{}) {
		return "none at all"
	}
	return strings.TrimSpace(f.Type + " " + f.Format)
}

// checkBlocks says if an index of ours takes no writes.
func (d *Documents) checkBlocks(ctx context.Context, all []string) error {
	var there map[string]struct{ Settings map[string]string }
	flat := true
	r := esapi.IndicesGetSettingsRequest{Index: all, Name: []string{"index.blocks.*"}, FlatSettings: &flat}
	if err := d.attempt(ctx, "check", r, &there); err != nil {
		return fmt.Errorf("read settings of %s: %w", all[0], err)
	}
	for _, index := range slices.Sorted(maps.Keys(there)) {
		for _, block := range slices.Sorted(maps.Keys(there[index].Settings)) {
			if there[index].Settings[block] == "true" && schemas.CheckIndex(d.unname(index)) == nil {
				return fmt.Errorf("index %s takes no writes: %s is true (set by hand, or by the server on a full disk)", index, block)
			}
		}
	}
	return nil
}
