package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/anonymous-media-library/aml/config"
	"github.com/anonymous-media-library/aml/node/api"
)

func (a *app) channelCreateCommand() *cobra.Command {
	var req api.CreateRequest
	var kind string
	cmd := &cobra.Command{
		Use:   "channel-create TOPIC...",
		Short: "found a channel listed on the given topics",
		Long: `Found a channel: a root key is made apart, which can be taken offline, and signs
who may publish; the publishing key stays. channel-publish does this by itself
for the first release under a topic. A channel may be listed on up to 8 topics;
channel-publish finds it under each of them. Who looks at a topic above, as at
software for software/linux, is shown what lies below. --by is a name for who
publishes, which channel-browse and search show: your word, and no proof of anything.

With --private only who has a read key reads the channel: it stands in the
address that is printed on a terminal, or with --read-key, and is sealed to the
members of channel-member-add. Topics stay in clear; the title does not.`,
		Example: "  aml channel-create software/linux --title 'Example OS' --kind update\n  aml channel-create music/live radio/jazz --title 'Radio Aurora' --by Aurora\n  aml channel-create music/live -k band.pem --json\n  aml channel-create firmware --private",
		Args:    args(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, topics []string) (err error) {
			req.Topics = topics
			req.Kind = api.Kind(kind)
			if err := wholePaths(&req.KeyFile); err != nil {
				return err
			}
			if req.WithReadKey && !req.Private {
				return usage(cmd, fmt.Errorf("--read-key goes with --private: a public channel has none"))
			}
			if cmd.Flags().Changed("by") && req.By == "" {
				return usage(cmd, fmt.Errorf("--by is empty: leave it out to name nobody"))
			}
			if err := api.CheckPublisherName(req.By); err != nil {
				return err
			}
			if req.By != "" && req.Private {
				return usage(cmd, fmt.Errorf("--by goes with public channels: the root of a private one is in clear, and names nobody"))
			}
			req.WithReadKey = req.WithReadKey || req.Private && !a.json && terminal(a.out)
			c, err := a.connect(cmd.Context(), api.NeedStore)
			if err != nil {
				return err
			}
			res, err := c.Create(cmd.Context(), req)
			if err = closing(c, err); err != nil {
				return err
			}
			return a.result(res, func(w io.Writer) {
				fmt.Fprintf(w, "%s\nroot key        %s  (move it to a safe place)\npublishing key  %s\n", orElse(res.ReadAddress, res.Address), res.RootKey, res.Key)
				if res.ReadAddress != "" {
					fmt.Fprintln(w, "Whoever has this whole address reads the channel. `aml channel-show --read-key` shows it again.")
				}
			})
		},
	}
	cmd.Flags().StringVar(&req.Title, "title", "", "title for people (default the first topic)")
	cmd.Flags().StringVar(&req.By, "by", "", "`NAME` of who publishes, for people: up to 64 bytes (default none)")
	cmd.Flags().StringVar(&kind, "kind", "media", "media or update: what stale means to followers")
	cmd.Flags().StringVarP(&req.KeyFile, "key", "k", "", "publishing key file, PKCS#8 PEM (default this node's own)")
	cmd.Flags().BoolVar(&req.Private, "private", false, "seal what is released; only who has a read key reads it")
	readKeyFlag(cmd, &req.WithReadKey)
	return cmd
}

