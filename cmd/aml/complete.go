package main

import (
	"context"
	"fmt"
	"slices"
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
	"grant":      listed("all", "plaintext", "keys", "publish", "network", "files", "processes"),
	"hooks":      listed(hookNames()...),
	"lang":       values("go", "python"),
	"set":        settings,

	"copies":       values("1", "2", "3", "5"),
	"wait-copies":  values("1", "2", "3", "5"),
	"wait-timeout": values("1m", "10m", "1h", "24h"),
}

func values(of ...string) func(string) []string {
	return func(string) []string { return of }
}

// listed is values of which several may be given, with commas between them.
func listed(of ...string) func(string) []string {
	return func(given string) (out []string) {
		before := given[:strings.LastIndexByte(given, ',')+1]
		for _, value := range of {
			if !slices.Contains(strings.Split(before, ","), value) {
				out = append(out, before+value)
			}
		}
		return out
	}
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

// offer is what a shell offers for a word that begins with what was given, after args.
type offer func(cmd *cobra.Command, args []string, given string) ([]string, cobra.ShellCompDirective)

// completeArgs makes the shell offer what a command takes, by what its use line says, and
// channels of this home for flags that name one.
func (a *app) completeArgs(cmd *cobra.Command) {
	var offers []offer
	some := false
	words, many := argWords(cmd.Use)
	for _, word := range words {
		offers = append(offers, a.offerFor(cmd.Name(), word))
		some = some || offers[len(offers)-1] != nil
	}
	if some {
		cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, given string) ([]string, cobra.ShellCompDirective) {
			at := len(args)
			if many {
				at = min(at, len(offers)-1)
			}
			if at < len(offers) && offers[at] != nil {
				return offers[at](cmd, args, given)
			}
			return nil, cobra.ShellCompDirectiveDefault
		}
	}
	for name := range channelFlags {
		if f := cmd.Flags().Lookup(name); f != nil && f.Value.Type() != "bool" {
			_ = cmd.RegisterFlagCompletionFunc(name, a.offerChannels(false)) // it fails only for a flag that is not there
		}
	}
	for _, below := range cmd.Commands() {
		a.completeArgs(below)
	}
}

// argWords are the words of a use line for arguments, without flags and what may stand
// instead of them; many: the last may be repeated.
func argWords(use string) (words []string, many bool) {
	for _, field := range strings.Fields(use)[1:] {
		word := strings.Trim(field, "[]().")
		if word == "" || word[0] == '-' || word == "|" || field[0] == '(' {
			break
		}
		words, many = append(words, word), strings.Contains(field, "...")
	}
	return words, many
}

// offerFor is what is offered for a word of a command's use line; nil for files.
func (a *app) offerFor(command, word string) offer {
	switch word {
	case "CHANNEL", "CHANNEL_OR_TOPIC", "ADDRESS", "ADDRESS_OR_TOPIC", "TOPIC_OR_ADDRESS":
		return a.offerChannels(byAddress[command])
	case "FOLDER":
		return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		}
	}
	return a.offerPlugins(command, word)
}

// byAddress are commands that take no topic, on which anybody may publish.
var byAddress = map[string]bool{"mirror": true, "mirror-status": true, "bridge-nats": true, "update-check": true, "update-apply": true}

// offerChannels offers channels of this home; without topics if those are not taken.
func (a *app) offerChannels(noTopics bool) offer {
	return func(_ *cobra.Command, _ []string, given string) ([]string, cobra.ShellCompDirective) {
		out := a.channels(given)
		if noTopics {
			out = slices.DeleteFunc(out, func(word string) bool {
				return !strings.HasPrefix(word, "@") && !strings.HasPrefix(word, "aml://")
			})
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}

// completionTime is how long a shell waits at most, whatever is the matter with a home.
const completionTime = time.Second

// channels are the words for channels that begin with what was given, each with its
// channel's title.
func (a *app) channels(given string) []string {
	return atHome(a, func(cfg config.Config) []string {
		return beginning(given, api.Hints(context.Background(), cfg))
	})
}

// atHome is what look finds in this home, if it finds it soon.
func atHome[T any](a *app, look func(config.Config) T) (none T) {
	found := make(chan T, 1)
	go func() {
		var out T
		if cfg, err := a.config(); err == nil {
			out = look(cfg)
		}
		found <- out
	}()
	select {
	case out := <-found:
		return out
	case <-time.After(completionTime): // what still looks ends with the process
		return none
	}
}

// beginning are the hints whose words begin with what was given, each once.
func beginning(given string, hints []api.Hint) (out []string) {
	seen := map[string]bool{}
	for _, h := range hints {
		if strings.HasPrefix(h.Word, given) && !seen[h.Word] {
			seen[h.Word] = true
			out = append(out, strings.TrimSuffix(h.Word+"\t"+plain(h.Title), "\t"))
		}
	}
	return out
}
