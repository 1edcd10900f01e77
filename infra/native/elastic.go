package native

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

func elasticTrait() trait {
	return trait{
		listeners: []listener{{"http", 29200}, {"transport", 29300}},
		ready:     elasticReady,
		prepare:   prepareElastic,
		arguments: elasticArguments,
		start:     2 * time.Minute,
		stop:      30 * time.Second,
	}
}

// transport is the module that gives Elasticsearch its HTTP door.
const transport = "transport-netty4"

// elasticReady asks for the health of the cluster: yellow says that what it has
// recovered is assigned. Its front page is not among the jars.
func elasticReady(ctx context.Context, s *Server) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Addr()+"/_cluster/health?wait_for_status=yellow&timeout=2s", nil)
	if err != nil {
		return false
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	defer answer.Body.Close() // nobody reads it
	return answer.StatusCode == http.StatusOK
}

// assembleElastic turns a folder of jars into what Elasticsearch takes for its
// distribution: the module with its description in a folder of its own, and a
// main that starts a node.
func assembleElastic(ctx context.Context, a artifact) error {
	module := filepath.Join(a.dir, "modules", transport)
	jar := filepath.Join(a.lib(), transport+"-"+Elastic.Version()+".jar")
	if err := unzip(jar, "META-INF/es-plugins/"+transport+"/", module); err != nil {
		return err
	}
	for _, pattern := range []string{transport + "-*.jar", "netty-*.jar", "elasticsearch-ssl-config-*.jar"} {
		jars, err := filepath.Glob(filepath.Join(a.lib(), pattern))
		if err != nil || len(jars) == 0 {
			return errors.Join(err, fmt.Errorf("no %s among the jars of Elasticsearch", pattern))
		}
		for _, jar := range jars {
			if err := os.Rename(jar, filepath.Join(module, filepath.Base(jar))); err != nil {
				return err
			}
		}
	}
	return compileNode(ctx, a)
}

// node is the archive with the main of Elasticsearch. It is no folder, for there
// are no class data of those, and not called a jar, for those come from Maven.
func (a artifact) node() string { return filepath.Join(a.dir, "node.zip") }

// compileNode makes the classes of elastic/Node.java.
func compileNode(ctx context.Context, a artifact) error {
	javac, err := tool("javac")
	if err != nil {
		return err
	}
	classes := filepath.Join(a.dir, "classes")
	source := filepath.Join(a.dir, "Node.java")
	if err := os.WriteFile(source, Elastic.file("Node.java"), 0o644); err != nil {
		return err
	}
	cmd := exec.Command(javac, "-nowarn", "-cp", filepath.Join(a.lib(), "*"), "-d", classes, source)
	if out, err := output(ctx, cmd); err != nil {
		return fmt.Errorf("compile infra/native/elastic/Node.java: %w:\n%s", err, excerpt(out))
	}
	return zipFolder(classes, a.node())
}

// prepareElastic makes the home folder: settings of this server, and the way to the modules.
func prepareElastic(_ context.Context, s *Server, a artifact) error {
	home := elasticHome(s)
	for _, name := range []string{"elasticsearch.yml", "log4j2.properties"} {
		if err := s.configure(filepath.Join(home, "config"), name, s.place()); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Join(home, "plugins"), 0o755); err != nil {
		return err
	}
	for _, name := range []string{"lib", "modules"} {
		link := filepath.Join(home, name)
		if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := os.Symlink(filepath.Join(a.dir, name), link); err != nil {
			return err
		}
	}
	return nil
}

func elasticHome(s *Server) string { return filepath.Join(s.dir, "home") }

func elasticArguments(s *Server, a artifact) []string {
	home := elasticHome(s)
	natives := filepath.Join(a.lib(), "platform", "linux-x64") // not there: it does without
	return slices.Concat(
		[]string{"-Xms512m", "-Xmx512m", "-Xss1m"},
		[]string{"-Djna.nosys=true", "-Djava.library.path=" + natives, "-Des.nativelibs.path=" + natives},
		[]string{"-Dio.netty.noUnsafe=true", "-Dio.netty.noKeySetOptimization=true", "-Dio.netty.recycler.maxCapacityPerThread=0"},
		[]string{"-Dlog4j2.disable.jmx=true", "-Dlog4j2.formatMsgNoLookups=true", "-Dlog4j.shutdownHookEnabled=false"},
		[]string{"-Des.path.home=" + home, "-Des.path.conf=" + filepath.Join(home, "config"), "-Des.distribution.type=zip"},
		[]string{"--module-path", a.lib(), "--add-modules=ALL-MODULE-PATH", "-cp", a.node(), "Node", home},
	)
}
