package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/anonymous-media-library/aml/config"
)

var update = flag.Bool("update", false, "write docs/commands.md anew")

// reference is docs/commands.md: every command with its flags, every key of the
// configuration.
func reference() []byte {
	var b bytes.Buffer
	b.WriteString(`# Commands and configuration

Made by ` + "`go test ./cmd/aml -run Reference -update`" + ` from what the program knows of itself;
` + "`aml COMMAND --help`" + ` says the same, and more.
`)
	root := newApp(nil, nil, nil).command()
	table := func(title string, flags *pflag.FlagSet) {
		rows := ""
		flags.VisitAll(func(f *pflag.Flag) {
			if f.Hidden || f.Name == "help" {
				return
			}
			name, text := pflag.UnquoteUsage(f)
			form := "--" + f.Name
			if f.Shorthand != "" {
				form = "-" + f.Shorthand + ", " + form
			}
			if name != "" {
				form += " " + name
			}
			rows += fmt.Sprintf("| `%s` | %s |\n", form, strings.ReplaceAll(text, "|", "\\|"))
		})
		if rows != "" {
			fmt.Fprintf(&b, "\n| %s | |\n|---|---|\n%s", title, rows)
		}
	}
	b.WriteString("\n## Flags of every command\n")
	table("flag", root.PersistentFlags())
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd != root && !cmd.Hidden {
			fmt.Fprintf(&b, "\n## %s\n\n    %s\n\n%s.\n", cmd.Name(), strings.TrimSuffix(cmd.UseLine(), " [flags]"), cmd.Short)
			table("flag", cmd.LocalNonPersistentFlags())
		}
		for _, below := range cmd.Commands() {
			if name := below.Name(); name != "help" && name != "completion" {
				walk(below)
			}
		}
	}
	walk(root)
	b.WriteString("\n## Configuration\n\nKeys of `config.yaml`; `AML_` and the name in capitals in the environment; `--set KEY=VALUE` of a command.\n\n| key | default | |\n|---|---|---|\n")
	for _, k := range config.Keys() {
		fmt.Fprintf(&b, "| `%s` | `%v` | %s |\n", k.Name, k.Default, strings.ReplaceAll(k.Doc, "|", "\\|"))
	}
	return b.Bytes()
}

func TestTheReferenceListsEveryCommandFlagAndKey(t *testing.T) {
	const path = "../../docs/commands.md"
	want := reference()
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is not what the program is (%v): run go test ./cmd/aml -run Reference -update", path, err)
	}
}
