package deploytest

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

const infra = ".."

// made is the variables that infra/secrets.sh makes, as it makes them.
func made(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	script, err := os.ReadFile(filepath.Join(infra, "secrets.sh"))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "secrets.sh"), script, 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for range 2 { // the second time it leaves everything as it is
		if out, err := exec.Command(filepath.Join(dir, "secrets.sh")).CombinedOutput(); err != nil {
			t.Fatalf("secrets.sh: %v: %s", err, out)
		}
		b, err := os.ReadFile(filepath.Join(dir, ".env"))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, string(b))
	}
	if files[0] != files[1] {
		t.Errorf("secrets.sh made other secrets the second time:\n%s\n%s", files[0], files[1])
	}
	return strings.Fields(files[0])
}

// compose is docker compose config.
func compose(env []string, file string) (*types.Project, error) {
	options, err := cli.NewProjectOptions([]string{file}, cli.WithEnv(env), cli.WithDefaultProfiles("*"),
		cli.WithWorkingDirectory(infra), cli.WithDiscardEnvFile)
	if err != nil {
		return nil, err
	}
	return options.LoadProject(context.Background())
}

func project(t *testing.T) *types.Project {
	t.Helper()
	p, err := compose(made(t), filepath.Join(infra, "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestComposeIsRight: the file is one that docker compose takes, nothing of it is
// open to other machines, nothing is without a limit, and whoever is waited for
// can say that it is ready.
func TestComposeIsRight(t *testing.T) {
	p := project(t)
	for _, name := range []string{"ingest", "speed", "batch", "index", "serve", "kafka", "hbase", "elasticsearch", "kibana", "prometheus", "grafana"} {
		if _, ok := p.Services[name]; !ok {
			t.Errorf("there is no service %s", name)
		}
	}
	for name, s := range p.Services {
		for _, port := range s.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s: port %s is open to other machines", name, port.Published)
			}
		}
		if s.Deploy == nil || s.Deploy.Resources.Limits == nil || s.Deploy.Resources.Limits.MemoryBytes == 0 {
			t.Errorf("%s may take all memory", name)
		}
		if s.Build == nil && (strings.HasSuffix(s.Image, ":latest") || !strings.Contains(s.Image, ":")) {
			t.Errorf("%s: %s is not one version", name, s.Image)
		}
		for other, d := range s.DependsOn {
			check := p.Services[other].HealthCheck
			if d.Condition == types.ServiceConditionHealthy && (check == nil || len(check.Test) == 0) {
				t.Errorf("%s waits until %s is healthy, which never says so", name, other)
			}
		}
		for _, v := range s.Volumes {
			if v.Type == types.VolumeTypeBind {
				if _, err := os.Stat(v.Source); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	}
}

// TestComposeKeepsNoSecret: without what secrets.sh makes, it does not start, and
// says what to run.
func TestComposeKeepsNoSecret(t *testing.T) {
	all := made(t)
	for i, one := range all {
		name, _, _ := strings.Cut(one, "=")
		_, err := compose(slices.Delete(slices.Clone(all), i, i+1), filepath.Join(infra, "compose.yaml"))
		if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "secrets.sh") {
			t.Errorf("without %s: got %v, want an error that names it and secrets.sh", name, err)
		}
	}
}

// TestComposeMistakesAreSeen: the loader refuses what docker compose would.
func TestComposeMistakesAreSeen(t *testing.T) {
	good, err := os.ReadFile(filepath.Join(infra, "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ old, new, says string }{
		{"    volumes: [spool:/data]", "    volums: [spool:/data]", "volums"},
		{"    volumes: [spool:/data]", "    volumes: [sppol:/data]", "sppol"},
		{"      kafka: {condition: service_healthy}\n    deploy", "      kafka: {condition: service_helthy}\n    deploy", "condition"},
		{"kafka: {condition: service_healthy}\n    deploy", "kafak: {condition: service_healthy}\n    deploy", "kafak"},
	} {
		bad := strings.Replace(string(good), c.old, c.new, 1)
		if bad == string(good) {
			t.Errorf("%q is not in the file any more", c.old)
			continue
		}
		file := filepath.Join(t.TempDir(), "compose.yaml")
		if err := os.WriteFile(file, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := compose(made(t), file); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("with %q: got %v, want an error with %q", c.new, err, c.says)
		}
	}
}

// TestTheProgramTakesComposesSettings: what the layers are started with are
// commands and settings of the program, and each runs as nobody on a root that
// cannot be written.
func TestTheProgramTakesComposesSettings(t *testing.T) {
	p := project(t)
	layers := 0
	for name, s := range p.Services {
		if !strings.HasPrefix(s.Image, "fernweh:") {
			continue
		}
		layers++
		if !s.ReadOnly || !slices.Contains(s.CapDrop, "ALL") {
			t.Errorf("%s may write its root, or keeps capabilities", name)
		}
		config := exec.Command(fernweh(t), "config")
		config.Env = []string{"FERNWEH_DATA_DIR=/data"} // as the Dockerfile says
		for _, variable := range slices.Sorted(maps.Keys(s.Environment)) {
			value := *s.Environment[variable]
			if strings.HasPrefix(value, "/run/secrets/") {
				if !slices.ContainsFunc(s.Secrets, func(f types.ServiceSecretConfig) bool { return "/run/secrets/"+f.Source == value }) {
					t.Errorf("%s: %s is %s, which is not one of its secrets", name, variable, value)
				}
				value = filepath.Join(infra, "compose.yaml") // any file that is not empty
			}
			config.Env = append(config.Env, variable+"="+value)
		}
		if out, err := config.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		command := append(slices.Clone(s.Entrypoint), s.Command...)
		if len(s.Entrypoint) > 0 {
			command = command[1:]
		}
		if out, err := exec.Command(fernweh(t), append(command, "-h")...).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %v\n%s", name, command, err, out)
		}
		if check := s.HealthCheck.Test; len(check) > 1 {
			checkHealth(t, name, s, check)
		}
	}
	if layers != 6 {
		t.Errorf("%d layers, want ingest, speed, batch, index, serve and rebuild", layers)
	}
}

// checkHealth: a layer is asked at the port that it was told to answer on.
func checkHealth(t *testing.T, name string, s types.ServiceConfig, check []string) {
	t.Helper()
	url := check[len(check)-1]
	port := strings.Split(strings.TrimPrefix(url, "http://127.0.0.1:"), "/")[0]
	for variable, value := range s.Environment {
		if strings.HasSuffix(variable, "_ADDR") && *value == "0.0.0.0:"+port {
			return
		}
	}
	t.Errorf("%s is asked at %s, and none of its settings says that it answers there: %v", name, url, fmt.Sprint(check))
}
