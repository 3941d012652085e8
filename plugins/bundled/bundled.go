// Package bundled lists the plugins that are a part of aml. Each is an ordinary
// plugin in a folder of its own below plugins/, with a plugin.yaml, and is
// installed, granted and confined like any other; only that its program is aml,
// started with Verb.
//
// It must never run one in the node's own process.
package bundled

import (
	"fmt"

	"github.com/anonymous-media-library/aml/plugins"
	"github.com/anonymous-media-library/aml/plugins/blocklist"
	"github.com/anonymous-media-library/aml/plugins/exec"
	mirrorfs "github.com/anonymous-media-library/aml/plugins/mirror-fs"
	mirrors3 "github.com/anonymous-media-library/aml/plugins/mirror-s3"
	"github.com/anonymous-media-library/aml/plugins/podcast"
	"github.com/anonymous-media-library/aml/plugins/scan"
	"github.com/anonymous-media-library/aml/plugins/sdk"
	"github.com/anonymous-media-library/aml/plugins/updates"
	"github.com/anonymous-media-library/aml/plugins/webhook"
)

// Verb is the argument, before a plugin's id, by which aml is told to be that
// plugin.
const Verb = "plugin-serve"

// Plugin is one of them.
type Plugin struct {
	Manifest []byte // plugin.yaml
	New      func() sdk.Plugin
}

// All are the bundled plugins, by id.
func All() map[string]Plugin {
	return map[string]Plugin{
		"blocklist": {blocklist.Manifest(), blocklist.New},
		"exec":      {exec.Manifest(), exec.New},
		"mirror-fs": {mirrorfs.Manifest(), mirrorfs.New},
		"mirror-s3": {mirrors3.Manifest(), mirrors3.New},
		"podcast":   {podcast.Manifest(), podcast.New},
		"scan":      {scan.Manifest(), scan.New},
		"updates":   {updates.Manifest(), updates.New},
		"webhook":   {webhook.Manifest(), webhook.New},
	}
}

// Manifests are their plugin.yaml, by id.
func Manifests() map[string][]byte {
	out := map[string][]byte{}
	for id, p := range All() {
		out[id] = p.Manifest
	}
	return out
}

// Serve is the whole main of the plugin that args, what follows Verb, name.
func Serve(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("want the id of a bundled plugin")
	}
	p, ok := All()[args[0]]
	if !ok {
		return fmt.Errorf("%.40q: %w", args[0], plugins.ErrNotBundled)
	}
	sdk.Serve(p.New())
	return nil
}
