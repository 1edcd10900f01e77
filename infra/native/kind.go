package native

import (
	"context"
	"embed"
	"fmt"
	"regexp"
	"slices"
	"time"
)

// A Kind is one of the servers.
type Kind string

// The servers that there are.
const (
	Kafka   Kind = "kafka"
	HBase   Kind = "hbase"
	Elastic Kind = "elastic"
)

// Kinds is every server, in the order in which they are named.
func Kinds() []Kind { return []Kind{Kafka, HBase, Elastic} }

// KindOf is the server of a name.
func KindOf(name string) (Kind, error) {
	if k := Kind(name); slices.Contains(Kinds(), k) {
		return k, nil
	}
	return "", fmt.Errorf("no server is called %q: there are %v", name, Kinds())
}

// files are the poms, checksums and settings, a folder for each server.
//
//go:embed kafka hbase elastic
var files embed.FS

// file reads one of the files of a server.
func (k Kind) file(name string) []byte {
	b, err := files.ReadFile(string(k) + "/" + name)
	if err != nil {
		panic(err) // it is compiled in
	}
	return b
}

var versionTag = regexp.MustCompile(`<server\.version>([^<]+)</server\.version>`)

// Version is the version that the server's pom names.
func (k Kind) Version() string { return string(versionTag.FindSubmatch(k.file("pom.xml"))[1]) }

// A trait is what sets a server apart from the others.
type trait struct {
	listeners []listener
	ready     func(context.Context, *Server) bool            // does it serve?
	prepare   func(context.Context, *Server, artifact) error // writes what it needs before a start; keeps what is there
	arguments func(*Server, artifact) []string               // of java
	start     time.Duration                                  // how long it may take until it serves
	stop      time.Duration                                  // how long it may take from TERM to its end
}

// A listener is one of the ports of a server, the first is where clients go.
type listener struct {
	name string
	port int // unless Options say otherwise
}

func (k Kind) trait() trait {
	switch k {
	case Kafka:
		return kafkaTrait()
	case HBase:
		return hbaseTrait()
	case Elastic:
		return elasticTrait()
	}
	panic("native: no server is called " + string(k))
}
