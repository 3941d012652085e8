package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/anonymous-media-library/aml/config"
	"github.com/anonymous-media-library/aml/node/api"
)

func (a *app) mirrorCommand() *cobra.Command {
	var req api.MirrorRequest
	var timeout, ttl time.Duration
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
channels no longer: their blobs stay until the store needs the room.

With --nats and --group several mirrors are a fleet: each release is fetched from
outside by one of them, kept by --copies of them, and passed on among them; who is
dead is replaced, and who comes takes its share (docs/fleet.md). All of a group give the
same --copies and --ttl. aml mirror-status says how well all is kept.`,
		Example: "  aml mirror aml://... --set quota=500GiB\n  aml mirror aml://... aml://... --http=8080 --json\n  aml mirror aml://... --once --timeout 2m\n  aml mirror aml://... --nats nats://n1:4222 --nkey mirror.nk --group eu --copies 2\n  aml mirror aml://... --end",
		RunE: func(cmd *cobra.Command, channels []string) error {
			req.Channels, req.Peers, req.Timeout, req.Fleet.TTL = channels, a.peers, api.Duration(timeout), api.Duration(ttl)
			if err := api.CheckTargets(channels...); err != nil {
				return err
			}
			switch {
			case req.End && req.Once:
				return usage(cmd, fmt.Errorf("--end and --once: give one of them"))
			case timeout != 0 && !req.Once, timeout < 0:
				return usage(cmd, fmt.Errorf("--timeout goes with --once"))
			}
			for _, flag := range []string{"copies", "replicas", "ttl"} { // 0 is how the default is asked for
				if f := cmd.Flags().Lookup(flag); f.Changed && strings.TrimRight(f.Value.String(), "s") == "0" {
					return usage(cmd, fmt.Errorf("--%s %s: want 1 or more, or leave it out for the default", flag, f.Value))
				}
			}
			if !cmd.Flags().Changed("network") { // it has a default
				req.Fleet.Network = ""
			}
			for _, path := range []*string{&req.Fleet.Creds, &req.Fleet.NKey, &req.Fleet.CA} {
				if *path != "" {
					abs, err := absolute(*path)
					if err != nil {
						return err
					}
					*path = abs
				}
			}
			if err := api.CheckFleet(req.Fleet); err != nil {
				return err
			}
			if req.Fleet.Group != "" && (req.Once || req.End) {
				return usage(cmd, fmt.Errorf("--once and --end go without --group"))
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
	f := &req.Fleet
	cmd.Flags().StringVar(&f.Group, "group", "", "share the work with the others of this group, `NAME`")
	cmd.Flags().StringArrayVar(&f.URLs, "nats", nil, "with --group: NATS server at which it meets, `URL` nats://, tls://, ws:// or wss:// (repeatable, for a cluster)")
	natsUserFlags(cmd, &f.NATSServer)
	cmd.Flags().IntVar(&f.Copies, "copies", 0, "with --group: members that keep each release (default 3)")
	cmd.Flags().StringArrayVar(&f.Members, "member", nil, "with --group: `PEER` id that may be a member (repeatable; default whoever may speak in the group)")
	cmd.Flags().DurationVar(&ttl, "ttl", 0, "with --group: a member that is silent for so long is dead (default 30s)")
	cmd.Flags().IntVar(&f.Replicas, "replicas", 0, "with --group: of streams that have to be made: 3 in a cluster (default 1)")
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
		who := "nobody that is reachable has yet"
		if v.From == "members" {
			who = "no other member has yet"
		}
		missing = fmt.Sprintf("; %s of it %s", blobs(v.Missing), who)
	}
	if v.State == "members" {
		return fmt.Sprintf("the group has %s", counted(v.Members, "member"))
	}
	return fmt.Sprintf("kept release %d of %.12s: %s, %s (%s) from others%s", v.Seq, v.Channel, orElse(v.Title, "(no title)"), blobs(v.Fetched), config.FormatSize(v.Bytes), missing)
}

func (a *app) mirrorStatusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "mirror-status [CHANNEL...]",
		Short: "show how well mirrored channels are kept",
		Long: `Ask every member of the group that this home's mirror is in what it has of the
channels, and count copies; of a mirror that is alone, or does not run now, what is
here. Nothing is believed of what members say of each other.`,
		Example: "  aml mirror-status\n  aml mirror-status aml://... --json",
		RunE: func(cmd *cobra.Command, channels []string) error {
			if err := api.CheckTargets(channels...); err != nil {
				return err
			}
			c, err := a.existing(cmd.Context())
			if err != nil {
				return err
			}
			res, err := c.MirrorStatus(cmd.Context(), api.MirrorStatusRequest{Channels: channels})
			if err = closing(c, err); err != nil {
				return err
			}
			return a.result(res, func(w io.Writer) {
				for _, ch := range res.Channels {
					mirrorStatusWords(w, ch)
				}
			})
		},
	}
}

func mirrorStatusWords(w io.Writer, c api.MirroredChannel) {
	where := "alone"
	if c.Group != "" {
		where = fmt.Sprintf("in group %s, %s wanted", c.Group, counted(c.Wanted, "copy"))
	}
	if !c.Running {
		where += ", not running"
	}
	fmt.Fprintf(w, "%s  %s\n", c.Address, orElse(c.Title, "(no title)"))
	fmt.Fprintf(w, "  %s, %s, %s\n", where, counted(c.Releases, "release"), blobs(c.Blobs))
	for _, s := range c.Spread {
		fmt.Fprintf(w, "  %s of %s\n", counted(s.Copies, "copy"), blobs(int64(s.Blobs)))
	}
	if c.Short > 0 {
		fmt.Fprintf(w, "  %s with too few copies; the weakest blob is %s of release %d\n", counted(c.Short, "release"), c.Weakest.Blob, c.Weakest.Seq)
	}
	if c.Unlisted > 0 {
		fmt.Fprintf(w, "  %s of which nobody has the list of blobs\n", counted(c.Unlisted, "release"))
	}
	for _, m := range c.Members {
		self := ""
		if m.Self {
			self = " (this node)"
		}
		fmt.Fprintf(w, "  member %s%s: %s whole, %s\n", m.Peer, self, counted(m.Releases, "release"), blobs(m.Blobs))
	}
}
