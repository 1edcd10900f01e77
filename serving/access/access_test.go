package access_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"fernweh/serving/access"
)

func open(t *testing.T, given map[string]access.Digest, folder string) *access.Keys {
	t.Helper()
	k, err := access.OpenKeys(given, folder)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func add(t *testing.T, folder, name string) string {
	t.Helper()
	key, err := access.AddKey(folder, name)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestAKeyIsKeptAsItsHashAloneAndOpensUntilItIsRemoved(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "data", "access")
	keys := open(t, nil, folder)
	if keys.Any() {
		t.Error("there is a key before one was made")
	}
	anna, ben := add(t, folder, "anna"), add(t, folder, "ben")
	for key, want := range map[string]string{anna: "anna", ben: "ben"} {
		if name, ok := keys.Find(key); !ok || name != want {
			t.Errorf("the key of %s: got %q, %v", want, name, ok)
		}
	}
	for _, wrong := range []string{"", "anna", anna[:len(anna)-1], anna + "x", strings.ToUpper(anna), access.NewKey()} {
		if name, ok := keys.Find(wrong); ok {
			t.Errorf("%q opens as %s", wrong, name)
		}
	}
	if err := access.RemoveKey(folder, "anna"); err != nil {
		t.Fatal(err)
	}
	if _, ok := keys.Find(anna); ok {
		t.Error("a key that was removed opens")
	}
	if name, ok := keys.Find(ben); !ok || name != "ben" {
		t.Errorf("the key that stayed: got %q, %v", name, ok)
	}
	err := filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		info, _ := d.Info()
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: mode %v, %v: want it closed to others", path, info.Mode(), err)
		}
		if !d.IsDir() {
			if b, err := os.ReadFile(path); err != nil || strings.Contains(string(b), ben[4:]) {
				t.Errorf("%s holds a key in clear, or cannot be read: %v", path, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestAWordThatSomebodyMadeUpIsNoKey(t *testing.T) {
	keys := open(t, map[string]access.Digest{"weak": access.DigestOf("demo")}, t.TempDir())
	if name, ok := keys.Find("demo"); ok {
		t.Errorf("the word demo opens as %s", name)
	}
}

func TestSettingsGiveKeysBesideTheFile(t *testing.T) {
	folder, given := t.TempDir(), access.NewKey()
	keys := open(t, map[string]access.Digest{"ops": access.DigestOf(given)}, folder)
	filed := add(t, folder, "laptop")
	for key, want := range map[string]string{given: "ops", filed: "laptop"} {
		if name, ok := keys.Find(key); !ok || name != want {
			t.Errorf("the key of %s: got %q, %v", want, name, ok)
		}
	}
}

func TestAKeyFileThatIsWrongIsNamedAndOpensNothing(t *testing.T) {
	for name, c := range map[string]struct {
		text, says string
		mode       os.FileMode
	}{
		"open to others": {"anna " + strings.Repeat("ab", 32) + "\n", "chmod 600", 0o644},
		"no digest":      {"anna\n", "keys:1: want a name", 0o600},
		"half a digest":  {"\nanna abab\n", "keys:2: want the SHA-256", 0o600},
		"no name":        {"../anna " + strings.Repeat("ab", 32), "is no name of a key", 0o600},
		"twice":          {strings.Repeat("anna "+strings.Repeat("ab", 32)+"\n", 2), "keys:2: want each name once", 0o600},
	} {
		folder := t.TempDir()
		keys := open(t, nil, folder)
		good := add(t, folder, "ben")
		if _, ok := keys.Find(good); !ok {
			t.Errorf("%s: the key does not open before", name)
		}
		path := filepath.Join(folder, access.KeysFile)
		if err := os.WriteFile(path, []byte(c.text), c.mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, c.mode); err != nil {
			t.Fatal(err)
		}
		if _, err := access.OpenKeys(nil, folder); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %q", name, err, c.says)
		}
		if _, ok := keys.Find(good); ok {
			t.Errorf("%s: a key of the file before still opens", name)
		}
		if _, err := access.AddKey(folder, "carl"); err == nil {
			t.Errorf("%s: a key was added to a file that is wrong", name)
		}
	}
}

func TestKeysMadeAtOnceAreAllThere(t *testing.T) {
	folder := t.TempDir()
	var g sync.WaitGroup
	for i := range 20 {
		g.Go(func() { add(t, folder, fmt.Sprint("key-", i)) })
	}
	g.Wait()
	if names, err := access.KeyNames(folder); err != nil || len(names) != 20 {
		t.Errorf("got %v, %v, want 20 keys", names, err)
	}
	if _, err := access.AddKey(folder, "key-7"); err == nil || !strings.Contains(err.Error(), "key-7") {
		t.Errorf("a second key-7: got %v, want it refused by name", err)
	}
	if err := access.RemoveKey(folder, "nobody"); err == nil || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("to remove what is not there: got %v, want it named", err)
	}
}

func TestOnlyThisServersNamesAreAnswered(t *testing.T) {
	hosts, err := access.NewHosts("portal.example.com", "10.1.2.3", "autumn-serve")
	if err != nil {
		t.Fatal(err)
	}
	local := &net.TCPAddr{IP: net.ParseIP("192.168.4.5"), Port: 8081}
	for host, want := range map[string]bool{
		"127.0.0.1:8081": true, "127.0.0.1": true, "127.8.9.1:80": true, "localhost:8081": true, "LOCALHOST": true, "localhost.": true,
		"[::1]:8081": true, "[::1]": true, "[::ffff:127.0.0.1]:80": true,
		"portal.example.com": true, "Portal.Example.COM.:443": true, "10.1.2.3:80": true, "autumn-serve": true,
		"192.168.4.5:8081": true, "192.168.4.5": true, "[::ffff:192.168.4.5]": true,
		"": false, "evil.example": false, "127.0.0.1.evil.example": false, "localhost.evil.example": false, "portal.example.com.evil.example": false,
		"192.168.4.6:8081": false, "10.1.2.4": false, "0.0.0.0:8081": false, "2130706433": false, "evil.example:127.0.0.1": false,
		"portal.example.com:80:80": false, "[::2]:8081": false, "user@127.0.0.1": false,
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = host
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(local)))
		if got := hosts.Allow(r); got != want {
			t.Errorf("host %q: got %v, want %v", host, got, want)
		}
	}
	for _, bad := range []string{"http://portal.example.com", "portal.example.com:80", "", "*", "a b"} {
		if _, err := access.NewHosts(bad); err == nil {
			t.Errorf("%q is taken as a host", bad)
		}
	}
	if none, _ := access.NewHosts("127.0.0.1", "localhost"); none.Foreign() || !hosts.Foreign() {
		t.Error("a name of this machine alone is foreign, or one of others is not")
	}
}

