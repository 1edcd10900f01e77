package native

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

func hbaseTrait() trait {
	return trait{
		listeners: []listener{{"zookeeper", 22181}, {"master", 26000}, {"region", 26020}},
		ready: func(_ context.Context, s *Server) bool {
			log, _ := os.ReadFile(s.Log()) // none yet: it does not serve
			return hbaseServes(log)
		},
		prepare:   prepareHBase,
		arguments: hbaseArguments,
		start:     4 * time.Minute,
		stop:      time.Minute,
	}
}

// What the master says of the server that it found dead, by the number of the procedure.
var (
	crashFound   = regexp.MustCompile(`Scheduled ServerCrashProcedure pid=(\d+) `)
	crashSettled = regexp.MustCompile(`Finished pid=(\d+), state=\w+; ServerCrashProcedure `)
)

// hbaseServes reads from the log of a start whether tables are served. The ports
// are open long before hbase:meta is, and after a crash the master is ready
// before the regions are that it found unserved: so its own words count.
func hbaseServes(log []byte) bool {
	if !bytes.Contains(log, []byte("Master has completed initialization")) {
		return false
	}
	settled := make(map[string]bool)
	for _, m := range crashSettled.FindAllSubmatch(log, -1) {
		settled[string(m[1])] = true
	}
	for _, m := range crashFound.FindAllSubmatch(log, -1) {
		if !settled[string(m[1])] {
			return false
		}
	}
	return true
}

func prepareHBase(_ context.Context, s *Server, _ artifact) error {
	config := filepath.Join(s.dir, "config")
	if err := s.configure(config, "hbase-site.xml", s.place()); err != nil {
		return err
	}
	return s.configure(config, "log4j2.properties", s.place())
}

// hbaseArguments opens what HBase 2.6 reaches for inside the Java 17 runtime. The
// settings come last in the class path, for class data are of what comes before a
// folder; no jar has an hbase-site.xml.
func hbaseArguments(s *Server, a artifact) []string {
	config := filepath.Join(s.dir, "config")
	arguments := []string{"-Xms128m", "-Xmx1g"}
	for _, p := range []string{
		"java.lang", "java.lang.reflect", "java.net", "java.nio", "java.util", "java.util.concurrent", "jdk.internal.ref", "sun.nio.ch",
	} {
		arguments = append(arguments, "--add-opens", "java.base/"+p+"=ALL-UNNAMED")
	}
	return append(arguments,
		"--add-modules", "jdk.unsupported",
		"--add-exports", "java.base/jdk.internal.misc=ALL-UNNAMED",
		"--add-exports", "java.security.jgss/sun.security.krb5=ALL-UNNAMED",
		"-Dorg.apache.hbase.thirdparty.io.netty.tryReflectionSetAccessible=true",
		"-Dlog4j2.configurationFile="+filepath.Join(config, "log4j2.properties"),
		"-cp", filepath.Join(a.lib(), "*")+":"+config,
		"org.apache.hadoop.hbase.master.HMaster", "start")
}
