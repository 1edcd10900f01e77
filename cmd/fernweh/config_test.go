package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"fernweh/serving/access"
)

// call runs the program as a shell would, with nothing else in its environment.
func call(environ []string, args ...string) (out, log string, err error) {
	var o, l bytes.Buffer
	err = run(context.Background(), args, environ, console{&o, &l})
	return o.String(), l.String(), err
}

// write puts a settings file into a folder of the test's own.
func write(t *testing.T, yaml string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "fernweh.yaml")
	if err := os.WriteFile(path, []byte(yaml), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// everything is a command that all settings concern.
func everything() command { return command{name: "config"} }

func TestEveryDefaultIsPossible(t *testing.T) {
	c, err := load(everything(), nil, nil)
	if err != nil {
		t.Fatalf("as it stands on a laptop: %v", err)
	}
	if got := c.Ingest.SpoolSize; got != 1<<30 {
		t.Errorf("spool: got %d bytes, want 1 GiB", got)
	}
	if got := c.Speed.FlushDelay; got != 50*time.Millisecond {
		t.Errorf("flush delay: got %v, want 50ms", got)
	}
	if got, want := c.Batch.Schedule, []clock{{Hour: 10, Minute: 30}, {Hour: 19, Minute: 30}}; !slices.Equal(got, want) {
		t.Errorf("schedule: got %v, want %v", got, want)
	}
	if c.Zone.String() != "Europe/Berlin" || c.Log.Brokers != nil || !c.Ingest.AssumeConsent {
		t.Errorf("got zone %v, brokers %v, assumed consent %v", c.Zone, c.Log.Brokers, c.Ingest.AssumeConsent)
	}
}

func TestSettingsAreDeclaredInFull(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range new(config).settings() {
		if seen[s.name] {
			t.Errorf("%s is declared twice", s.name)
		}
		seen[s.name] = true
		if s.about == "" || strings.HasSuffix(s.about, ".") || s.kind.noun == "" || s.commands == "" {
			t.Errorf("%s: want a sentence without full stop, a noun and commands; got %q, %q, %q",
				s.name, s.about, s.kind.noun, s.commands)
		}
		if noSetting(s.variable()) {
			t.Errorf("%s can't be set from the environment: the tests have its variable", s.name)
		}
	}
}

func TestFlagBeforeEnvironmentBeforeFileBeforeDefault(t *testing.T) {
	file := write(t, "# the portal's\npartitions: 3\nbatch-seed: 3\nspeed-batch: 3\n")
	environ := []string{"FERNWEH_PARTITIONS=2", "FERNWEH_BATCH_SEED=2", "FERNWEH_CONFIG=" + file, "HOME=/"}
	c, err := load(everything(), []string{"--partitions", "1"}, environ)
	if err != nil {
		t.Fatal(err)
	}
	if c.Log.Partitions != 1 || c.Batch.Seed != 2 || c.Speed.Batch != 3 || c.Batch.Restarts != 5 {
		t.Errorf("got flag %d, environment %d, file %d, default %d, want 1, 2, 3, 5",
			c.Log.Partitions, c.Batch.Seed, c.Speed.Batch, c.Batch.Restarts)
	}
	wants := map[string]string{
		"partitions": "--partitions", "batch-seed": "FERNWEH_BATCH_SEED", "speed-batch": file + ":4", "batch-restarts": "default",
	}
	for _, f := range c.inForce {
		if want, ok := wants[f.setting.name]; ok && f.origin != want {
			t.Errorf("%s comes from %q, want %q", f.setting.name, f.origin, want)
		}
	}
}

func TestFileHasListsAndMappings(t *testing.T) {
	key := strings.Repeat("ab", 32)
	file := write(t, "kafka-brokers: [kafka-1:9092, kafka-2:9092]\nbatch-schedule: \"\"\ningest-assume-consent: false\n"+
		"ingest-write-keys:\n  web: "+key+"\n  app: "+key+"\n")
	c, err := load(everything(), []string{"--config=" + file}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"kafka-1:9092", "kafka-2:9092"}; !slices.Equal(c.Log.Brokers, want) {
		t.Errorf("got brokers %q, want %q", c.Log.Brokers, want)
	}
	if len(c.Ingest.WriteKeys) != 2 || c.Ingest.WriteKeys["app"][0] != 0xab {
		t.Errorf("got write keys %x, want web and app", c.Ingest.WriteKeys)
	}
	if c.Batch.Schedule != nil || c.Ingest.AssumeConsent {
		t.Errorf("got schedule %v, assumed consent %v, want none and false", c.Batch.Schedule, c.Ingest.AssumeConsent)
	}
}

// Whoever sets something wrong reads where it stands, what it is and what would be right.
func TestWrongSettingsAreNamed(t *testing.T) {
	tests := []struct {
		name    string
		args    []string
		environ []string
		yaml    string
		wants   []string
	}{
		{"flag mistyped", []string{"--partitons", "3"}, nil, "", []string{"--partitons", "did you mean --partitions?"}},
		{"flag by its last part", []string{"--spool-size=3"}, nil, "", []string{"did you mean --ingest-spool-size?"}},
		{"flag like nothing", []string{"--qwertyuiop", "3"}, nil, "", []string{"--qwertyuiop: config has no such setting"}},
		{"flag without value", []string{"--timezone"}, nil, "", []string{"--timezone needs a value: --timezone zone"}},
		{"flag followed by a flag", []string{"--timezone", "--partitions=1"}, nil, "", []string{"--timezone needs a value"}},
		{"argument too many", []string{"now"}, nil, "", []string{`not "now"`}},
		{"not a number", []string{"--partitions", "many"}, nil, "", []string{`--partitions: "many" is not a whole number from 1 to 1024`}},
		{"below its bound", []string{"--simulate-rate", "-1"}, nil, "", []string{`--simulate-rate: "-1"`, "from 0"}},
		{"neither true nor false", nil, []string{"FERNWEH_INGEST_ASSUME_CONSENT=yes"}, "", []string{"FERNWEH_INGEST_ASSUME_CONSENT", `"yes" is neither true nor false`}},
		{"variable mistyped", nil, []string{"FERNWEH_SERVE_ADRR=:1"}, "", []string{"FERNWEH_SERVE_ADRR", "did you mean FERNWEH_SERVE_ADDR?"}},
		{"key mistyped", nil, nil, "# a\ntimezon: UTC\n", []string{"fernweh.yaml:2", `"timezon"`, "did you mean timezone?"}},
		{"value wrong in the file", nil, nil, "\n\nspeed-flush-delay: 50\n", []string{"fernweh.yaml:3: speed-flush-delay", `"50" is not a duration`, "50ms"}},
		{"key twice", nil, nil, "partitions: 1\npartitions: 2\n", []string{"fernweh.yaml:2", "second time", "fernweh.yaml:1"}},
		{"key without value", nil, nil, "partitions:\n", []string{"fernweh.yaml:1", "partitions", "no value"}},
		{"nested", nil, nil, "partitions: [[1]]\n", []string{"fernweh.yaml:1", "partitions", "nested too deep"}},
		{"alias", nil, nil, "partitions: &p 1\nbatch-seed: *p\n", []string{"fernweh.yaml:2", "batch-seed", "aliases"}},
		{"file names a file", nil, nil, "config: other.yaml\n", []string{"fernweh.yaml:1", `"config"`}},
		{"not YAML", nil, nil, "partitions: [\n", []string{"fernweh.yaml", "yaml"}},
		{"not a mapping", nil, nil, "- partitions\n", []string{"fernweh.yaml:1", "setting: value"}},
		{"two documents", nil, nil, "partitions: 1\n---\npartitions: 2\n", []string{"one YAML document"}},
		{"no such file", []string{"--config", "/nowhere/f.yaml"}, nil, "", []string{"/nowhere/f.yaml", "there is no file"}},
		{"level", []string{"--log-level=loud"}, nil, "", []string{`"loud"`, "debug, info, warn, error"}},
		{"zone", []string{"--timezone=Berlin"}, nil, "", []string{`"Berlin"`, "Europe/Berlin"}},
		{"the machine's own zone", []string{"--timezone=Local"}, nil, "", []string{`"Local"`}},
		{"port", []string{"--serve-addr=127.0.0.1:99999"}, nil, "", []string{`"127.0.0.1:99999"`, "65535"}},
		{"broker without port", []string{"--kafka-brokers=a:1,b"}, nil, "", []string{`"b"`, "host:port"}},
		{"empty place in a list", []string{"--kafka-brokers=a:1,,b:1"}, nil, "", []string{`""`, "host:port"}},
		{"decimal unit", []string{"--ingest-max-body=4MB"}, nil, "", []string{`"4MB"`, "KiB, MiB"}},
		{"size beyond all numbers", []string{"--batch-memory=9999999999TiB"}, nil, "", []string{"9999999999TiB"}},
		{"clock", []string{"--batch-schedule=10:30,25:00"}, nil, "", []string{`"25:00"`, "10:30"}},
		{"part of the day", []string{"--batch-quiet-hours=22:00"}, nil, "", []string{"batch-quiet-hours", `"22:00"`, "22:00-10:00"}},
		{"a whole day of quiet", []string{"--batch-quiet-hours=22:00-22:00"}, nil, "", []string{"batch-quiet-hours", "22:00-10:00"}},
		{"a wait below nothing", []string{"--batch-retry=-1s"}, nil, "", []string{"batch-retry", `"-1s"`}},
		{"a key, not its digest", []string{"--ingest-write-keys=web=demo"}, nil, "", []string{`source "web"`, "sha256sum"}},
		{"no key at all", []string{"--ingest-write-keys="}, nil, "", []string{"nobody could send"}},
		{"origin with a path", []string{"--ingest-cors-origins=https://a.example/shop"}, nil, "", []string{"https://a.example/shop", "origin"}},
		{"proxy by name", []string{"--ingest-proxies=10.0.0.0/8,ingress"}, nil, "", []string{"ingest-proxies", `"ingress"`, "10.0.0.0/8"}},
		{"url", []string{"--collector-url=127.0.0.1:8080"}, nil, "", []string{"127.0.0.1:8080", "http://"}},
		{"no directory", []string{"--data-dir="}, nil, "", []string{"--data-dir", "empty"}},
		{"demo key for everybody", []string{"--ingest-addr=0.0.0.0:8080"}, nil, "", []string{"ingest-addr 0.0.0.0:8080", `"web"`, "write key"}},
		{"demo key for everybody, unsaid", []string{"--ingest-addr=:8080"}, nil, "", []string{"ingest-addr :8080", "write key"}},
		{"one port for two", []string{"--serve-addr=127.0.0.1:8080"}, nil, "", []string{"ingest-addr and serve-addr"}},
		{"body greater than the spool", []string{"--ingest-max-body=8MiB", "--ingest-spool-size=4MiB"}, nil, "", []string{"8MiB", "4MiB"}},
		{"two things wrong", []string{"--partitions=0"}, []string{"FERNWEH_X=1"}, "", []string{"--partitions", "FERNWEH_X"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.yaml != "" {
				test.environ = append(test.environ, "FERNWEH_CONFIG="+write(t, test.yaml))
			}
			out, _, err := call(test.environ, append([]string{"config"}, test.args...)...)
			if code := exitCode(err); code != 2 || out != "" {
				t.Fatalf("got exit code %d, error %v, output %q, want 2 and no output", code, err, out)
			}
			for _, want := range test.wants {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, want %q in it", err, want)
				}
			}
		})
	}
}

