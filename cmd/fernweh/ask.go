package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"fernweh/schemas"
	serve "fernweh/serving"
)

// An asker talks to the API of the process that has the data directory.
type asker struct {
	api    string
	key    string // empty: the owner's door asks for none
	client *http.Client
}

var noteOf = regexp.MustCompile(regexp.QuoteMeta(notePrefix) + `([^\s,]+)`)

// askerOf finds the API in what the lock says. With a key it asks there, without
// one at the owner's socket, where that is open.
func askerOf(ctx context.Context, c *config, locked error) (asker, error) {
	m := noteOf.FindStringSubmatch(locked.Error())
	if m == nil {
		return asker{}, locked
	}
	a := asker{"http://" + m[1], c.Serve.Key, http.DefaultClient}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return dialSocket(ctx, c.accessFolder()) }
	if a.key != "" {
		return a, nil
	}
	if conn, err := dial(ctx, "", ""); err == nil {
		a.client = &http.Client{Transport: &http.Transport{DialContext: dial}}
		return a, conn.Close()
	}
	return a, nil
}

// call sends one request and decodes its answer.
func (a asker) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, a.api+path, body)
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	if a.key != "" {
		r.Header.Set("Authorization", "Bearer "+a.key)
	}
	resp, err := a.client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, r.URL, err)
	}
	if resp.StatusCode == http.StatusUnauthorized && a.key == "" {
		return fmt.Errorf("%s %s: that process asks for an administrator's key: FERNWEH_ADMIN_KEY, or admin-key-file", method, r.URL.Path)
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %s", method, r.URL, resp.Status, bytes.TrimSpace(b))
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(b, out)
}

// askRun lets the other process do the run and shows how it goes.
func askRun(ctx context.Context, c *config, locked error, to console) error {
	a, err := askerOf(ctx, c, locked)
	if err != nil {
		return err
	}
	var run schemas.Run
	if err := a.call(ctx, http.MethodPost, "/v1/runs", nil, &run); err != nil {
		return err
	}
	p := newProgress(to.log)
	for run.State == schemas.RunRunning {
		select {
		case <-ctx.Done():
			return fmt.Errorf("run %d goes on in the other process: %w", run.Number, ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
		if err := a.call(ctx, http.MethodGet, fmt.Sprintf("/v1/runs/%d", run.Number), nil, &run); err != nil {
			return err
		}
		p.show(run, 0, 0)
	}
	p.end(run)
	if run.State != schemas.RunPublished {
		return fmt.Errorf("run %d: %s", run.Number, run.Error)
	}
	fmt.Fprintf(to.out, "generation %d is published\n", run.Number)
	return nil
}

// askRebuild lets the other process do the rebuild, which is the one that has the
// stores.
func askRebuild(ctx context.Context, c *config, locked error, to console) error {
	a, err := askerOf(ctx, c, locked)
	if err != nil {
		return err
	}
	var run schemas.Run
	in := map[string]string{"views": c.Views}
	if err := a.call(ctx, http.MethodPost, "/v1/rebuilds", in, &run); err != nil {
		return err
	}
	printRun(to.out, run)
	printRebuilt(to.out, run, c.Views)
	return nil
}

// askErase lets the other process write the erasure.
func askErase(ctx context.Context, c *config, locked error, to console) error {
	a, err := askerOf(ctx, c, locked)
	if err != nil {
		return err
	}
	path := "/v1/visitors/" + url.PathEscape(c.Erase.Device)
	if c.Erase.Force {
		path += "?force=true"
	}
	if c.Erase.Customer != "" {
		path = "/v1/persons/" + url.PathEscape(c.Erase.Customer)
	}
	var erased serve.Erased
	if err := a.call(ctx, http.MethodDelete, path, nil, &erased); err != nil {
		return err
	}
	printErased(to.out, erased)
	return nil
}

func askHistory(ctx context.Context, c *config, locked error, to console) error {
	a, err := askerOf(ctx, c, locked)
	if err != nil {
		return err
	}
	var out struct{ Runs []schemas.Run }
	if err := a.call(ctx, http.MethodGet, "/v1/runs?limit=1000", nil, &out); err != nil {
		return err
	}
	for i := range out.Runs {
		printRun(to.out, out.Runs[len(out.Runs)-1-i])
	}
	return nil
}

func askRollback(ctx context.Context, c *config, locked error, generation int64, to console) error {
	a, err := askerOf(ctx, c, locked)
	if err != nil {
		return err
	}
	in := map[string]int64{"to": generation}
	if err := a.call(ctx, http.MethodPost, "/v1/generations/rollback", in, nil); err != nil {
		return err
	}
	fmt.Fprintf(to.out, "generation %d is published again\n", generation)
	return nil
}
