package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/anonymous-media-library/aml/config"
	"github.com/anonymous-media-library/aml/node/api"
)

// completions are the values that a shell offers for flags of which there are
// few, or whose form is not known by heart.
var completions = map[string]func(given string) []string{
	"kind":       values("media", "update"),
	"chunk-size": values("64KiB", "128KiB", "256KiB", "512KiB", "1MiB", "2MiB"),
	"erasure":    values("4+2", "10+4", "16+4"),
	"grant":      values("all", "plaintext", "keys", "publish", "network", "files", "processes"),
	"set":        settings,

	"copies":       values("1", "2", "3", "5"),
	"wait-copies":  values("1", "2", "3", "5"),
	"wait-timeout": values("1m", "10m", "1h", "24h"),
}

func values(of ...string) func(string) []string {
	return func(string) []string { return of }
}

// settings offers the keys of the configuration with what they are for, and the
// values of those that are on or off.
func settings(given string) []string {
	var out []string
	name, _, named := strings.Cut(given, "=")
	for _, k := range config.Keys() {
		switch _, onOff := k.Default.(bool); {
		case !named:
			out = append(out, fmt.Sprintf("%s=\t%s", k.Name, k.Doc))
		case name == k.Name && onOff:
			out = append(out, name+"=true", name+"=false")
		}
	}
	return out
}

// complete makes the shell offer values of flags, for cmd and all below it.
func complete(cmd *cobra.Command) {
	for name, offer := range completions {
		flag := cmd.Flags().Lookup(name)
		if flag == nil {
			flag = cmd.PersistentFlags().Lookup(name)
		}
		if flag == nil {
			continue
		}
		_ = cmd.RegisterFlagCompletionFunc(name, func(_ *cobra.Command, _ []string, given string) ([]string, cobra.ShellCompDirective) {
			directive := cobra.ShellCompDirectiveNoFileComp
			if name == "set" {
				directive |= cobra.ShellCompDirectiveNoSpace
			}
			return offer(given), directive
		}) // it fails only for a flag that is not there
	}
	for _, below := range cmd.Commands() {
		complete(below)
	}
}

// channelFlags are flags that name a channel.
var channelFlags = map[string]bool{"trust": true, "channel": true}

// completeChannels makes the shell offer channels of this home where a command
// takes one, by what its use line says.
func (a *app) completeChannels(cmd *cobra.Command) {
	at := -1
	for i, word := range strings.Fields(cmd.Use) {
		word = strings.Trim(word, "[].")
		if i > 0 && (word == "CHANNEL" || word == "CHANNEL_OR_TOPIC" || word == "ADDRESS" || word == "ADDRESS_OR_TOPIC" || word == "TOPIC_OR_ADDRESS") {
			at = i - 1
			break
		}
	}
	if at >= 0 {
		many := strings.Contains(cmd.Use, "CHANNEL...")
		cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, given string) ([]string, cobra.ShellCompDirective) {
			if len(args) == at || many && len(args) > at {
				return a.channels(given), cobra.ShellCompDirectiveNoFileComp
			}
			return nil, cobra.ShellCompDirectiveDefault
		}
	}
	for name := range channelFlags {
		if f := cmd.Flags().Lookup(name); f != nil && f.Value.Type() != "bool" {
			_ = cmd.RegisterFlagCompletionFunc(name, func(_ *cobra.Command, _ []string, given string) ([]string, cobra.ShellCompDirective) {
				return a.channels(given), cobra.ShellCompDirectiveNoFileComp
			}) // it fails only for a flag that is not there
		}
	}
	for _, below := range cmd.Commands() {
		a.completeChannels(below)
	}
}

// completionTime is how long a shell waits at most, whatever is the matter with a home.
const completionTime = time.Second

// channels are the words for channels that begin with what was given, each with its
// channel's title.
func (a *app) channels(given string) []string {
	found := make(chan []string, 1)
	go func() { found <- a.findChannels(given) }()
	select {
	case out := <-found:
		return out
	case <-time.After(completionTime): // what still looks ends with the process
		return nil
	}
}

func (a *app) findChannels(given string) (out []string) {
	cfg, err := a.config()
	if err != nil {
		return nil
	}
	seen := map[string]bool{}
	for _, h := range api.Hints(context.Background(), cfg) {
		if strings.HasPrefix(h.Word, given) && !seen[h.Word] {
			seen[h.Word] = true
			out = append(out, strings.TrimSuffix(h.Word+"\t"+plain(h.Title), "\t"))
		}
	}
	return out
}
