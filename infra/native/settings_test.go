package native_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/xml"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"fernweh/infra/native"
)

// TestSettingsHoldTheServersOwnPlace: two servers of a kind share neither a port nor a folder.
func TestSettingsHoldTheServersOwnPlace(t *testing.T) {
	templates := map[native.Kind]string{
		native.Kafka: "server.properties", native.HBase: "hbase-site.xml", native.Elastic: "elasticsearch.yml",
	}
	number := regexp.MustCompile(`\b\d{5}\b`)
	for kind, name := range templates {
		t.Run(string(kind), func(t *testing.T) {
			ports := make(native.Ports)
			for listener := range native.DefaultPorts(kind) {
				ports[listener] = 31000 + len(ports)
			}
			text, err := native.Render(kind, name, "/srv/one", ports)
			if err != nil {
				t.Fatal(err)
			}
			for listener, port := range ports {
				if !strings.Contains(text, strconv.Itoa(port)) {
					t.Errorf("%s names no port %d for %s", name, port, listener)
				}
			}
			for _, found := range number.FindAllString(text, -1) {
				if port, _ := strconv.Atoi(found); port >= 20000 && port < 31000 {
					t.Errorf("%s names %s, a port of another server", name, found)
				}
			}
			for _, address := range regexp.MustCompile(`\d+\.\d+\.\d+\.\d+`).FindAllString(text, -1) {
				if address != "127.0.0.1" {
					t.Errorf("%s names %s, and all servers listen on 127.0.0.1", name, address)
				}
			}
			if !strings.Contains(text, "/srv/one/data") {
				t.Errorf("%s keeps its data elsewhere than in /srv/one", name)
			}
		})
	}
}

func TestSettingsParse(t *testing.T) {
	const dir = `/srv/a & <b> "c" ü`
	site, err := native.Render(native.HBase, "hbase-site.xml", dir, native.DefaultPorts(native.HBase))
	if err != nil {
		t.Fatal(err)
	}
	var conf struct {
		Property []struct {
			Name  string `xml:"name"`
			Value string `xml:"value"`
		} `xml:"property"`
	}
	if err := xml.Unmarshal([]byte(site), &conf); err != nil {
		t.Fatal(err)
	}
	if got, want := conf.Property[1].Value, "file://"+dir+"/data"; got != want {
		t.Errorf("HBase reads the folder %q, want %q", got, want)
	}
	yml, err := native.Render(native.Elastic, "elasticsearch.yml", dir, native.DefaultPorts(native.Elastic))
	if err != nil {
		t.Fatal(err)
	}
	var values map[string]any
	if err := yaml.Unmarshal([]byte(yml), &values); err != nil {
		t.Fatal(err)
	}
	if got, want := values["path.data"], dir+"/data"; got != want {
		t.Errorf("Elasticsearch reads the folder %q, want %q", got, want)
	}
}

// TestPropertyIsReadBackByJava: whatever a folder is called, Java reads its name.
func TestPropertyIsReadBackByJava(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.String().Draw(t, "value")
		text := native.Property(value)
		if i := strings.IndexFunc(text, func(r rune) bool { return r < 0x20 || r > 0x7e }); i >= 0 {
			t.Fatalf("%q is written as %q, which is no ASCII at %d", value, text, i)
		}
		var units []uint16
		for len(text) > 0 {
			unit, n := uint64(text[0]), 1
			if strings.HasPrefix(text, `\u`) {
				var err error
				if unit, err = strconv.ParseUint(text[2:6], 16, 16); err != nil {
					t.Fatal(err)
				}
				n = 6
			}
			units, text = append(units, uint16(unit)), text[n:]
		}
		if got := string(utf16.Decode(units)); got != value {
			t.Fatalf("%q is read back as %q", value, got)
		}
	})
}

func TestOptionsAreChecked(t *testing.T) {
	tests := []struct {
		name string
		kind native.Kind
		o    native.Options
		want string
	}{
		{"a port of another server", native.HBase, native.Options{Ports: native.Ports{"http": 1}}, `hbase has no port called "http": it has zookeeper=22181,master=26000,region=26020`},
		{"no port", native.Kafka, native.Options{Ports: native.Ports{"plain": 0}}, "port plain of kafka is 0: it must lie between 1 and 65535"},
		{"too high a port", native.Kafka, native.Options{Ports: native.Ports{"plain": 65536}}, "port plain of kafka is 65536: it must lie between 1 and 65535"},
		{"one port twice", native.Elastic, native.Options{Ports: native.Ports{"http": 29300}}, "two ports of elastic are the same"},
		{"a folder that would be two", native.Kafka, native.Options{Dir: "a,b"}, "folder a,b of kafka"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := native.New(test.kind, test.o)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("New says %v, want %q", err, test.want)
			}
		})
	}
	if _, err := native.KindOf("redis"); err == nil || !strings.Contains(err.Error(), `"redis"`) {
		t.Errorf("KindOf says %v, want the name that it does not know", err)
	}
}

// TestFreePortsAreFree: and none of them is given twice, nor a default one that servers-up may want.
func TestFreePortsAreFree(t *testing.T) {
	given := map[int]bool{}
	for _, kind := range slices.Repeat(native.Kinds(), 20) { // without a reservation, some would come twice
		ports, err := native.FreePorts(kind)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := native.New(kind, native.Options{Ports: ports}); err != nil {
			t.Errorf("free ports of %s are refused: %v", kind, err)
		}
		for name, port := range ports {
			if port == native.DefaultPorts(kind)[name] {
				t.Errorf("the free port %s of %s is the default one", name, kind)
			}
			if given[port] {
				t.Errorf("port %d is given a second time, for %s of %s", port, name, kind)
			}
			given[port] = true
		}
	}
}