func (a *app) channelPublishCommand() *cobra.Command {
	var req api.PublishRequest
	var input, chunk string
	var once bool
	var copies copiesFlags
	cmd := &cobra.Command{
		Use:   "channel-publish TOPIC_OR_ADDRESS [FILE_OR_FOLDER... | -i MANIFEST.JSON]",
		Short: "publish files as the next release of a channel",
		Long: `Publish files as the next release of this node's channel on a topic; the first
publication makes the channel and prints its address. A folder's files are named
by their paths below it, hidden ones included. Through a running node the command returns when the
release is stored; otherwise it stays to serve until interrupted, unless --once.
With --wait-copies N it ends when N other nodes have everything of the release, by
their word and, of a few blobs chosen at random, by proof; each is printed as it is
found. If that takes longer than --wait-timeout it fails, and says how many have it
and what has the fewest copies; the release stays published. If it is retracted
meanwhile the command fails at once.
To a channel that somebody else has founded, one publishes by its address and
with a key that was let in (channel-delegate): one in this home's folder of keys,
or -k. A key with scopes may name what is below them alone: see --into.

manifest.json: {"title": "", "description": "", "metadata": {}, "entries":
[FileEntry or {"path": "local file", "name": "name in the channel", "attrs":
{}}], "remove": ["name"]}. Paths are relative to the manifest's folder.`,
		Example: "  aml channel-publish music/live show.flac --once\n  aml channel-publish music/live -i manifest.json\n  aml channel-publish music/live album/ -k band.pem\n  aml channel-publish music/live show.flac --once --wait-copies 2 --wait-timeout 1h\n  aml channel-publish aml://... track.flac --into guests",
		Args:    args(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, given []string) (err error) {
			req.Topic, req.Peers = given[0], a.peers
			switch files := len(given) > 1; {
			case files && input != "":
				return usage(cmd, fmt.Errorf("give files or a manifest with -i, not both"))
			case req.Into != "" && input != "":
				return usage(cmd, fmt.Errorf("--into goes with files; a manifest names them itself"))
			case !files && input == "":
				return usage(cmd, fmt.Errorf("what to publish? give files, or a manifest with -i"))
			}
			if err := api.CheckTargets(given[0]); err != nil {
				return err
			}
			if err := copies.check(cmd); err != nil {
				return err
			}
			if err := a.publishInput(&req, given[1:], input, chunk); err != nil {
				return err
			}
			need := api.NeedNetwork
			if once && copies.wanted == 0 {
				need = a.askingNeed()
			}
			ctx := cmd.Context()
			c, err := a.connect(ctx, need)
			if err != nil {
				return err
			}
			stay := !once && !c.Remote() && copies.wanted == 0
			p := &printer{app: a, stream: stay}
			if stay || copies.wanted > 0 && !c.Remote() {
				if err := a.listening(ctx, c); err != nil {
					return closing(c, err)
				}
			}
			res, err := c.Publish(ctx, req, p.event)
			if err = p.done(err); err != nil {
				return closing(c, err)
			}
			err = a.published(res)
			if err == nil && copies.wanted > 0 {
				err = a.waitCopies(ctx, c, res, copies)
			}
			if err != nil || !stay {
				return closing(c, err)
			}
			a.serving = true
			on, wait := unhurried(ctx, p.event)
			err = c.Watch(ctx, func(e api.Event) {
				if e.Name != "listening" { // that was said before
					on(e)
				}
			})
			wait()
			return closing(c, p.done(err))
		},
	}
	cmd.Flags().StringVarP(&input, "input", "i", "", "manifest.json, - for standard input")
	cmd.Flags().StringVar(&req.Into, "into", "", "put the files below this `PATH` of the channel")
	cmd.Flags().StringVar(&req.Title, "title", "", "title of the release")
	cmd.Flags().StringVar(&req.Description, "description", "", "description of the release")
	cmd.Flags().StringVar(&chunk, "chunk-size", "1MiB", "plaintext bytes per blob: a power of two from 64KiB to 2MiB")
	sealing(cmd, &req.InPlace, &req.Erasure)
	signFlags(cmd, &req.KeyFile, &req.OnlyHolder)
	cmd.Flags().BoolVar(&once, "once", false, "end when the release is stored; a running node, or a later one, serves it. Without a running node and --peer nobody is asked what was published already")
	copies.add(cmd)
	return cmd
}

// publishInput puts what is to be published into req.
func (a *app) publishInput(req *api.PublishRequest, paths []string, input, chunk string) (err error) {
	if req.ChunkSize, err = chunkSize(chunk); err != nil {
		return err
	}
	if err := wholePaths(&req.KeyFile); err != nil {
		return err
	}
	for _, p := range paths {
		abs, err := absolute(p)
		if err != nil {
			return err
		}
		req.Paths = append(req.Paths, abs)
	}
	if input == "" {
		return nil
	}
	doc, err := a.readInput(input)
	if err != nil {
		return err
	}
	req.Draft = &doc
	dir := "."
	if input != "-" {
		dir = filepath.Dir(input)
	}
	req.DraftDir, err = absolute(dir)
	return err
}

