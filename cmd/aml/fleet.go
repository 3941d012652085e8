package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/anonymous-media-library/aml/config"
	"github.com/anonymous-media-library/aml/node/api"
)

func (a *app) mirrorCommand() *cobra.Command {
	var req api.MirrorRequest
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "mirror [CHANNEL...]",
		Short: "keep all blobs of channels, and serve them",
		Long: `Follow channels and keep every blob that counts in them until interrupted: pinned
in the store, announced, and served to whoever asks, so that the channels go on
when their publishers do not. No folder is written, no read key is needed or used:
a private channel is mirrored blindly. What a channel replaces or takes back is let
go of. Without channels it is those that were mirrored last.

The store's quota (--set quota=...) must have room for all of it: what does not fit
is told, and tried again. --once ends when all that is known now is here. --end keeps
channels no longer: their blobs stay until the store needs the room.`,
		Example: "  aml mirror aml://... --set quota=500GiB\n  aml mirror aml://... aml://... --http=8080 --json\n  aml mirror aml://... --once --timeout 2m\n  aml mirror aml://... --end",
		RunE: func(cmd *cobra.Command, channels []string) error {
			req.Channels, req.Peers, req.Timeout = channels, a.peers, api.Duration(timeout)
			if err := api.CheckTargets(channels...); err != nil {
				return err
			}
			switch {
			case req.End && req.Once:
				return usage(cmd, fmt.Errorf("--end and --once: give one of them"))
			case timeout != 0 && !req.Once, timeout < 0:
				return usage(cmd, fmt.Errorf("--timeout goes with --once"))
			}
			if req.End {
				return a.endMirror(cmd, req)
			}
			c, err := a.connect(cmd.Context(), api.NeedNetwork)
			if err != nil {
				return err
			}
			a.serving = !req.Once
			p := a.stream()
			on, wait := unhurried(cmd.Context(), p.event)
			res, err := c.Mirror(cmd.Context(), req, on)
			wait()
			if err = closing(c, p.done(err)); err != nil || !req.Once {
				return err
			}
			return a.result(res, func(w io.Writer) {
				fmt.Fprintf(w, "%s whole; %s (%s) came from others\n", counted(res.Releases, "release"), blobs(res.Blobs), config.FormatSize(res.Bytes))
			})
		},
	}
	a.serves(cmd)
	cmd.Flags().BoolVar(&req.Once, "once", false, "end when all that is known now is here")
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "with --once: end without success after so long without progress (default 1m)")
	cmd.Flags().BoolVar(&req.End, "end", false, "keep these channels no longer")
	return cmd
}

func (a *app) endMirror(cmd *cobra.Command, req api.MirrorRequest) error {
	c, err := a.existing(cmd.Context())
	if err != nil {
		return err
	}
	res, err := c.Mirror(cmd.Context(), req, nil)
	if err = closing(c, err); err != nil {
		return err
	}
	return a.result(res, func(w io.Writer) {
		fmt.Fprintf(w, "%s kept no longer: %s let go of\n", counted(res.Channels, "channel"), blobs(res.LetGo))
	})
}

// mirrorWords says what a mirror does.
func mirrorWords(v api.MirrorEvent) string {
	switch v.State {
	case "following":
		return fmt.Sprintf("mirroring %.12s", v.Channel)
	case "letGo":
		return fmt.Sprintf("let go of %s of %.12s", blobs(v.Blobs), v.Channel)
	}
	missing := ""
	if v.Missing > 0 {
		missing = fmt.Sprintf("; %s of it nobody has", blobs(v.Missing))
	}
	return fmt.Sprintf("kept release %d of %.12s: %s, %s (%s) from others%s", v.Seq, v.Channel, orElse(v.Title, "(no title)"), blobs(v.Fetched), config.FormatSize(v.Bytes), missing)
}