// TestTakenPortIsNamed: before anything is written or started.
func TestTakenPortIsNamed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	for _, kind := range native.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			ports, err := native.FreePorts(kind)
			if err != nil {
				t.Fatal(err)
			}
			var taken string
			for name := range ports {
				taken = name
			}
			ports[taken] = port
			dir := t.TempDir()
			err = server(t, kind, native.Options{Dir: dir, Ports: ports, Cache: filepath.Join(dir, "no cache")}).Start(t.Context())
			want := fmt.Sprintf("its port %s: another process listens on 127.0.0.1:%d", taken, port)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Fatalf("Start says %v, want %q", err, want)
			}
			if left := entries(t, dir); !slices.Equal(left, []string{"LOCK"}) {
				t.Errorf("the attempt left %v", left)
			}
		})
	}
}

// entries are the names in a folder.
func entries(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

// TestSecret: the door's certificate is one that its own authority signed for
// this machine, the next start finds the same, another folder has others, and
// a start that was killed half way leaves nothing that is taken for whole.
func TestSecret(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "secret.new"), 0o700); err != nil {
		t.Fatal(err)
	}
	first := openSecret(t, dir)
	if again := openSecret(t, dir); again != first {
		t.Errorf("opened again the secret is %+v, want %+v", again, first)
	}
	if other := openSecret(t, t.TempDir()); other.Password == first.Password {
		t.Error("two folders have one password")
	}
	if stat, err := os.Stat(filepath.Dir(first.CA)); err != nil || stat.Mode().Perm() != 0o700 {
		t.Errorf("the secret's folder is %v (%v), want only its owner in it", stat.Mode(), err)
	}
	ca, err := os.ReadFile(first.CA)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		t.Fatal("ca.pem holds no certificate")
	}
	pem := filepath.Join(filepath.Dir(first.CA), "server.pem")
	pair, err := tls.LoadX509KeyPair(pem, pem)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"127.0.0.1", "localhost"} {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots}); err != nil {
			t.Errorf("as %s: %v", name, err)
		}
	}
	if _, err := server(t, native.HBase, native.Options{Dir: dir}).Secret(); err == nil {
		t.Error("HBase has a secret, and asks for none")
	}
	if _, err := server(t, native.Kafka, native.Options{Dir: t.TempDir()}).Secret(); err == nil {
		t.Error("a Kafka that was never started has a secret")
	}
}

func openSecret(t *testing.T, dir string) native.Secret {
	t.Helper()
	s, err := native.OpenSecret(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestHBaseServes(t *testing.T) {
	const (
		ready     = "INFO [master] HMaster Master has completed initialization 9.1sec"
		found     = "INFO [master] AssignmentManager Scheduled ServerCrashProcedure pid=37 for 127.0.0.1,26020,1795 (carryingMeta=true)"
		part      = "INFO [PEWorker-3] ProcedureExecutor Finished pid=39, ppid=37, state=SUCCESS; SplitWALRemoteProcedure 127.0.0.1 in 0.1 sec"
		other     = "INFO [PEWorker-3] ProcedureExecutor Finished pid=3, state=SUCCESS; ServerCrashProcedure 127.0.0.1,26020,1794 in 43 sec"
		recovered = "INFO [PEWorker-3] ProcedureExecutor Finished pid=37, state=SUCCESS; ServerCrashProcedure 127.0.0.1,26020,1795 in 11 sec"
	)
	tests := []struct {
		name string
		log  []string
		want bool
	}{
		{"no log", nil, false},
		{"a first start", []string{ready}, true},
		{"a master that begins", []string{found, part}, false},
		{"regions back before the master", []string{found, part, recovered}, false},
		{"the master before the regions", []string{found, part, ready}, false},
		{"of two dead servers one is settled", []string{found, part, ready, other}, false},
		{"the master first, then the regions", []string{found, part, ready, recovered}, true},
		{"the regions first, then the master", []string{found, other, recovered, ready}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := native.HBaseServes([]byte(strings.Join(test.log, "\n") + "\n")); got != test.want {
				t.Errorf("serves: %t, want %t, by the log\n%s", got, test.want, strings.Join(test.log, "\n"))
			}
		})
	}
}

func TestExcerpt(t *testing.T) {
	numbered := func(n int) (lines []string) {
		for i := range n {
			lines = append(lines, fmt.Sprintf("2026-11-22 10:00:00,000 INFO Server line %d", i))
		}
		return lines
	}
	tests := []struct {
		name string
		log  []string
		want []string
	}{
		{"without trouble its end", numbered(40), numbered(40)[28:]},
		{"a short one whole", numbered(2), numbered(2)},
		{
			"trouble and what follows it",
			slices.Concat(numbered(5), []string{"2026-11-22 10:00:00,000 ERROR Server can't bind", "java.net.BindException: in use", "\tat a.b.C"}, numbered(30)),
			[]string{"2026-11-22 10:00:00,000 ERROR Server can't bind", "java.net.BindException: in use", "\tat a.b.C"},
		},
		{
			"a word of a setting is no trouble",
			[]string{"2026-11-22 10:00:00,000 INFO Server ERRORS_TO = x", "2026-11-22 10:00:00,000 FATAL Server no"},
			[]string{"2026-11-22 10:00:00,000 FATAL Server no"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := native.Excerpt([]byte(strings.Join(test.log, "\n") + "\n"))
			if want := "\t" + strings.Join(test.want, "\n\t"); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}
