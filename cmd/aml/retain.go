package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/anonymous-media-library/aml/config"
	"github.com/anonymous-media-library/aml/node/api"
)

func (a *app) channelRetainCommand() *cobra.Command {
	var req api.RetainRequest
	var keep []string
	var file string
	cmd := &cobra.Command{
		Use:   "channel-retain CHANNEL [--keep RULE]...",
		Short: "show or change how much of a channel of yours stays",
		Long: `Say how much of a channel of yours stays: a rule bounds the files that match its
path by number, age or bytes, and the newest stay. The first rule whose path
matches a file counts. What is beyond the rules is removed by each release that
you publish, in the same manifest, and by a running daemon when it has become too
old; followers let go of it as of all that a channel removes (channel-retract).

A release never removes what it brings itself: you are warned of what is beyond
the rules, and the next release removes it. Without --keep the rules are shown,
with what is beyond them; --keep '' takes them away. They are this home's own.`,
		Example: `  aml channel-retain music/live --keep path='episodes/**',count=50 --keep age=365d
  aml channel-retain music/live --keep path='nightly/*',bytes=10GiB --now
  aml channel-retain music/live -f '{"keep": [{"path": "nightly/*", "bytes": "10GiB"}]}'
  aml channel-retain music/live --keep ''`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			req.Target, req.Peers = args[0], a.peers
			if err := api.CheckTargets(req.Target); err != nil {
				return err
			}
			flagged := cmd.Flags().Changed("keep")
			switch {
			case flagged && cmd.Flags().Changed("filters"):
				return usage(cmd, fmt.Errorf("--keep or -f, not both"))
			case flagged:
				text, err := json.Marshal(map[string]any{"keep": given(keep)})
				if err != nil {
					return err
				}
				req.Keep = &api.Document{Name: "--keep", Text: text}
			case cmd.Flags().Changed("filters"):
				if strings.TrimSpace(file) == "" {
					return usage(cmd, fmt.Errorf("-f is empty: name a file, or give {\"keep\": []} to take all rules away"))
				}
				doc, err := a.inline(file)
				if err != nil {
					return err
				}
				req.Keep = &doc
			}
			if req.Keep != nil {
				if err := api.CheckKeep(*req.Keep); err != nil {
					return usage(cmd, err)
				}
			}
			if err := wholePaths(&req.KeyFile); err != nil {
				return err
			}
			need := api.NeedStore
			if req.Now { // else nothing is signed
				need = a.askingNeed()
			}
			c, err := a.connect(cmd.Context(), need)
			if err != nil {
				return err
			}
			p := a.beside()
			res, err := c.Retain(cmd.Context(), req, p.event)
			if err = closing(c, p.done(err)); err != nil {
				return err
			}
			return a.result(res, func(w io.Writer) { retained(w, res) })
		},
	}
	cmd.Flags().StringArrayVar(&keep, "keep", nil, "what stays: count=10, age=30d, bytes=5GiB, path=GLOB, with commas between (repeatable: the first that fits)")
	cmd.Flags().StringVarP(&file, "filters", "f", "", "rules as JSON, {\"keep\": [...]}: a file, - for standard input, or inline")
	cmd.Flags().BoolVar(&req.Now, "now", false, "remove what is beyond the rules at once")
	signFlags(cmd, &req.KeyFile, &req.OnlyHolder)
	_ = cmd.MarkFlagFilename("filters", "json")
	_ = cmd.RegisterFlagCompletionFunc("keep", cobra.FixedCompletions([]string{"count=", "age=", "bytes=", "path="}, cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveNoSpace))
	return cmd
}

// inline reads a document that is given itself, or by the name of its file.
func (a *app) inline(given string) (api.Document, error) {
	if text := strings.TrimSpace(given); strings.HasPrefix(text, "{") || strings.HasPrefix(text, "[") {
		return api.Document{Name: "-f", Text: []byte(given)}, nil
	}
	return a.readInput(given)
}

// retained says what keep rules make of a channel, for people.
func retained(w io.Writer, res api.RetainResult) {
	fmt.Fprintln(w, res.Address)
	if len(res.Rules) == 0 {
		fmt.Fprintln(w, "no keep rules: all stays")
	}
	for _, r := range res.Rules {
		fmt.Fprintf(w, "keep %s\n", r)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	list := func(what string, files []api.RetiredFile) {
		for _, f := range files {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", what, f.Name, config.FormatSize(int64(f.Size)), f.Reason)
		}
	}
	list("removed", res.Removed)
	list("goes with the next release, or when a daemon looks, within an hour", res.Beyond)
	list("is of the newest release: goes with the next one", res.Spared)
	t.Flush()
}

// tellRetired says what keep rules made of a publication.
func (a *app) tellRetired(res api.PublishResult) {
	if n := len(res.Spared); n > 0 {
		f := res.Spared[0]
		more := ""
		if n > 1 {
			more = fmt.Sprintf(" and %d more", n-1)
		}
		a.warn(fmt.Sprintf("%s%s of this release are beyond the channel's keep rules (%s): the next release removes them; see channel-retain", f.Name, more, f.Reason))
	}
}
