package api

import (
	"github.com/anonymous-media-library/aml/config"
	"github.com/anonymous-media-library/aml/node"
)

// PluginHint is a plugin as a shell offers it.
type PluginHint = node.PluginHint

// PluginHints names the plugins of a home for completion in a shell. Like Hints it starts
// no node and makes nothing.
func PluginHints(cfg config.Config) []PluginHint { return node.PluginHints(cfg.Paths.Plugins) }

// BundledHints names the plugins that are a part of aml.
func BundledHints() []PluginHint { return node.BundledHints() }

// SourceHints names the sources of a home.
func SourceHints(cfg config.Config) []Hint { return hints(node.SourceHints(cfg.Paths.Plugins)) }

// DocumentHints names the documents of a home.
func DocumentHints(cfg config.Config) []Hint { return hints(node.DocumentHints(cfg.Paths.Plugins)) }

func hints(list []node.Hint) []Hint {
	out := make([]Hint, len(list))
	for i, h := range list {
		out[i] = Hint(h)
	}
	return out
}