func TestOwnKeyMayListenToOtherMachines(t *testing.T) {
	own := "--ingest-write-keys=web=" + strings.Repeat("0f", 32)
	if _, err := load(everything(), []string{"--ingest-addr=0.0.0.0:8080", own}, nil); err != nil {
		t.Error(err)
	}
	for _, addr := range []string{"localhost:8080", "[::1]:8080", "127.0.0.2:0"} {
		if _, err := load(everything(), []string{"--ingest-addr", addr}, nil); err != nil {
			t.Errorf("demo key on %s: %v", addr, err)
		}
	}
	if _, err := load(command{name: "serve"}, nil, []string{"FERNWEH_INGEST_ADDR=0.0.0.0:8080"}); err != nil {
		t.Errorf("serve does not take events, yet: %v", err)
	}
}

func TestCommandTakesOnlyItsOwnFlags(t *testing.T) {
	_, err := load(command{name: "ingest"}, []string{"--batch-seed=3"}, nil)
	if err == nil || !strings.Contains(err.Error(), "--batch-seed does not concern ingest, but up, batch") {
		t.Errorf("got %v, want to be told whom --batch-seed concerns", err)
	}
	if _, err := load(command{name: "ingest"}, nil, []string{"FERNWEH_BATCH_SEED=3"}); err != nil {
		t.Errorf("one environment for all commands: %v", err)
	}
}

