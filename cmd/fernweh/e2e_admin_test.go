package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"fernweh/serving/access"
)

// laptop is a portal as it is the first time: no key is in its settings.
func laptop(t *testing.T, args ...string) *portal {
	t.Helper()
	p := newPortal(t, args...)
	i := slices.Index(p.args, "--serve-admin-keys")
	p.args = slices.Delete(p.args, i, i+2)
	p.key = ""
	return p
}

// call runs a command to its end, with further settings in the environment.
func (p *portal) call(env []string, args ...string) (out, log string, err error) {
	c := fernweh(p.T, args...)
	c.Env = append(c.Env, env...)
	var o, l bytes.Buffer
	c.Stdout, c.Stderr = &o, &l
	err = c.Run()
	return o.String(), l.String(), err
}

var keyText = regexp.MustCompile(`fwk_[A-Za-z0-9_-]{43}`)

// status is that of one request to the API.
func (p *portal) status(method, path, key, host string) int {
	p.Helper()
	r, err := http.NewRequestWithContext(p.Context(), method, "http://"+p.doors[1]+path, nil)
	if err != nil {
		p.Fatal(err)
	}
	r.Host = host
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err := client.Do(r)
	if err != nil {
		p.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// audit is what the audit of the data directory holds.
func (p *portal) audit() (rs []access.Record) {
	p.Helper()
	b, err := os.ReadFile(filepath.Join(p.dir, "access", access.AuditFile))
	if err != nil {
		p.Fatal(err)
	}
	for line := range bytes.Lines(b) {
		var r access.Record
		if err := json.Unmarshal(line, &r); err != nil {
			p.Fatalf("%v: %s", err, line)
		}
		rs = append(rs, r)
	}
	return rs
}

// TestALaptopsKeyIsShownOnceAndKeptAsItsHash walks through what its owner does: the
// first start, the key, commands without it, another key, and a second start.
func TestALaptopsKeyIsShownOnceAndKeptAsItsHash(t *testing.T) {
	admin := door(t)
	p := laptop(t, "--admin-addr", admin)
	p.up()
	shown := keyText.FindAllString(p.said.String(), -1)
	if len(shown) != 1 {
		t.Fatalf("the first start shows %d keys, want one: %s", len(shown), p.said)
	}
	first := shown[0]
	for key, want := range map[string]int{"": 401, access.NewKey(): 401, first: 202} {
		if got := p.status("DELETE", "/v1/visitors/phone?force=true", key, ""); got != want {
			t.Errorf("erase with the key %q: got %d, want %d", key, got, want)
		}
	}

	if out, log, err := p.call(nil, "batch", "run", "--data-dir", p.dir); err != nil || !strings.Contains(out, "generation 1 is published") {
		t.Errorf("batch run of the owner: %v: %s %s", err, out, log)
	}
	if _, log, err := p.call([]string{"FERNWEH_ADMIN_KEY=" + access.NewKey()}, "batch", "run", "--data-dir", p.dir); err == nil || !strings.Contains(log, "401") {
		t.Errorf("batch run with a wrong key: %v: %s; want it refused", err, log)
	}
	if _, log, err := p.call([]string{"FERNWEH_ADMIN_KEY=demo"}, "batch", "run", "--data-dir", p.dir); err == nil || !strings.Contains(log, "no administrator's key") {
		t.Errorf("batch run with what is no key: %v: %s; want it named", err, log)
	}
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(first+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, log, err := p.call(nil, "erase", "--data-dir", p.dir, "--device", "tablet", "--force", "--admin-key-file", file); err != nil {
		t.Errorf("erase with the key of a file: %v: %s %s", err, out, log)
	}

	out, log, err := p.call(nil, "key", "new", "anna", "--data-dir", p.dir)
	second := strings.TrimSpace(out)
	if err != nil || !access.IsKey(second) || !strings.Contains(log, fmt.Sprintf("anna=%x", access.DigestOf(second))) {
		t.Fatalf("key new: %v: %s %s, want the key, and its digest beside it", err, out, log)
	}
	if got := p.status("DELETE", "/v1/visitors/phone?force=true", second, ""); got != 202 {
		t.Errorf("erase with a key that was made since: got %d, want 202", got)
	}
	if out, _, err := p.call(nil, "key", "list", "--data-dir", p.dir); err != nil || out != "anna\nlaptop\n" {
		t.Errorf("key list: %v: %q", err, out)
	}
	if _, log, err := p.call(nil, "key", "remove", "laptop", "--data-dir", p.dir); err != nil {
		t.Errorf("key remove: %v: %s", err, log)
	}
	if got := p.status("DELETE", "/v1/visitors/phone?force=true", first, ""); got != 401 {
		t.Errorf("erase with a key that was taken away: got %d, want 401", got)
	}

	for _, url := range []string{"http://" + admin + "/metrics", "http://" + admin + "/readyz", "http://" + p.doors[1] + "/"} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "evil.example"
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 421 {
			t.Errorf("%s of a rebound host: got %d, want 421", url, resp.StatusCode)
		}
	}

	ended := map[string]string{} // act and who did it
	for _, r := range p.audit() {
		if r.What == access.Done {
			ended[r.Act+" by "+r.By] = r.Detail
		}
	}
	owner := fmt.Sprintf("owner of the data directory, user %d", os.Getuid())
	for _, want := range []string{"erase-visitor by laptop", "erase-visitor by anna", "start-run by " + owner} {
		if ended[want] == "" {
			t.Errorf("the audit has no %s: %v", want, ended)
		}
	}
	p.kill()
	p.up()
	if again := keyText.FindAllString(p.said.String(), -1); len(again) != 0 {
		t.Errorf("the second start shows %v", again)
	}
	p.kill()
	p.keepsNone(first, second)
}

// keepsNone: no file of the data directory holds one of the keys, and what is kept
// of them is closed to others.
func (p *portal) keepsNone(keys ...string) {
	p.Helper()
	err := filepath.WalkDir(p.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		for _, key := range keys {
			if bytes.Contains(b, []byte(key)) {
				p.Errorf("%s holds a key in clear", path)
			}
		}
		return err
	})
	if err != nil {
		p.Error(err)
	}
	for name, want := range map[string]fs.FileMode{"": 0o700, access.KeysFile: 0o600, access.AuditFile: 0o600} {
		info, err := os.Stat(filepath.Join(p.dir, "access", name))
		if err != nil || info.Mode().Perm() != want {
			p.Errorf("access/%s: %v, %v, want mode %o", name, info, err, want)
		}
	}
}

// A socket's path may have about a hundred bytes; a data directory's has more.
func TestTheOwnersCommandsWorkInADeepDirectory(t *testing.T) {
	p := laptop(t)
	p.dir = filepath.Join(p.dir, strings.Repeat("deep/", 40), "data")
	p.args[slices.Index(p.args, "--data-dir")+1] = p.dir
	p.up()
	if out, log, err := p.call(nil, "batch", "run", "--data-dir", p.dir); err != nil || !strings.Contains(out, "generation 1 is published") {
		t.Errorf("batch run of the owner: %v: %s %s", err, out, log)
	}
	p.kill() // the socket stays behind
	p.up()
	if out, log, err := p.call(nil, "batch", "run", "--data-dir", p.dir); err != nil || !strings.Contains(out, "generation 2 is published") {
		t.Errorf("batch run after a kill: %v: %s %s", err, out, log)
	}
}

// A command that acts on a stack of its own is in the audit like one that asks.
func TestACommandAloneIsInTheAudit(t *testing.T) {
	p := laptop(t)
	p.up()
	if _, _, err := p.post(`{"batch":[{"type":"page","messageId":"1","anonymousId":"phone"}]}`); err != nil {
		t.Fatal(err)
	}
	p.stop()
	for _, args := range [][]string{{"erase", "--device", "phone", "--force"}, {"batch", "run"}} {
		args = append(args, "--data-dir", p.dir, "--partitions", fmt.Sprint(partitions))
		if out, log, err := p.call(nil, args...); err != nil {
			t.Errorf("%v: %v: %s %s", args, err, out, log)
		}
	}
	var got []string
	for _, r := range p.audit() {
		got = append(got, fmt.Sprintf("%s %s %s", r.Act, r.Target, r.What))
		if r.By != fmt.Sprintf("command line, user %d", os.Getuid()) {
			t.Errorf("got %+v, want the command line", r)
		}
	}
	want := []string{
		"erase-visitor " + access.Hash("device", "phone") + " begun", "erase-visitor " + access.Hash("device", "phone") + " done",
		"start-run  begun", "start-run  done",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Where other machines are meant to ask, a key must be there before the door
// opens, and personal answers ask for it.
func TestAnOpenDoorNeedsAKeyFirst(t *testing.T) {
	for _, args := range [][]string{
		{"serve", "--serve-addr", "0.0.0.0:0"}, {"up", "--serve-addr", "[::]:0", "--ingest-addr", "127.0.0.1:0"},
		{"up", "--allowed-hosts", "portal.example.com", "--serve-addr", "127.0.0.1:0", "--ingest-addr", "127.0.0.1:0"},
	} {
		p := &portal{T: t, dir: filepath.Join(t.TempDir(), "data")}
		_, log, err := p.call(nil, append(args, "--data-dir", p.dir)...)
		if err == nil || !strings.Contains(log, "fernweh key print") || !strings.Contains(log, "serve-admin-keys") {
			t.Errorf("%v: %v: %s; want it refused, with what to do", args, err, log)
		}
		if _, err := os.Stat(p.dir); err == nil {
			t.Errorf("%v: after the refusal the data directory is there", args)
		}
	}
	p := newPortal(t, "--allowed-hosts", "portal.example.com,127.0.0.1")
	p.up()
	for _, c := range []struct {
		key, host string
		want      int
	}{{"", "portal.example.com", 401}, {"", "", 401}, {p.key, "portal.example.com", 404}, {p.key, "evil.example", 421}} {
		if got := p.status("GET", "/v1/visitors/nobody", c.key, c.host); got != c.want {
			t.Errorf("a visitor asked for at host %q with key %q: got %d, want %d", c.host, c.key, got, c.want)
		}
	}
	if got := p.status("GET", "/v1/kpis", "", "portal.example.com"); got != 200 {
		t.Errorf("numbers without a key: got %d, want 200", got)
	}
}
