package schemas_test

import (
	"flag"
	"os"
	"testing"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/cmd/protoc-gen-go/internal_gengo"
	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

var generate = flag.Bool("generate", false, "write events.pb.go from events.proto")

// TestGeneratedIsCurrent makes events.pb.go from events.proto with the compiler
// and the generator that go.mod pins, and compares. With -generate it writes
// the file: `make generate` is this test.
func TestGeneratedIsCurrent(t *testing.T) {
	const path = "events.pb.go"
	want := generated(t)
	if *generate {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s is not what events.proto says: run `make generate` and commit", path)
	}
}

// generated is the Go code of events.proto.
func generated(t *testing.T) []byte {
	t.Helper()
	c := protocompile.Compiler{
		Resolver:       &protocompile.SourceResolver{},
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	files, err := c.Compile(t.Context(), "events.proto")
	if err != nil {
		t.Fatal(err)
	}
	gen, err := protogen.Options{}.New(&pluginpb.CodeGeneratorRequest{
		FileToGenerate:  []string{"events.proto"},
		Parameter:       proto.String("paths=source_relative"),
		ProtoFile:       []*descriptorpb.FileDescriptorProto{protodesc.ToFileDescriptorProto(files[0])},
		CompilerVersion: &pluginpb.Version{Major: proto.Int32(0)},
	})
	if err != nil {
		t.Fatal(err)
	}
	internal_gengo.GenerateFile(gen, gen.Files[0])
	out := gen.Response()
	if out.Error != nil {
		t.Fatal(*out.Error)
	}
	return []byte(out.File[0].GetContent())
}