func TestArgumentsStandBetweenFlags(t *testing.T) {
	c, err := load(command{name: "replay", args: "FILE..."},
		[]string{"a.csv", "--replay-format", "hotel", "b.csv", "-", "--", "--odd-name.csv"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"a.csv", "b.csv", "-", "--odd-name.csv"}; !slices.Equal(c.Args, want) || c.Client.Format != "hotel" {
		t.Errorf("got files %q of format %q, want %q of hotel", c.Args, c.Client.Format, want)
	}
}

func TestFlagAloneMeansTrue(t *testing.T) {
	c, err := load(command{name: "up"}, []string{"--ingest-assume-consent"}, []string{"FERNWEH_INGEST_ASSUME_CONSENT=false"})
	if err != nil || !c.Ingest.AssumeConsent {
		t.Errorf("got %+v, error %v", c, err)
	}
}

func TestConfigShowsValuesAndOriginsButNoSecret(t *testing.T) {
	key := strings.Repeat("ab", 32)
	out, _, err := call([]string{"FERNWEH_COLLECTOR_WRITE_KEY=holiday", "FERNWEH_DATA=/data"},
		"config", "--ingest-write-keys", "web="+key+",app="+key)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"holiday", key} {
		if strings.Contains(out, secret) {
			t.Errorf("the secret %q is shown", secret)
		}
	}
	for _, want := range [][]string{
		{"ingest-write-keys", "web=***,app=***", "--ingest-write-keys"},
		{"collector-write-key", "***", "FERNWEH_COLLECTOR_WRITE_KEY"},
		{"partitions", "8", "default"},
	} {
		found := slices.ContainsFunc(strings.Split(out, "\n"), func(line string) bool {
			return slices.Equal(strings.Fields(line), want)
		})
		if !found {
			t.Errorf("no line %q in\n%s", want, out)
		}
	}
}

