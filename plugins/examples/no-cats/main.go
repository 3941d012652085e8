// Command no-cats is an example of a plugin: it leaves out releases and files
// whose names have one of some words in them, cats by default.
//
//	CGO_ENABLED=0 go build -o plugins/examples/no-cats/plugin ./plugins/examples/no-cats
//	aml plugin-install ./plugins/examples/no-cats --enable
package main

import (
	"context"
	"strings"

	"github.com/anonymous-media-library/aml/plugins/sdk"
)

func main() {
	var words []string
	has := func(text string) bool {
		for _, w := range words {
			if w != "" && strings.Contains(strings.ToLower(text), w) {
				return true
			}
		}
		return false
	}
	sdk.Serve(sdk.Plugin{
		ID: "no-cats", Version: "1.0.0",
		Configure: func(_ context.Context, s sdk.Setup) error {
			words = strings.Split(strings.ToLower(s.Config["words"]), ",")
			return nil
		},
		FilterManifest: func(_ context.Context, r *sdk.Release) (*sdk.Verdict, error) {
			if has(r.Title) {
				return sdk.Deny("its title"), nil
			}
			var names []string
			for _, e := range r.Entries {
				if has(e.Name) {
					names = append(names, e.Name)
				}
			}
			return sdk.Mask(names...), nil
		},
	})
}
