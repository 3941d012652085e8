//go:build ignore

// Command protogen writes the Go and the Python code of plugins/proto anew:
//
//	go run -modfile=.ci/tools.mod .ci/protogen.go
//
// It needs Go alone: the compiler is protocompile, and the two generators are
// tools of .ci/tools.mod. What is for Python is the descriptors, of which protobuf
// for Python makes the classes when it is imported, and goes, with the SDK, also to
// those examples that are folders of their own. Run it in the top folder.
package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

const root = "plugins/proto"

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "protogen:", err)
		os.Exit(1)
	}
}

func run() error {
	paths, err := filepath.Glob(root + "/aml/plugin/v1/*.proto")
	if err != nil || len(paths) == 0 {
		return fmt.Errorf("no .proto files below %s: %v", root, err)
	}
	for i, path := range paths {
		if paths[i], err = filepath.Rel(root, path); err != nil {
			return err
		}
		paths[i] = filepath.ToSlash(paths[i])
	}
	compiler := protocompile.Compiler{
		Resolver:       &protocompile.SourceResolver{ImportPaths: []string{root}},
		SourceInfoMode: protocompile.SourceInfoStandard, // comments go into the code
	}
	files, err := compiler.Compile(context.Background(), paths...)
	if err != nil {
		return err
	}
	req := &pluginpb.CodeGeneratorRequest{FileToGenerate: paths, Parameter: proto.String("paths=source_relative")}
	known := map[string]bool{}
	var add func(path string) error
	add = func(path string) error { // imports come first
		if known[path] {
			return nil
		}
		known[path] = true
		file := files.FindFileByPath(path)
		if file == nil {
			return fmt.Errorf("%s is not among what was compiled", path)
		}
		for i := range file.Imports().Len() {
			if err := add(file.Imports().Get(i).Path()); err != nil {
				return err
			}
		}
		desc := protodesc.ToFileDescriptorProto(file)
		if r, ok := file.(interface {
			FileDescriptorProto() *descriptorpb.FileDescriptorProto
		}); ok {
			desc = r.FileDescriptorProto()
		}
		req.ProtoFile = append(req.ProtoFile, desc)
		return nil
	}
	for _, path := range paths {
		if err := add(path); err != nil {
			return err
		}
	}
	in, err := proto.Marshal(req)
	if err != nil {
		return err
	}
	for _, tool := range []string{"protoc-gen-go", "protoc-gen-go-grpc"} {
		if err := generate(tool, in); err != nil {
			return fmt.Errorf("%s: %w", tool, err)
		}
	}
	return python(req.ProtoFile)
}

// python writes what plugins in Python need.
func python(files []*descriptorpb.FileDescriptorProto) error {
	var b, services strings.Builder
	b.WriteString(`"""The messages and services of aml.plugin.v1. Written by .ci/protogen.go: do not edit."""

import base64

from google.protobuf import descriptor_pool
from google.protobuf.internal import builder


def _add(text):
    file = descriptor_pool.Default().AddSerializedFile(base64.b64decode(text))
    builder.BuildMessageAndEnumDescriptors(file, globals())
    builder.BuildTopDescriptorsAndMessages(file, __name__, globals())

`)
	for _, f := range files {
		for _, s := range f.Service {
			fmt.Fprintf(&services, "    %q: {\n", f.GetPackage()+"."+s.GetName())
			for _, m := range s.Method {
				fmt.Fprintf(&services, "        %q: (%s, %s, %s, %s),\n", m.GetName(), class(m.GetInputType()), class(m.GetOutputType()), truth(m.GetClientStreaming()), truth(m.GetServerStreaming()))
			}
			services.WriteString("    },\n")
		}
		f.SourceCodeInfo = nil
		raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(f)
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "\n# %s\n_add(\n", f.GetName())
		for text := base64.StdEncoding.EncodeToString(raw); text != ""; {
			n := min(len(text), 110)
			fmt.Fprintf(&b, "    %q\n", text[:n])
			text = text[n:]
		}
		b.WriteString(")\n")
	}
	b.WriteString("\n# By the service's and the method's name: what it gets and gives, and whether these are streams.\nSERVICES = {\n" + services.String() + "}\n")
	const sdk, generated, home = "aml_plugin.py", "aml_plugin_pb2.py", "plugins/sdk/python"
	if err := os.WriteFile(filepath.Join(home, generated), []byte(b.String()), 0o644); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(home, sdk))
	if err != nil {
		return err
	}
	examples, err := filepath.Glob("plugins/examples/*/" + sdk)
	if err != nil {
		return err
	}
	for _, path := range examples {
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(filepath.Dir(path), generated), []byte(b.String()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func class(name string) string { return name[strings.LastIndex(name, ".")+1:] }

func truth(b bool) string {
	if b {
		return "True"
	}
	return "False"
}

// generate has one generator write its files.
func generate(tool string, in []byte) error {
	cmd := exec.Command("go", "tool", "-modfile=.ci/tools.mod", tool)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return err
	}
	var res pluginpb.CodeGeneratorResponse
	if err := proto.Unmarshal(out, &res); err != nil {
		return err
	}
	if res.Error != nil {
		return fmt.Errorf("%s", res.GetError())
	}
	for _, f := range res.File {
		if err := os.WriteFile(filepath.Join(root, filepath.FromSlash(f.GetName())), []byte(f.GetContent()), 0o644); err != nil {
			return err
		}
	}
	return nil
}
