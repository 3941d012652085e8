package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestEveryCommandHasHelpWithAnExample(t *testing.T) {
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		if cmd.Short == "" || cmd.Example == "" && !cmd.HasParent() {
			t.Errorf("%s says too little of itself", cmd.CommandPath())
		}
		own := cmd.Name() != "help" && (cmd.Parent() == nil || cmd.Parent().Name() != "completion")
		if own && !strings.Contains(cmd.Example, "aml") {
			t.Errorf("%s has no example", cmd.CommandPath())
		}
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	var buf bytes.Buffer
	visit(newApp(&buf, &buf, &buf).command())
}
