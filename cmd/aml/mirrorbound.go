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

func (a *app) mirrorAddCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "mirror-add PLUGIN CHANNEL",
		Short: "keep a plugin filled with a channel's blobs",
		Long: `Bind a plugin with the hook Mirror, such as mirror-fs (another disk) or mirror-s3 (a
bucket), to a channel that is known here, whether this home publishes, follows or mirrors it.
A running daemon then gives it every sealed blob that counts and is here, soon after it
has come, tries again what fails for as long as it is owed, deletes there what the
channel takes back, and asks every day whether all is there still. What is owed outlasts
the process. mirror-push does it now, mirror-list says how far it is.`,
		Example: "  aml mirror-add mirror-fs music/live\n  aml mirror-add mirror-s3 aml://...",
		Args:    args(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, given []string) error {
			c, err := a.existing(cmd.Context())
			if err != nil {
				return err
			}
			res, err := c.MirrorAdd(cmd.Context(), api.MirrorBindingRequest{Plugin: given[0], Target: given[1]})
			if err = closing(c, err); err != nil {
				return err
			}
			return a.result(res, func(w io.Writer) {
				fmt.Fprintf(w, "%s is kept filled with %s, by a daemon or with aml mirror-push\n", res.Plugin, quoted(res.Title, res.Address))
			})
		},
	}
}

// boundMirrors lists bindings.
func boundMirrors(w io.Writer, list []api.MirrorBoundInfo) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	said := ""
	for _, m := range list {
		what := m.Address
		if m.Channel == "" {
			what = "no channel any more"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", m.Plugin, mirrorState(m), what)
		if m.Error != "" && said != m.Plugin { // it is of the plugin, and said once
			said = m.Plugin
			state := fmt.Sprintf("%d failed", m.Failing)
			if m.Rests {
				state = "rests"
			}
			if !m.Again.IsZero() {
				state += " until " + m.Again.Time().Format(time.TimeOnly)
			}
			fmt.Fprintf(t, "\t%s: %s\n", state, plain(m.Error))
		}
	}
	t.Flush()
}

// mirrorState says in a few words how far a binding is.
func mirrorState(m api.MirrorBoundInfo) string {
	text := fmt.Sprintf("%s there, %d owed", blobs(m.There), m.Owed)
	if m.Delete > 0 {
		text += fmt.Sprintf(", %d to delete", m.Delete)
	}
	if m.Missing > 0 {
		text += fmt.Sprintf(", %d not here yet", m.Missing)
	}
	return text
}

func (a *app) mirrorListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "mirror-list",
		Short: "list which plugins are kept filled with what",
		Long: `List the bindings of mirror-add: how many blobs the plugin has, is owed and has to
delete, how many count and are not here yet, and what failed last.`,
		Example: "  aml mirror-list\n  aml mirror-list --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.existing(cmd.Context())
			if err != nil {
				return err
			}
			res, err := c.MirrorList(cmd.Context())
			if err = closing(c, err); err != nil {
				return err
			}
			return a.result(res.Mirrors, func(w io.Writer) { boundMirrors(w, res.Mirrors) })
		},
	}
}

func (a *app) mirrorPushCommand() *cobra.Command {
	var req api.MirrorBindingRequest
	cmd := &cobra.Command{
		Use:   "mirror-push [PLUGIN [CHANNEL]]",
		Short: "give plugins now what they are owed",
		Long: `Do now what the plugins of mirror-add are owed, all of them, one, or of one only a
channel, with or without a running daemon: also what would be tried again only later.
With --check they are asked first for all that they are said to have. It fails if
something is owed still; what counts and is not here is not owed.`,
		Example: "  aml mirror-push\n  aml mirror-push mirror-fs --check\n  aml mirror-push mirror-s3 @band --json",
		Args:    args(cobra.MaximumNArgs(2)),
		RunE: func(cmd *cobra.Command, given []string) error {
			if len(given) > 0 {
				req.Plugin = given[0]
			}
			if len(given) > 1 {
				req.Target = given[1]
			}
			c, err := a.existing(cmd.Context())
			if err != nil {
				return err
			}
			p := a.beside()
			res, err := c.MirrorPush(cmd.Context(), req, p.event)
			if err = closing(c, p.done(err)); err != nil {
				return err
			}
			return a.pushed(res)
		},
	}
	cmd.Flags().BoolVar(&req.Check, "check", false, "ask first for all that is said to be there")
	return cmd
}

// pushed prints what a push did, and fails if something is left.
func (a *app) pushed(res api.MirrorPushResult) error {
	err := a.result(res, func(w io.Writer) {
		fmt.Fprintf(w, "%s, %s copied; %d were there already, %d deleted%s%s\n",
			blobs(res.Put), config.FormatSize(res.Bytes), res.Found, res.Deleted, besides(res.Lost, "were lost there"), besides(res.Owed, "are owed still"))
		boundMirrors(w, res.Mirrors)
	})
	if err == nil && res.Why != "" {
		err = &api.Error{Code: api.CodeFailure, Message: res.Why}
	}
	return err
}

func (a *app) mirrorRemoveCommand() *cobra.Command {
	var req api.MirrorBindingRequest
	cmd := &cobra.Command{
		Use:   "mirror-remove PLUGIN CHANNEL",
		Short: "keep a plugin filled with a channel no longer",
		Long: `End a binding of mirror-add. What the plugin has stays there; with --delete what no
other channel of it counts is deleted there, now, or by a daemon when it can be asked
again.`,
		Example: "  aml mirror-remove mirror-fs music/live\n  aml mirror-remove mirror-s3 aml://... --delete",
		Args:    args(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, given []string) error {
			req.Plugin, req.Target = given[0], given[1]
			c, err := a.existing(cmd.Context())
			if err != nil {
				return err
			}
			res, err := c.MirrorRemove(cmd.Context(), req)
			if err = closing(c, err); err != nil {
				return err
			}
			if req.Delete {
				return a.pushed(res)
			}
			return a.result(res, func(w io.Writer) {
				fmt.Fprintf(w, "%s is filled with %s no longer; what it has stays there\n", req.Plugin, req.Target)
			})
		},
	}
	cmd.Flags().BoolVar(&req.Delete, "delete", false, "delete there what no other channel counts")
	return cmd
}
