package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/anonymous-media-library/aml/config"
	"github.com/anonymous-media-library/aml/node/api"
	"github.com/anonymous-media-library/aml/plugins"
)

func hookNames() (out []string) {
	for _, r := range plugins.Rules() {
		out = append(out, string(r.Hook))
	}
	return out
}

// hooksOf are the hooks that a plugin needs which a command takes as PLUGIN; that of
// other commands keeps blobs.
var hooksOf = map[string]plugins.Hook{"source-add": plugins.Source, "document-add": plugins.Render}

// offerPlugins offers plugins, what is set in them, and what they were bound to.
func (a *app) offerPlugins(command, word string) offer {
	switch {
	case word == "PLUGIN":
		hook, ok := hooksOf[command]
		if !ok {
			hook = plugins.Mirror
		}
		return a.offerInstalled(func(p api.PluginHint) bool { return slices.Contains(p.Hooks, hook) })
	case word == "ID" && command == "plugin-disable":
		return a.offerInstalled(func(p api.PluginHint) bool { return p.Enabled })
	case word == "ID" && strings.HasPrefix(command, "plugin-"):
		return a.offerInstalled(func(api.PluginHint) bool { return true })
	case word == "KEY=VALUE":
		return a.offerSettings("=")
	case strings.HasSuffix(word, "|bundled:ID"):
		return offerBundled
	case word == "NAME" && (command == "source-poll" || command == "source-remove"):
		return a.offerHints(api.SourceHints)
	case word == "FILE" && (command == "document-remove" || command == "document-render"):
		return a.offerHints(documentsHere)
	}
	return nil
}

func (a *app) offerInstalled(which func(api.PluginHint) bool) offer {
	return a.offerHints(func(cfg config.Config) (out []api.Hint) {
		for _, p := range api.PluginHints(cfg) {
			if which(p) {
				out = append(out, api.Hint{Word: p.ID, Title: p.Title})
			}
		}
		return out
	})
}

// offerHints offers what there is of something in this home.
func (a *app) offerHints(of func(config.Config) []api.Hint) offer {
	return func(_ *cobra.Command, _ []string, given string) ([]string, cobra.ShellCompDirective) {
		return beginning(given, atHome(a, of)), cobra.ShellCompDirectiveNoFileComp
	}
}

// documentsHere names documents by the shorter way, which is that from here where they
// lie below.
func documentsHere(cfg config.Config) []api.Hint {
	here, err := os.Getwd()
	out := api.DocumentHints(cfg)
	whole := slices.Clone(out)
	for i, h := range out {
		if below, relErr := filepath.Rel(here, h.Word); err == nil && relErr == nil && filepath.IsLocal(below) {
			out[i].Word = below
		}
	}
	return append(out, slices.DeleteFunc(whole, func(h api.Hint) bool { return slices.Contains(out, h) })...)
}

// offerBundled offers what is a part of aml; whatever else begins otherwise is a file.
func offerBundled(_ *cobra.Command, _ []string, given string) ([]string, cobra.ShellCompDirective) {
	var hints []api.Hint
	for _, p := range api.BundledHints() {
		hints = append(hints, api.Hint{Word: api.BundledMark + p.ID, Title: p.Title})
	}
	return beginning(given, hints), cobra.ShellCompDirectiveDefault
}

// offerSettings offers the settings of the plugin that is named before, with what follows
// the key, but for those that are given already.
func (a *app) offerSettings(after string) offer {
	return func(_ *cobra.Command, args []string, given string) ([]string, cobra.ShellCompDirective) {
		directive := cobra.ShellCompDirectiveNoFileComp
		if after != "" {
			directive |= cobra.ShellCompDirectiveNoSpace
		}
		if len(args) == 0 || strings.Contains(given, "=") {
			return nil, cobra.ShellCompDirectiveDefault
		}
		p := a.plugin(args[0])
		var hints []api.Hint
		for _, s := range p.Settings {
			if word := s.Word + after; !slices.ContainsFunc(args[1:], func(arg string) bool { return strings.HasPrefix(arg, word) }) {
				hints = append(hints, api.Hint{Word: word, Title: s.Title})
			}
		}
		return beginning(given, hints), directive
	}
}

// plugin is the one that is called so: installed, or bundled:ID.
func (a *app) plugin(name string) (found api.PluginHint) {
	id, bundled := strings.CutPrefix(name, api.BundledMark)
	all := api.BundledHints()
	if !bundled {
		all = atHome(a, api.PluginHints)
	}
	if i := slices.IndexFunc(all, func(p api.PluginHint) bool { return p.ID == id }); i >= 0 {
		return all[i]
	}
	return found
}

// completePluginFlags makes the shell offer plugins and what they have for flags.
func (a *app) completePluginFlags(root *cobra.Command) {
	formats := func(_ *cobra.Command, args []string, given string) ([]string, cobra.ShellCompDirective) {
		var hints []api.Hint
		if len(args) > 0 {
			for _, f := range a.plugin(args[0]).Formats {
				hints = append(hints, api.Hint{Word: f})
			}
		}
		return beginning(given, hints), cobra.ShellCompDirectiveNoFileComp
	}
	signers := a.offerInstalled(func(p api.PluginHint) bool { return slices.Contains(p.Hooks, plugins.Sign) })
	for flag, of := range map[[2]string]offer{
		{"document-add", "format"}: formats,
		{"key-new", "plugin"}:      signers,
		{"plugin-config", "unset"}: a.offerSettings(""),
	} {
		cmd, _, err := root.Find([]string{flag[0]})
		if err == nil {
			_ = cmd.RegisterFlagCompletionFunc(flag[1], of) // it fails only for a flag that is not there
		}
	}
}
