package deploytest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// dockerfiles are the images that are built here.
var dockerfiles = []string{"Dockerfile", "infra/hbase-image/Dockerfile"}

// stages reads a Dockerfile as BuildKit does.
func stages(text []byte) ([]instructions.Stage, error) {
	tree, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	stages, _, err := instructions.Parse(tree.AST, nil)
	return stages, err
}

// bases is every image that the builds begin with. Nothing is asked of a registry:
// what a base has beside its name and platform cannot be known here.
type bases struct{}

// ResolveImageConfig gives a base's configuration, as a registry would.
func (bases) ResolveImageConfig(_ context.Context, ref string, _ sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	for _, name := range []string{"golang:1.26.8-bookworm", "maven:3.9-eclipse-temurin-17", "eclipse-temurin:17-jre"} {
		if ref == "docker.io/library/"+name {
			config := []byte(`{"architecture":"amd64","os":"linux","config":{"Env":["PATH=/usr/bin:/bin"]}}`)
			return ref, digest.FromBytes(config), config, nil
		}
	}
	return "", "", nil, fmt.Errorf("%s is no base of ours", ref)
}

// checkImage is docker build --check: what BuildKit warns of.
func checkImage(text []byte) (warnings []string, err error) {
	source := llb.NewSourceMap(nil, "Dockerfile", "Dockerfile", text)
	source.Definition = new(llb.Definition) // of where the file lies: here
	results, err := dockerfile2llb.DockerfileLint(context.Background(), text, dockerfile2llb.ConvertOpt{
		SourceMap:      source,
		MetaResolver:   bases{},
		TargetPlatform: &ocispecs.Platform{OS: "linux", Architecture: "amd64"},
	})
	if err != nil {
		return nil, err
	}
	for _, w := range results.Warnings {
		warnings = append(warnings, w.RuleName+": "+w.Detail)
	}
	if results.Error != nil {
		warnings = append(warnings, results.Error.Message)
	}
	return warnings, nil
}

func file(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestImagesAreRight: BuildKit finds nothing, every stage starts from one version,
// and the program runs as nobody.
func TestImagesAreRight(t *testing.T) {
	for _, name := range dockerfiles {
		text := file(t, name)
		warnings, err := checkImage(text)
		if err != nil || len(warnings) > 0 {
			t.Errorf("%s: %v %q", name, err, warnings)
		}
		all, err := stages(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range all {
			if s.BaseName != "scratch" && !strings.Contains(s.BaseName, ":") {
				t.Errorf("%s begins with %s of any version", name, s.BaseName)
			}
		}
		user := ""
		for _, c := range all[len(all)-1].Commands {
			if u, ok := c.(*instructions.UserCommand); ok {
				user = u.User
			}
		}
		if user != "65532:65532" {
			t.Errorf("%s runs as %q", name, user)
		}
	}
}

// TestImageMistakesAreSeen: the check can say no.
func TestImageMistakesAreSeen(t *testing.T) {
	for _, c := range []struct{ old, new, says string }{
		{"COPY . .", "COPPY . .", "COPPY"},
		{"--from=build /out/fernweh", "--from=biuld /out/fernweh", "biuld"},
		{`ENTRYPOINT ["/fernweh"]`, "ENTRYPOINT /fernweh", "JSONArgsRecommended"},
		{"ENV FERNWEH_DATA_DIR=/data", "ENV FERNWEH_DATA_DIR /data", "LegacyKeyValueFormat"},
		{"USER 65532:65532", "USER $NOBODY", "UndefinedVar"},
	} {
		bad := strings.Replace(string(file(t, "Dockerfile")), c.old, c.new, 1)
		warnings, err := checkImage([]byte(bad))
		said := strings.Join(warnings, "\n")
		if err != nil {
			said += err.Error()
		}
		if !strings.Contains(said, c.says) {
			t.Errorf("with %q: got %q, want %q", c.new, said, c.says)
		}
	}
}

// TestTheContextHasWhatIsCopied: .dockerignore lets through what the images are
// built from, and nothing that is secret or large.
func TestTheContextHasWhatIsCopied(t *testing.T) {
	patterns, err := ignorefile.ReadAll(bytes.NewReader(file(t, ".dockerignore")))
	if err != nil {
		t.Fatal(err)
	}
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		t.Fatal(err)
	}
	ignored := func(name string) bool {
		out, err := matcher.MatchesOrParentMatches(name)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	var wanted []string
	for _, name := range dockerfiles {
		all, err := stages(file(t, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range all {
			for _, c := range s.Commands {
				if copied, ok := c.(*instructions.CopyCommand); ok && copied.From == "" {
					wanted = append(wanted, copied.SourcePaths...)
				}
			}
		}
	}
	wanted = append(wanted, "cmd/fernweh/main.go", "schemas/events.pb.go", "serving/dashboard/static/index.html")
	for _, name := range wanted {
		if name == "." {
			continue
		}
		if _, err := os.Stat(filepath.Join(root, name)); err != nil || ignored(name) {
			t.Errorf("%s is copied, and is not there (%v) or ignored", name, err)
		}
	}
	for _, name := range []string{".git/config", "infra/.env", "infra/secrets/elastic", "data/log", "bin/fernweh", "cmd/fernweh/config_test.go"} {
		if !ignored(name) {
			t.Errorf("%s would be sent to the builder", name)
		}
	}
	if !slices.Contains(patterns, "*") {
		t.Error("what is new is let through until somebody forbids it")
	}
}