// published prints a release: the address alone on the first line, so that
// `head -1` finds it.
func (a *app) published(res api.PublishResult) error {
	a.tellRetired(res)
	if a.json {
		return a.line(struct {
			Event string `json:"event"`
			api.PublishResult
		}{"published", res})
	}
	verb := "release"
	if res.Created {
		verb = "new channel, release"
	}
	gone := ""
	if n := len(res.Retired); n > 0 {
		gone = fmt.Sprintf("; %s removed by keep rules", counted(n, "file"))
	}
	return a.write(fmt.Appendf(nil, "%s\n%s %d: %s, %s%s\n", res.Address, verb, res.Seq, counted(res.Entries, "file"), config.FormatSize(int64(res.Bytes)), gone))
}

// listening prints who the node is, before anything else.
func (a *app) listening(ctx context.Context, c *api.Client) error {
	e, err := c.Listening(ctx)
	if err != nil {
		return err
	}
	if a.json {
		return a.line(e)
	}
	return a.write(fmt.Appendf(nil, "listening as %s\n  %s\n", e.PeerID, strings.Join(e.Addrs, "\n  ")))
}

func (a *app) channelSubscribeCommand() *cobra.Command {
	var req api.SubscribeRequest
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "channel-subscribe ADDRESS_OR_TOPIC [-o FOLDER]",
		Short: "follow a channel, or the channels of a topic, into a folder",
		Long: `Follow a channel: get every release, verify it, and write its files below a
folder, each under its name once it is whole. A line is printed per event. The
subscription is remembered; aml daemon goes on with it. channel-unsubscribe
ends it.

The address of a file or folder in a channel, aml://ID/PATH, takes that and what is
below it, and no more: it is the channel's address with --path. It gets a folder of its
own with -o where the channel is followed already.

A bare topic shows the channels listed on it and follows those trusted with
--trust, or all with --trust-all; each writes into a folder of its own, named by
its id.

A private channel is read with the whole address, whose read key stays in this
home, or with the bare one by its members (key-member). Without either, the node
is a blind mirror: it has the channel's blobs for others, and writes no files.

Of a channel of kind update nothing is written while it is stale: what is new may
be withheld, or what is old shown as new. Its releases are listed and mirrored, an
event says why, and --once ends with an error; --stale with --once writes them all
the same, this time. What is of kind media is written and plays on.

` + policyHelp,
		Example: "  aml channel-subscribe aml://... -o live\n  aml channel-subscribe aml://... -o live --once --timeout 2m --json\n  aml channel-subscribe aml://.../episodes/2026 -o episodes\n  aml channel-subscribe music/live --trust-all -o music --quota 20GiB\n  aml channel-subscribe aml://... --media-type 'video/*' --max-age 7d --keep count=20",
		Args:    args(cobra.ExactArgs(1)),
	}
	flags := newPolicyFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, given []string) (err error) {
		if req.Policy, err = flags.read(a); err != nil {
			return err
		}
		req.Target, req.Peers, req.Timeout = given[0], a.peers, api.Duration(timeout)
		if req.Output != "" {
			if req.Output, err = absolute(req.Output); err != nil {
				return err
			}
		}
		if err := notNegative(timeout); err != nil {
			return usage(cmd, err)
		}
		if req.Stale && !req.Once {
			return usage(cmd, fmt.Errorf("--stale goes with --once: it is not remembered"))
		}
		if timeout > 0 && !req.Once {
			return usage(cmd, fmt.Errorf("--timeout goes with --once"))
		}
		if err := api.CheckSubscribe(req); err != nil {
			return err
		}
		c, err := a.connect(cmd.Context(), api.NeedNetwork)
		if err != nil {
			return err
		}
		if err := a.listening(cmd.Context(), c); err != nil {
			return closing(c, err)
		}
		a.serving = !req.Once
		p := a.stream()
		ctx := cmd.Context()
		if req.Once {
			var end func()
			ctx, end = p.finite(ctx)
			defer end()
		}
		res, err := c.Subscribe(ctx, req, p.event)
		if err = closing(c, p.done(err)); err != nil || !req.Once { // it was ended elsewhere, and has said so
			return err
		}
		if a.json {
			return a.line(struct {
				Event string `json:"event"`
				api.SubscribeResult
			}{"done", res})
		}
		mirrored := ""
		if res.Mirrored > 0 {
			mirrored = fmt.Sprintf(", %d mirrored without a read key", res.Mirrored)
		}
		return a.write(fmt.Appendf(nil, "%s: %s, %s, %s%s%s\n", orElse(strings.TrimPrefix(caution(", ", res.Currency), ", "), "up to date"), counted(res.Releases, "release"), counted(res.Files, "file"), config.FormatSize(int64(res.Bytes)), leftOut(res.Passed), mirrored))
	}
	cmd.Flags().StringVarP(&req.Output, "output", "o", "", "folder to write to (default below this home's files/)")
	cmd.Flags().BoolVar(&req.Once, "once", false, "end when all releases known now are there")
	cmd.Flags().BoolVar(&req.Stale, "stale", false, "with --once: write files of a channel of kind update though it is stale")
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "with --once: fail if that takes longer (default 1m without any progress)")
	cmd.Flags().StringArrayVar(&req.Trust, "trust", nil, "on a topic: follow this channel (address or id; repeatable)")
	cmd.Flags().BoolVar(&req.TrustAll, "trust-all", false, "on a topic: follow every channel, whoever made it")
	return cmd
}