func TestAnAllowanceIsForEachAddressAndItsMemoryIsBounded(t *testing.T) {
	a := access.Allowance{AtOnce: 3, Every: time.Second}
	now := time.Unix(1_800_000_000, 0)
	anna, ben := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	taken := func(from netip.Addr, times int) (n int) {
		for range times {
			if a.Take(from, now) {
				n++
			}
		}
		return n
	}
	if got := taken(anna, 10); got != 3 {
		t.Errorf("at once: got %d, want 3", got)
	}
	if got := taken(ben, 10); got != 3 {
		t.Errorf("another address: got %d, want 3 of its own", got)
	}
	now = now.Add(2 * time.Second)
	if got := taken(anna, 10); got != 2 {
		t.Errorf("two seconds later: got %d, want 2", got)
	}
	strangers := 0
	for i := range 100_000 {
		strangers += taken(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(i >> 16), byte(i >> 8), byte(i)}), 1)
	}
	if strangers > 1024+3 {
		t.Errorf("a stranger with 100,000 networks: got %d, want no more than are remembered and one shared allowance", strangers)
	}
	if got := taken(netip.MustParseAddr("2001:db8::1"), 1) + taken(netip.MustParseAddr("2001:db8::2"), 9); got > 3 {
		t.Errorf("two addresses of one /64: got %d, want at most 3 together", got)
	}
}

func records(t *testing.T, folder string) (rs []access.Record) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(folder, access.AuditFile))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		var r access.Record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Logf("no record: %q", line)
			continue
		}
		rs = append(rs, r)
	}
	return rs
}

func TestTheAuditGrowsAndACutLineCostsNoOther(t *testing.T) {
	folder := t.TempDir()
	write := func(acts ...string) {
		t.Helper()
		a, err := access.OpenAudit(folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, act := range acts {
			if err := a.Append(access.Record{Act: act, What: access.Begun}); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	}
	write("first", "second")
	path := filepath.Join(folder, access.AuditFile)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b[:len(b)-9], 0o600); err != nil { // as a crash leaves it
		t.Fatal(err)
	}
	write("third")
	var acts []string
	for _, r := range records(t, folder) {
		acts = append(acts, r.Act)
	}
	if !slices.Equal(acts, []string{"first", "third"}) {
		t.Errorf("got %v, want the first and the third: the second was cut off", acts)
	}
}

func TestProcessesShareAnAudit(t *testing.T) {
	folder := t.TempDir()
	var g sync.WaitGroup
	for range 4 {
		a, err := access.OpenAudit(folder)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		g.Go(func() {
			for range 20 {
				if err := a.Append(access.Record{Act: strings.Repeat("x", 3000), What: access.Done}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	g.Wait()
	if n := len(records(t, folder)); n != 80 {
		t.Errorf("got %d whole lines, want 80", n)
	}
}

func TestAHashNamesNobody(t *testing.T) {
	h := access.Hash("device", "herr-mueller-laptop")
	if strings.Contains(h, "mueller") || h == access.Hash("customer", "herr-mueller-laptop") || h != access.Hash("device", "herr-mueller-laptop") {
		t.Errorf("got %s, want the same hash for the same device, another for a customer, and no name", h)
	}
}
