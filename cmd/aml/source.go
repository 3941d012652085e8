package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/anonymous-media-library/aml/config"
	"github.com/anonymous-media-library/aml/node/api"
)

func (a *app) sourceAddCommand() *cobra.Command {
	var spec api.SourceSpec
	var every time.Duration
	var most string
	cmd := &cobra.Command{
		Use:   "source-add PLUGIN TOPIC_OR_ADDRESS FROM",
		Short: "publish what a plugin brings to a channel",
		Long: `Bind a plugin with the hook Source to a channel: what it finds in FROM, such as the
episodes of a feed for podcast, is published there, each thing once. Edits and
removals follow. A running daemon polls every hour, or as --every says; source-poll
does it now. Under a topic that has no channel yet one is founded by the first thing.
A binding is called like the plugin, or by --name where there are several; one of that name is
replaced. The name stands in what is published, so that it is found again.`,
		Example: "  aml source-add podcast radio/talk https://example.org/feed.xml\n  aml source-add podcast aml://... /srv/episodes --name archive --every 10m",
		Args:    args(cobra.ExactArgs(3)),
		RunE: func(cmd *cobra.Command, given []string) (err error) {
			spec.Plugin, spec.Target, spec.From, spec.Every = given[0], given[1], given[2], api.Duration(every)
			if every < 0 {
				return usage(cmd, fmt.Errorf("--every %v is negative", every))
			}
			if spec.MaxFile, err = config.ParseSize(most); err != nil {
				return usage(cmd, fmt.Errorf("--max-file: %w", err))
			}
			if spec.KeyFile != "" {
				if spec.KeyFile, err = absolute(spec.KeyFile); err != nil {
					return err
				}
			}
			c, err := a.existing(cmd.Context())
			if err != nil {
				return err
			}
			res, err := c.SourceAdd(cmd.Context(), spec)
			if err = closing(c, err); err != nil {
				return err
			}
			return a.result(res, func(w io.Writer) { boundSources(w, []api.SourceInfo{res}) })
		},
	}
	cmd.Flags().StringVar(&spec.Name, "name", "", "name of the binding: a-z, 0-9 and hyphens (default the plugin's)")
	cmd.Flags().DurationVar(&every, "every", 0, "how often a daemon polls, a minute at least (default 1h)")
	cmd.Flags().StringVarP(&spec.KeyFile, "key", "k", "", "sign with this key file, PKCS#8 PEM (default this node's own)")
	cmd.Flags().StringVar(&most, "max-file", "4GiB", "leave out what has a file larger than this")
	return cmd
}

// boundSources lists sources.
func boundSources(w io.Writer, list []api.SourceInfo) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, s := range list {
		to := s.Target
		if s.Address != "" {
			to = s.Address
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", s.Name, sourceState(s), s.From, to)
		if s.Problem != "" {
			fmt.Fprintf(t, "\tnot published: %s\n", s.Problem)
		}
	}
	t.Flush()
}

// sourceState says in a few words what the last poll did.
func sourceState(s api.SourceInfo) string {
	switch {
	case s.Error != "":
		return "failed: " + s.Error
	case s.Polled.IsZero():
		return "not polled yet"
	}
	text := fmt.Sprintf("%d new, %d changed, %d removed, %d as before", s.Last.Published, s.Last.Changed, s.Last.Removed, s.Last.Same)
	if s.Last.Failed > 0 {
		text += fmt.Sprintf(", %d could not be published", s.Last.Failed)
	}
	if s.Last.More {
		text += ", more at the next poll"
	}
	return text
}

func (a *app) sourceListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "source-list",
		Short:   "list what plugins bring to channels",
		Long:    "List the bindings of source-add: what the last poll did, what is read, and where it goes.",
		Example: "  aml source-list\n  aml source-list --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.existing(cmd.Context())
			if err != nil {
				return err
			}
			res, err := c.SourceList(cmd.Context())
			if err = closing(c, err); err != nil {
				return err
			}
			return a.result(res.Sources, func(w io.Writer) { boundSources(w, res.Sources) })
		},
	}
}

func (a *app) sourceRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "source-remove NAME",
		Short:   "bring no more from a source",
		Long:    "End a binding of source-add. What it has published stays; added again under the same\nname, it goes on where it was.",
		Example: "  aml source-remove podcast",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, given []string) error {
			c, err := a.existing(cmd.Context())
			if err != nil {
				return err
			}
			req := api.SourceRequest{Name: given[0]}
			if err = closing(c, c.SourceRemove(cmd.Context(), req)); err != nil {
				return err
			}
			return a.result(req, func(w io.Writer) { fmt.Fprintf(w, "%s is removed\n", req.Name) })
		},
	}
}

func (a *app) sourcePollCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "source-poll [NAME]",
		Short: "look now for what sources have",
		Long: `Poll one source of source-add, or all, and publish what is new. Without a running
daemon this is done here, and what is published is announced when a daemon runs. A
single thing that cannot be published is named, and tried again at the next poll.`,
		Example: "  aml source-poll\n  aml source-poll podcast --json",
		Args:    args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, given []string) error {
			var req api.SourceRequest
			if len(given) == 1 {
				req.Name = given[0]
			}
			c, err := a.existing(cmd.Context())
			if err != nil {
				return err
			}
			p := a.beside()
			res, err := c.SourcePoll(cmd.Context(), req, p.event)
			if err = closing(c, p.done(err)); err != nil {
				return err
			}
			return a.result(res.Sources, func(w io.Writer) { boundSources(w, res.Sources) })
		},
	}
}
