package main

import (
	"bytes"
	"slices"
	"testing"

	"github.com/spf13/cobra"
)

// A word of a use line for which a shell offers nothing is a file, or one of these: what
// nobody can know before, or what nobody here has a list of.
func TestEveryArgumentIsOfferedOrCannotBe(t *testing.T) {
	unknown := []string{
		"DIR|URL", "DRAFT.JSON", "FILE", "FILE_OR_FOLDER", "FROM", "ID", "MEMBER", "MEMBER_KEY_OR_FILE", "NAME", "PATH", "PUBKEY", "SIGNED.JSON",
		"TOPIC", "WORDS",
	}
	a := newApp(&bytes.Buffer{}, &bytes.Buffer{}, &bytes.Buffer{})
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		words, _ := argWords(cmd.Use)
		for _, word := range words {
			if a.offerFor(cmd.Name(), word) == nil && !slices.Contains(unknown, word) {
				t.Errorf("%s: nothing is offered for %s", cmd.Name(), word)
			}
		}
		for _, below := range cmd.Commands() {
			if name := below.Name(); name != "help" && name != "completion" && !below.Hidden {
				visit(below)
			}
		}
	}
	visit(a.command())
}