// leftOut says how many files a policy left out.
func leftOut(files int) string {
	if files == 0 {
		return ""
	}
	return fmt.Sprintf("; %s left out", counted(files, "file"))
}

func (a *app) channelListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "channel-list",
		Short:   "list the channels that this node knows",
		Example: "  aml channel-list\n  aml channel-list --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.existing(cmd.Context())
			if err != nil {
				return err
			}
			res, err := c.List(cmd.Context())
			if err = closing(c, err); err != nil {
				return err
			}
			return a.result(res.Channels, func(w io.Writer) {
				t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
				for _, ch := range res.Channels {
					has := counted(int(ch.Releases), "release") + "\t" + counted(int(ch.Entries), "file")
					if ch.State == "listed" {
						has = "\t"
					}
					fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", ch.Address, titled(ch), has, state(ch))
				}
				t.Flush()
			})
		},
	}
}

// caution says of a channel that it is stale or has forked, each after a separator.
func caution(sep string, c api.Currency) string {
	words := ""
	if c.Forked {
		words += sep + "FORKED"
	}
	if c.Stale() {
		words += sep + "stale"
	}
	return words
}

// titled is a channel's title after the names that this node's user has for it.
func titled(ch api.ChannelInfo) string {
	var names string
	for _, n := range ch.Petnames {
		names += "@" + n + " "
	}
	return names + quoted(ch.Title, "(no title)")
}

// state says in a few words what a reader of a list should know.
func state(ch api.ChannelInfo) string {
	words := []string{ch.State}
	for _, s := range []struct {
		is   bool
		word string
	}{{ch.Own && ch.Subscribed, "followed"}, {ch.Forked, "FORKED"}, {!ch.Fresh && ch.State != "listed", "stale"}, {ch.LookAlike != "", "looks like " + ch.LookAlike}} {
		if s.is {
			words = append(words, s.word)
		}
	}
	return strings.Join(words, ", ")
}

func (a *app) channelShowCommand() *cobra.Command {
	var code, with, replace bool
	var png string
	cmd := &cobra.Command{
		Use:     "channel-show ADDRESS_OR_TOPIC",
		Short:   "show a channel: its logs, whether it is fresh, its files",
		Long:    "Show a known channel, named by its address, id or petname, or by the topic of one\nthat this node publishes or follows. With --qr its address is shown as a QR code.",
		Example: "  aml channel-show aml://...\n  aml channel-show music/live --json\n  aml channel-show @band --qr\n  aml channel-show @band --qr-png band.png",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, given []string) error {
			c, err := a.existing(cmd.Context())
			if err != nil {
				return err
			}
			s, err := c.Show(cmd.Context(), api.ShowRequest{Target: given[0], WithReadKey: with})
			if err = closing(c, err); err != nil {
				return err
			}
			if code && a.json {
				return usage(cmd, fmt.Errorf("--qr draws, --json does not: want one of them"))
			}
			if code || png != "" {
				if err := a.showQR(cmd.Context(), s, code, png, replace); err != nil || code {
					return err
				}
			}
			return a.result(s, func(w io.Writer) { show(w, s) })
		},
	}
	cmd.Flags().BoolVar(&code, "qr", false, "draw the address as a QR code")
	cmd.Flags().StringVar(&png, "qr-png", "", "write the address as a QR code to this PNG file")
	cmd.Flags().BoolVar(&replace, "replace", false, replaceHelp)
	readKeyFlag(cmd, &with)
	return cmd
}
