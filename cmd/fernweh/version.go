package main

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
)

// Set by the linker (-ldflags "-X main.version=..."), never by the program;
// empty where it was built without.
var (
	version string // of the release
	commit  string // the program was built from
	date    string // of the build, RFC 3339
)

// A build says which program this is.
type build struct {
	Version, Commit, Date, Go string
}

// thisBuild takes what the linker was told, else what Go itself noted.
func thisBuild() build {
	b := build{version, commit, cmp.Or(date, "unknown"), runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH}
	if noted, ok := debug.ReadBuildInfo(); ok {
		b.Version = cmp.Or(b.Version, noted.Main.Version)
		b.Commit = cmp.Or(b.Commit, notedCommit(noted.Settings))
	}
	b.Version = cmp.Or(b.Version, "(devel)")
	b.Commit = cmp.Or(b.Commit, "unknown")
	return b
}

// notedCommit is the commit of the work tree that was built, with its time,
// and whether the tree had been changed since.
func notedCommit(settings []debug.BuildSetting) string {
	noted := map[string]string{}
	for _, s := range settings {
		noted[s.Key] = s.Value
	}
	text := noted["vcs.revision"]
	if at := noted["vcs.time"]; at != "" {
		text += " of " + at
	}
	if noted["vcs.modified"] == "true" {
		text += ", changed"
	}
	return text
}

func runVersion(_ context.Context, _ *config, to console) error {
	b := thisBuild()
	_, err := fmt.Fprintf(to.out, "fernweh %s\ncommit  %s\nbuilt   %s\ngo      %s\n", b.Version, b.Commit, b.Date, b.Go)
	return err
}
