package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/anonymous-media-library/aml/plugins/sdk"
)

// bePlugin makes the test binary the plugin of testdata/script/plugins.txt: it
// denies what is called bad, and writes its setting into the rest.
func bePlugin() {
	var note string
	sdk.Serve(sdk.Plugin{
		ID: "gate", Version: "1.0.0",
		Configure: func(_ context.Context, s sdk.Setup) error {
			note = s.Config["note"]
			return nil
		},
		BeforePublish: func(_ context.Context, _ string, d *sdk.Draft) error {
			if strings.HasPrefix(d.Title, "bad") {
				return sdk.Denied("bad is not published")
			}
			d.Description = note
			return nil
		},
	})
}

// writePlugin puts the test binary into a folder, under the name that its
// plugin.yaml has for it.
func writePlugin(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: plugin DIR")
	}
	self, err := os.Executable()
	ts.Check(err)
	path := filepath.Join(ts.MkAbs(args[0]), "plugin")
	if os.Link(self, path) != nil {
		data, err := os.ReadFile(self)
		ts.Check(err)
		ts.Check(os.WriteFile(path, data, 0o700))
	}
}
