package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/anonymous-media-library/aml/config"
	"github.com/anonymous-media-library/aml/node/api"
)

// notEmpty refuses flags whose value is empty and means nothing then: a variable
// of a script was not set, and the folder one happens to be in is not what was
// meant.
func notEmpty(cmd *cobra.Command) (err error) {
	cmd.Flags().Visit(func(f *pflag.Flag) {
		many, _ := f.Value.(pflag.SliceValue)
		switch f.Name {
		case "input", "output", "key", "home", "peer", "listen", "target", "erasure":
			if f.Value.String() == "" || many != nil && slices.Contains(many.GetSlice(), "") {
				err = usage(cmd, fmt.Errorf("--%s is empty", f.Name))
			}
		}
	})
	return err
}

// inUTF8 refuses texts for people that are not UTF-8: a node would be sent
// something else, and sign that.
func inUTF8(cmd *cobra.Command) (err error) {
	cmd.Flags().Visit(func(f *pflag.Flag) {
		switch f.Name {
		case "title", "description", "reason", "by", "name", "as":
			if !utf8.ValidString(f.Value.String()) {
				err = usage(cmd, fmt.Errorf("--%s %q is not valid UTF-8", f.Name, f.Value))
			}
		}
	})
	return err
}

// noArgs is for a command that has flags alone.
func noArgs(cmd *cobra.Command, given []string) error {
	if len(given) == 0 {
		return nil
	}
	err := fmt.Errorf("%s takes no arguments, but got %q", cmd.CommandPath(), given[0])
	if name := optional(cmd); name != "" {
		err = fmt.Errorf("%w; did you mean --%s=%s?", err, name, given[0])
	} else if cmd.Flags().ShorthandLookup("i") != nil {
		err = fmt.Errorf("%w; did you mean -i %s?", err, given[0])
	}
	return usage(cmd, err)
}

// optional returns the name of a flag that was given without the value that it
// may have: one that stands apart is taken for an argument.
func optional(cmd *cobra.Command) (name string) {
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if f.NoOptDefVal != "" && f.Value.Type() == "string" && f.Value.String() == f.NoOptDefVal {
			name = f.Name
		}
	})
	return name
}

// args wraps one of cobra's checks so that its error is a usage error.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		if err := check(cmd, given); err != nil {
			return usage(cmd, fmt.Errorf("%w; want: aml %s", err, cmd.Use))
		}
		return nil
	}
}

// absolute makes path absolute, because a running node has another working
// folder.
func absolute(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("path %q: %w", path, err)
	}
	return abs, nil
}

// wholePaths makes those of the paths absolute that are not empty.
func wholePaths(paths ...*string) (err error) {
	for _, p := range paths {
		if *p == "" {
			continue
		}
		if *p, err = absolute(*p); err != nil {
			return err
		}
	}
	return nil
}

// maxInput bounds a JSON document that a command reads.
const maxInput = 16 << 20

// readInput reads a whole small document from the file path, or from standard
// input if path is "-". What is in it the node checks.
func (a *app) readInput(path string) (doc api.Document, err error) {
	r, name := a.in, "standard input"
	if rest, ok := strings.CutPrefix(path, "aml://"); ok { // it may hold a read key
		at, _, _ := strings.Cut(rest, "#")
		return doc, usageError("aml://%s is the address of what is in a channel, and no file: follow it with channel-subscribe", at)
	}
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return doc, fmt.Errorf("reading input: %w", err)
		}
		defer f.Close()
		r, name = f, path
	}
	text, err := io.ReadAll(io.LimitReader(r, maxInput+1))
	if info, serr := os.Stat(path); err != nil && serr == nil && info.IsDir() {
		return doc, usageError("reading input %s: it is a folder; want a file", name)
	}
	if err != nil {
		return doc, fmt.Errorf("reading input %s: %w", name, err)
	}
	if len(text) > maxInput {
		return doc, usageError("reading input %s: over %s", name, config.FormatSize(maxInput))
	}
	return api.Document{Name: name, Text: text}, nil
}
