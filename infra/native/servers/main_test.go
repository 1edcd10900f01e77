package main

import (
	"strings"
	"testing"

	"fernweh/infra/native"
)

// TestNothingSkippedIsATest: a run on the real servers is green only if tests
// ran and none was passed over.
func TestNothingSkippedIsATest(t *testing.T) {
	const (
		pass = `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:1: all of it\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"--- PASS: TestA (0.10s)\n"}
{"Action":"pass","Package":"p","Test":"TestA","Elapsed":0.1}
`
		skip = `{"Action":"output","Package":"p","Test":"TestB/on_Kafka","Output":"    b_test.go:1: no broker is named\n"}
{"Action":"skip","Package":"p","Test":"TestB/on_Kafka","Elapsed":0}
`
		fail = `{"Action":"output","Package":"p","Test":"TestC","Output":"    c_test.go:1: got 1, want 2\n"}
{"Action":"fail","Package":"p","Test":"TestC","Elapsed":0}
`
		crash = `{"Action":"output","Package":"p","Test":"TestD","Output":"panic: out of luck\n"}
`
		closing = `{"Action":"output","Package":"p","Output":"PASS\n"}
{"Action":"output","Package":"p","Output":"ok  \tp\t0.123s\n"}
{"Action":"pass","Package":"p","Elapsed":0.123}
`
		empty = `{"Action":"output","Package":"q","Output":"?   \tq\t[no test files]\n"}
{"Action":"skip","Package":"q","Elapsed":0}
`
	)
	tests := []struct {
		name  string
		lines string
		says  string // what is written
		judge string // the judge's error, "" if it is content
	}{
		{"passed", pass + closing, "    a_test.go:1: all of it\n--- PASS: TestA (0.10s)\nok  \tp\t0.123s\n1 tests passed, 0 were skipped\n", ""},
		{"a subtest skipped", pass + skip + closing, "    b_test.go:1: no broker is named\n", "1 tests were skipped, with every server at hand:\n\tp.TestB/on_Kafka"},
		{"a package without tests beside one with", pass + closing + empty, "?   \tq\t[no test files]\n", ""},
		{"only packages without tests", empty, "0 tests passed", "no test ran"},
		{"nothing", "", "0 tests passed", "no test ran"},
		{"failed: all of its words", fail + pass, "    c_test.go:1: got 1, want 2\n", ""},
		{"crashed: its last words", pass + crash, "panic: out of luck\n", ""},
		{"what go itself says", "go: no such package\n" + pass, "go: no such package\n", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out strings.Builder
			tally, err := report(strings.NewReader(test.lines), &out)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(out.String(), test.says) {
				t.Errorf("written is\n%s\nwanted in it\n%s", out.String(), test.says)
			}
			got := ""
			if err := tally.judge(); err != nil {
				got = err.Error()
			}
			if got != test.judge {
				t.Errorf("judged %q, want %q", got, test.judge)
			}
		})
	}
}

func TestCommandLine(t *testing.T) {
	data := t.TempDir()
	tests := []struct {
		name string
		args []string
		want string // in what is written, or in the error
	}{
		{"nothing runs", []string{"-data", data, "status"}, "kafka    does not run (" + data},
		{"one of them", []string{"-data", data, "status", "hbase"}, "hbase    does not run"},
		{"down is no error", []string{"-data", data, "down"}, "elastic  did not run"},
		{"a server that is none", []string{"up", "redis"}, `no server is called "redis"`},
		{"a command that is none", []string{"upp"}, `no command is called "upp"`},
		{"ports that are none", []string{"-kafka-ports", "29092", "up"}, `"29092" is not name=port`},
		{"another server's port", []string{"-data", data, "-hbase-ports", "http=1", "status"}, `hbase has no port called "http"`},
		{"tests of nothing", []string{"test"}, "test which packages?"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out strings.Builder
			err := run(t.Context(), test.args, &out)
			if err != nil {
				out.WriteString(err.Error())
			}
			if !strings.Contains(out.String(), test.want) {
				t.Errorf("servers %v says %q, want %q", test.args, out.String(), test.want)
			}
		})
	}
}

func TestPortsAreReadAsTheyAreWritten(t *testing.T) {
	for _, kind := range native.Kinds() {
		want := native.DefaultPorts(kind).String()
		ports, err := parsePorts(want)
		if err != nil || ports.String() != want {
			t.Errorf("%s is read as %s (%v)", want, ports, err)
		}
	}
}
