//go:build ignore

// Command protogen writes the Go code of plugins/proto anew:
//
//	go run -modfile=.ci/tools.mod .ci/protogen.go
//
// It needs Go alone: the compiler is protocompile, and the two generators are
// tools of .ci/tools.mod. Run it in the top folder.
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

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
	return nil
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