func TestHelp(t *testing.T) {
	out, _, err := call(nil, "help")
	for _, c := range commands() {
		if !strings.Contains(out, c.name) || !strings.Contains(out, c.about) {
			t.Errorf("help (error %v) does not say what %s is for", err, c.name)
		}
		help, _, err := call([]string{"FERNWEH_NONSENSE=1"}, c.name, "-h")
		if err != nil || !strings.HasPrefix(help, "fernweh "+c.name) {
			t.Errorf("%s -h: got %q, error %v", c.name, help, err)
		}
	}
	if _, log, err := call(nil); exitCode(err) != 2 || log != out {
		t.Errorf("without a command: got error %v and %q, want exit code 2 and the table", err, log)
	}
	var ingest bytes.Buffer
	printHelp(&ingest, command{name: "ingest"})
	if got := ingest.String(); !strings.Contains(got, "--ingest-addr") || strings.Contains(got, "--batch-seed") {
		t.Errorf("ingest -h explains other settings than those that concern ingest:\n%s", got)
	}
}

func TestCommandMistyped(t *testing.T) {
	_, _, err := call(nil, "confg")
	if exitCode(err) != 2 || !strings.Contains(err.Error(), `no command "confg"; did you mean config?`) {
		t.Errorf("got %v", err)
	}
}

func TestVersionWorksWhateverIsSet(t *testing.T) {
	out, _, err := call([]string{"FERNWEH_NONSENSE=1"}, "version")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"fernweh ", "commit ", "built ", "go1."} {
		if !strings.Contains(out, want) {
			t.Errorf("got %q, want %q in it", out, want)
		}
	}
}

func FuzzFromYAML(f *testing.F) {
	for _, seed := range []string{"", "partitions: 3\n", "a: {b: c}\n", "- x", "partitions: [1, [2]]", "a: &a [*a]\n", "? [a]\n: b\n", "--- |\n x"} {
		f.Add(seed)
	}
	settings := new(config).settings()
	f.Fuzz(func(t *testing.T, yaml string) {
		given, err := fromYAML(settings, "f.yaml", strings.NewReader(yaml))
		for name, c := range given {
			if err == nil && (c.setting.name != name || !strings.HasPrefix(c.origin, "f.yaml:")) {
				t.Errorf("setting %q from %q has the name %q", name, c.origin, c.setting.name)
			}
		}
	})
}

func FuzzSize(f *testing.F) {
	for _, seed := range []string{"0", "64MiB", "1 GiB", "-1", "TiB", "9223372036854775807", "8388608TiB"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, ok := parseSize(text)
		if !ok {
			return
		}
		if again, ok := parseSize(formatSize(n)); !ok || again != n {
			t.Errorf("%q is %d bytes, written as %q, read as %d", text, n, formatSize(n), again)
		}
	})
}

func TestKeysAreNotShown(t *testing.T) {
	key := access.NewKey()
	digest := fmt.Sprintf("%x", access.DigestOf(key))
	out, log, err := call([]string{"FERNWEH_SERVE_ADMIN_KEYS=anna=" + digest, "FERNWEH_ADMIN_KEY=" + key}, "config")
	if err != nil || strings.Contains(out+log, digest) || strings.Contains(out+log, key) || !strings.Contains(out, "anna=***") {
		t.Errorf("got %v: %s %s, want the name of the key, and neither key nor digest", err, out, log)
	}
	for _, bad := range []string{"anna", "anna=abab", "../anna=" + digest, "a=" + digest + ",a=" + digest} {
		if _, _, err := call([]string{"FERNWEH_SERVE_ADMIN_KEYS=" + bad}, "config"); exitCode(err) != 2 || strings.Contains(err.Error(), digest) {
			t.Errorf("serve-admin-keys %q: got %v, want it refused without its digest", bad, err)
		}
	}
}
