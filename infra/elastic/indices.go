package elastic

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/elastic/go-elasticsearch/v8/esapi"

	"fernweh/schemas"
)

// Refresh makes all that was written to some indices or aliases be found by Search.
func (d *Documents) Refresh(ctx context.Context, indices ...string) error {
	if err := d.refresh(ctx, indices); err != nil {
		return fmt.Errorf("refresh %s: %w", strings.Join(indices, ", "), err)
	}
	return nil
}

func (d *Documents) refresh(ctx context.Context, indices []string) error {
	if err := d.enter(ctx); err != nil {
		return err
	}
	defer d.calls.Done()
	for _, index := range indices {
		if _, err := schemas.MappingOf(index); err != nil {
			return err
		}
	}
	if len(indices) == 0 {
		return nil
	}
	var answer shards
	ignore := true
	err := d.call(ctx, "refresh", func() request {
		return esapi.IndicesRefreshRequest{Index: d.names(indices), IgnoreUnavailable: &ignore}
	}, &answer)
	if err != nil {
		return err
	}
	return answer.err()
}

// shards is how an answer says that it is one of a part only.
type shards struct {
	Shards struct {
		Failed   int
		Failures []struct {
			Index  string
			Reason struct{ Type, Reason string }
		}
	} `json:"_shards"`
}

func (s shards) err() error {
	if s.Shards.Failed == 0 {
		return nil
	}
	err := fmt.Errorf("%d shards failed", s.Shards.Failed)
	if len(s.Shards.Failures) > 0 {
		f := s.Shards.Failures[0]
		err = fmt.Errorf("%w, one of %s: %s: %s", err, f.Index, f.Reason.Type, clip(f.Reason.Reason))
	}
	return err
}

// Alias makes a name mean exactly some indices, from one moment to the next:
// one change of the cluster's state takes it from the others of its kind and
// gives it to these. One that is not there is made first, empty.
func (d *Documents) Alias(ctx context.Context, name string, indices ...string) error {
	if err := d.alias(ctx, name, indices); err != nil {
		return fmt.Errorf("set alias %s to %s: %w", name, strings.Join(indices, ", "), err)
	}
	return nil
}

func (d *Documents) alias(ctx context.Context, name string, indices []string) error {
	if err := d.enter(ctx); err != nil {
		return err
	}
	defer d.calls.Done()
	if err := schemas.CheckAlias(name, indices...); err != nil {
		return err
	}
	there, err := d.indices(ctx, name+"-")
	if err != nil {
		return err
	}
	for _, index := range indices {
		if slices.Contains(there, index) {
			continue
		}
		if err := d.create(ctx, index); err != nil {
			return err
		}
	}
	if len(there)+len(indices) == 0 {
		return nil
	}
	return d.switchAlias(ctx, name, indices)
}

// create makes an index, unless it is there.
func (d *Documents) create(ctx context.Context, index string) error {
	err := d.call(ctx, "create", func() request { return esapi.IndicesCreateRequest{Index: d.name(index)} }, nil)
	var r *refusal
	if errors.As(err, &r) && r.Type == typeExists {
		return nil
	}
	return err
}

// An aliasAction is one part of a change of aliases.
type aliasAction struct {
	Remove *aliasChange `json:"remove,omitempty"`
	Add    *aliasChange `json:"add,omitempty"`
}

type aliasChange struct {
	Index     string `json:"index"`
	Alias     string `json:"alias"`
	MustExist *bool  `json:"must_exist,omitempty"`
}

// switchAlias takes a name from all indices of its kind and gives it to some.
func (d *Documents) switchAlias(ctx context.Context, name string, indices []string) error {
	may := false
	alias := d.name(name)
	actions := []aliasAction{{Remove: &aliasChange{alias + "-*", alias, &may}}}
	for _, index := range indices {
		actions = append(actions, aliasAction{Add: &aliasChange{d.name(index), alias, nil}})
	}
	body, err := json.Marshal(struct {
		Actions []aliasAction `json:"actions"`
	}{actions})
	if err != nil {
		return err
	}
	var answer struct {
		Results []struct {
			Status int
			Error  struct{ Type, Reason string }
		} `json:"action_results"`
	}
	err = d.call(ctx, "alias", func() request {
		return esapi.IndicesUpdateAliasesRequest{Body: bytes.NewReader(body)}
	}, &answer)
	for _, r := range answer.Results {
		if err == nil && r.Status >= 300 && r.Error.Type != typeNoAlias {
			err = &refusal{r.Status, r.Error.Type, r.Error.Reason}
		}
	}
	return err
}

// Indices lists the indices whose names begin with prefix, ascending.
func (d *Documents) Indices(ctx context.Context, prefix string) ([]string, error) {
	if err := d.enter(ctx); err != nil {
		return nil, fmt.Errorf("list indices %q: %w", prefix, err)
	}
	defer d.calls.Done()
	return d.indices(ctx, prefix)
}

func (d *Documents) indices(ctx context.Context, prefix string) ([]string, error) {
	var there map[string]struct{}
	err := d.call(ctx, "indices", func() request {
		return esapi.IndicesGetAliasRequest{Index: []string{d.name("*")}}
	}, &there)
	if err != nil {
		return nil, fmt.Errorf("list indices %q: %w", prefix, err)
	}
	var names []string
	for name := range maps.Keys(there) {
		if index := d.unname(name); strings.HasPrefix(index, prefix) && schemas.CheckIndex(index) == nil {
			names = append(names, index)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Drop removes indices with all that is in them. One that is not there is no error.
func (d *Documents) Drop(ctx context.Context, indices ...string) error {
	if err := d.drop(ctx, indices); err != nil {
		return fmt.Errorf("drop %s: %w", strings.Join(indices, ", "), err)
	}
	return nil
}

func (d *Documents) drop(ctx context.Context, indices []string) error {
	if err := d.enter(ctx); err != nil {
		return err
	}
	defer d.calls.Done()
	for _, index := range indices {
		if err := schemas.CheckIndex(index); err != nil {
			return err
		}
	}
	ignore := true
	const atOnce = 20 // names stand in the request's first line, which may have 4 KiB
	for part := range slices.Chunk(indices, atOnce) {
		err := d.call(ctx, "drop", func() request {
			return esapi.IndicesDeleteRequest{Index: d.names(part), IgnoreUnavailable: &ignore}
		}, nil)
		if err != nil {
			return err
		}
	}
	return nil
}
