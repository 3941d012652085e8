package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/anonymous-media-library/aml/config"
	"github.com/anonymous-media-library/aml/node/api"
)

func (a *app) channelRetractCommand() *cobra.Command {
	var req api.RetractRequest
	cmd := &cobra.Command{
		Use:   "channel-retract CHANNEL [NAME...] --reason TEXT",
		Short: "take files of a channel back, for everybody, with a reason",
		Long: `Take files back that a channel of yours has published: a release with tombstones
says so, and why. Followers and mirrors that can read the channel delete the
files that they have written, unless a user has changed them, and their blobs,
unless another file needs them; nobody who joins later fetches them. The
manifests stay, and channel-show lists what was taken back. What somebody has
copied elsewhere nobody can take back.

A name is that of a file in the channel, or a pattern: * and ? do not cross a
slash, ** does. Where there is a file of that very name it means that file alone;
which it was is said. --release N takes back all that the release brought and that is
still there, or what of it the names match. The key that signs has to be one
whose scope covers all of it. --dry-run says what would be taken back.

A running daemon tells followers at once; without one, they hear of it when this
home is next on the network.`,
		Example: `  aml channel-retract music/live 'live/2026/01 opening.flac' --reason 'wrong cut'
  aml channel-retract music/live 'drafts/**' --reason 'not for release' --dry-run
  aml channel-retract aml://... --release 12 --reason 'withdrawn by the label' -k band.pem`,
		Args: args(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, given []string) (err error) {
			req.Target, req.Names, req.Peers = given[0], given[1:], a.peers
			if cmd.Flags().Changed("release") && req.Release == 0 {
				return usage(cmd, fmt.Errorf("--release 0: releases are counted from 1"))
			}
			if err := api.CheckRetraction(req); err != nil {
				return usage(cmd, err)
			}
			if err := wholePaths(&req.KeyFile); err != nil {
				return err
			}
			need := a.askingNeed()
			if req.DryRun { // nothing is signed
				need = api.NeedStore
			}
			c, err := a.connect(cmd.Context(), need)
			if err != nil {
				return err
			}
			p := a.beside()
			res, err := c.Retract(cmd.Context(), req, p.event)
			if err = closing(c, p.done(err)); err != nil {
				return err
			}
			return a.result(res, func(w io.Writer) { retracted(w, res) })
		},
	}
	cmd.Flags().StringVar(&req.Reason, "reason", "", "why, in one line: followers are shown it, and it stays")
	cmd.Flags().Uint64Var(&req.Release, "release", 0, "take back what release `N` brought")
	cmd.Flags().StringVar(&req.Log, "log", "", "with --release: of which log, the beginning of its `KEY` (default that of the key that signs)")
	cmd.Flags().BoolVar(&req.DryRun, "dry-run", false, "say what would be taken back, and change nothing")
	signFlags(cmd, &req.KeyFile, &req.OnlyHolder)
	_ = cmd.RegisterFlagCompletionFunc("reason", cobra.NoFileCompletions)
	_ = cmd.RegisterFlagCompletionFunc("release", cobra.NoFileCompletions)
	_ = cmd.RegisterFlagCompletionFunc("log", cobra.NoFileCompletions)
	return cmd
}

// retracted says what was taken back, for people.
func retracted(w io.Writer, res api.RetractResult) {
	fmt.Fprintln(w, res.Address)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range res.Files {
		fmt.Fprintf(t, "  %s\t%s\trelease %d\n", f.Name, config.FormatSize(int64(f.Size)), f.Seq)
	}
	t.Flush()
	for _, name := range res.AsNames {
		fmt.Fprintf(w, "%q was taken as the name of a file, not as a pattern\n", name)
	}
	for _, name := range res.AsPatterns {
		fmt.Fprintf(w, "%q was taken as a pattern\n", name)
	}
	what := fmt.Sprintf("%s, %s", counted(len(res.Files), "file"), config.FormatSize(int64(res.Bytes)))
	if res.DryRun {
		fmt.Fprintf(w, "would retract %s\n", what)
		return
	}
	var numbers []string
	for _, n := range res.Releases {
		numbers = append(numbers, fmt.Sprint(n))
	}
	fmt.Fprintf(w, "retracted %s by release %s; %s deleted here\n", what, strings.Join(numbers, ", "), counted(res.Blobs, "blob"))
	if res.Pinned > 0 {
		fmt.Fprintf(w, "blobs of %s are pinned here and stay until blob-unpin\n", counted(res.Pinned, "file"))
	}
}
