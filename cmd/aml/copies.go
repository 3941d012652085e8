package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/anonymous-media-library/aml/node/api"
)

func (a *app) channelStatusCommand() *cobra.Command {
	var req api.CopiesRequest
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "channel-status ADDRESS_OR_TOPIC",
		Short: "show who has copies of a channel's releases",
		Long: `Show how many other nodes have the newest releases of a channel, which blob has
the fewest copies, and of which file it is. What was found within the last hour is
shown at once; else, or with --check, others are asked now: those who follow the
channel, those who are connected, and those whom the tracker names.

Of a release that needs no more than 512 blobs all are asked about, else 512 chosen
at random: were 1 % of the blobs gone, they would show that in 99 of 100 cases. A
peer can say what it likes, so it is also made to give a few of the blobs, chosen at
random: "proved". One that does not give what it said it has is named and does not
count. Peers of one network (the first 24 bits of an IPv4 address, 48 of an IPv6
address) may be one person, so networks are counted apart; on this machine every
peer counts as one. A mirror that cannot read the channel asks about all that a
release lists.

Whether the channel itself is fresh, or stale and since when, is said first. Of kind
update followers then write nothing of it: "held back" says why.`,
		Example: "  aml channel-status music/live\n  aml channel-status aml://... --check --json\n  aml channel-status @band --offline",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, given []string) error {
			req.Target, req.Peers, req.Wait = given[0], a.peers, api.Duration(wait)
			if err := aTime("--wait", wait); err != nil {
				return usage(cmd, err)
			}
			if cmd.Flags().Changed("releases") && (req.Releases < 1 || req.Releases > 32) {
				return usage(cmd, fmt.Errorf("--releases %d: want 1 to 32", req.Releases))
			}
			if req.Check && req.Offline {
				return usage(cmd, fmt.Errorf("--check asks others, --offline nobody: want one of them"))
			}
			if err := api.CheckTargets(given[0]); err != nil {
				return err
			}
			res, err := a.copies(cmd.Context(), req)
			if err != nil {
				return err
			}
			switch {
			case res.Checked == 0 && !a.json:
				a.warn("nobody was asked yet; leave out --offline")
			case res.Found == 0 && !a.json:
				a.warn("nobody was found who could have copies; name one with --peer")
			case res.Cut:
				a.warn("not everybody had answered when the time was over; --wait gives more")
			}
			return a.result(res, func(w io.Writer) { printCopies(w, res) })
		},
	}
	cmd.Flags().BoolVar(&req.Check, "check", false, "ask now, though it was asked within the hour")
	cmd.Flags().BoolVar(&req.Offline, "offline", false, "ask nobody: show what was found last")
	cmd.Flags().IntVar(&req.Releases, "releases", 20, "look at the newest so many, 32 at most")
	cmd.Flags().DurationVar(&wait, "wait", 0, "ask for so long at the most (default 15s)")
	return cmd
}

// copies is what is known, where that will do: only else a network is started.
func (a *app) copies(ctx context.Context, req api.CopiesRequest) (api.CopiesResult, error) {
	if !req.Check {
		c, err := a.existing(ctx)
		if err != nil {
			return api.CopiesResult{}, err
		}
		known := req
		known.Offline = true
		res, err := c.Copies(ctx, known)
		if err = closing(c, err); err != nil || req.Offline || res.Current {
			return res, err
		}
	}
	c, err := a.connect(ctx, api.NeedNetwork)
	if err != nil {
		return api.CopiesResult{}, err
	}
	res, err := c.Copies(ctx, req)
	return res, closing(c, err)
}

func printCopies(w io.Writer, res api.CopiesResult) {
	fmt.Fprintf(w, "%s\n", quoted(res.Title, res.Address))
	if words := freshWords(res.Freshness); words != "" {
		fmt.Fprintln(w, words)
	}
	if res.Checked == 0 {
		return
	}
	age := "looked at " + res.Checked.String()
	if !res.Current {
		age += ", which is not the newest state"
	}
	fmt.Fprintf(w, "%s: %s found, %d answered\n", age, counted(res.Found, "peer"), res.Answered)
	several := slices.ContainsFunc(res.Releases, func(r api.ReleaseCopies) bool { return r.Log != res.Releases[0].Log })
	for _, r := range res.Releases {
		fmt.Fprintf(w, "\nrelease %d of %s", r.Seq, r.Issued.Time().Format(time.DateOnly))
		if several { // each publisher counts his own
			fmt.Fprintf(w, ", log %s", r.Log.Short())
		}
		if r.Title != "" {
			fmt.Fprintf(w, ": %q", r.Title)
		}
		fmt.Fprintf(w, "\n  %s\n", askedWords(r))
		if r.Note != "" {
			fmt.Fprintf(w, "  NOTE: %s\n", r.Note)
		}
		if r.Asked == 0 {
			continue
		}
		fmt.Fprintf(w, "  %s %s %s, %d of them proved, in %s\n", counted(r.Copies, "other"), has(r.Copies), it(r), r.Proved, counted(r.Networks, "network"))
		if r.Weakest != nil {
			fmt.Fprintf(w, "  weakest: %s\n", weakestWords(*r.Weakest))
		}
	}
	if len(res.Holders)+len(res.Liars) > 0 {
		fmt.Fprintln(w)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, h := range res.Holders {
		proved := counted(h.Proved, "blob") + " proved"
		if h.Unproved != "" {
			proved += ", others not: " + h.Unproved
		}
		fmt.Fprintf(t, "peer %s\t%s\t%s\t%d in part\t%s\n", h.Peer, h.Class, counted(h.Whole, "release"), h.Partly, proved)
	}
	t.Flush()
	for _, l := range res.Liars {
		fmt.Fprintf(w, "LIES peer %s (%s) says that it has %s: %s\n", l.Peer, l.Class, counted(l.Said, "blob"), l.Why)
	}
}

// freshWords says whether a channel is fresh, and what follows if it is not.
func freshWords(f api.Freshness) string {
	var words []string
	if f.Forked {
		words = append(words, "FORKED: two histories were signed, see channel-show")
	}
	switch {
	case f.Fresh == nil:
	case *f.Fresh:
		words = append(words, "fresh until "+f.Until.String())
	default:
		sep := " "
		if f.Since.IsZero() {
			sep = ": "
		}
		words = append(words, "stale"+sep+staleWords(f.Term))
	}
	if f.Held != "" {
		words = append(words, "held back: "+heldWords(f.Term))
	}
	return strings.Join(words, "\n")
}

// staleWords says since when a channel is stale, if that is known, and what that is.
func staleWords(t api.Term) string {
	const what = "nothing in force says that what is here is the newest"
	if t.Since.IsZero() {
		return what
	}
	return "since " + t.Since.String() + ": " + what
}

// heldWords says what a channel that is held back means for who follows it.
func heldWords(t api.Term) string {
	return "followers write none of its files now, but with channel-subscribe --once --stale: " + t.Held
}

func askedWords(r api.ReleaseCopies) string {
	s := counted(r.Files, "file") + ", " + counted(r.Blobs, "blob")
	if r.Unread {
		s = "unread, " + counted(r.Blobs, "blob")
	}
	switch {
	case r.More:
		s += fmt.Sprintf(" and more, %d of the first asked about", r.Asked)
	case r.Asked < r.Blobs:
		s += fmt.Sprintf(", %d of them asked about", r.Asked)
	}
	if r.Here < r.Asked {
		s += fmt.Sprintf("; %d of these are here", r.Here)
	}
	return s
}

// has is the verb of so many.
func has(n int) string {
	if n == 1 {
		return "has"
	}
	return "have"
}

func it(r api.ReleaseCopies) string {
	if r.Asked < r.Blobs || r.More {
		return "all that was asked about"
	}
	return "all of it"
}

func weakestWords(v api.WeakestInfo) string {
	return fmt.Sprintf("%s with %s in %s", orElse(v.Name, "blob "+v.Blob.Short()), counted(v.Copies, "copy"), counted(v.Networks, "network"))
}

// copiesFlags are those of channel-publish.
type copiesFlags struct {
	wanted  int
	timeout time.Duration
}

func (f *copiesFlags) add(cmd *cobra.Command) {
	cmd.Flags().IntVar(&f.wanted, "wait-copies", 0, "end when so many other nodes have everything of the release, and print them")
	cmd.Flags().DurationVar(&f.timeout, "wait-timeout", 10*time.Minute, "with --wait-copies: fail if that takes longer")
}

func (f *copiesFlags) check(cmd *cobra.Command) error {
	switch {
	case f.timeout <= 0:
		return usage(cmd, fmt.Errorf("--wait-timeout %v: want a time", f.timeout))
	case cmd.Flags().Changed("wait-copies") && (f.wanted < 1 || f.wanted > 1000):
		return usage(cmd, fmt.Errorf("--wait-copies %d: want 1 to 1000", f.wanted))
	case cmd.Flags().Changed("wait-timeout") && f.wanted == 0:
		return usage(cmd, fmt.Errorf("--wait-timeout goes with --wait-copies"))
	}
	return nil
}

// waitCopies waits for the copies of a release that was published, and prints them
// as they come.
func (a *app) waitCopies(ctx context.Context, c *api.Client, res api.PublishResult, f copiesFlags) error {
	beside := a.beside()
	var lost error
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done, err := c.WaitCopies(ctx, api.WaitCopiesRequest{
		Target: res.Address, Hash: res.Hash, Copies: f.wanted, Timeout: api.Duration(f.timeout), Peers: a.peers,
	}, func(e api.Event) {
		if e.Name != "copy" {
			beside.event(e)
			return
		}
		text := string(e.Raw)
		if !a.json {
			text = words(e)
		}
		if err := a.write([]byte(text + "\n")); err != nil && lost == nil {
			lost = err
			cancel()
		}
	})
	if lost != nil {
		return lost
	}
	stays := fmt.Sprintf("release %d stays published; see channel-status", res.Seq)
	switch {
	case err != nil && ctx.Err() != nil:
		a.warn(stays) // the error says no more than that it was interrupted
		return err
	case err != nil:
		return fmt.Errorf("%w; %s", err, stays)
	}
	if a.json {
		if err := a.line(struct {
			Event string `json:"event"`
			api.WaitCopiesResult
		}{"copies", done}); err != nil {
			return err
		}
	}
	switch {
	case done.Empty:
		a.warn("there is nothing in the release that anybody could have: nothing was waited for")
	case done.Retracted != "":
		return &api.Error{Code: api.CodeFailure, Message: fmt.Sprintf(
			"release %d was retracted, by then %d of %s had everything of it: %s", res.Seq, done.Have, counted(done.Wanted, "other node"), done.Retracted)}
	case done.TimedOut:
		weak := ""
		if done.Weakest != nil {
			weak = "; weakest: " + weakestWords(*done.Weakest)
		}
		return &api.Error{Code: api.CodeFailure, Message: fmt.Sprintf(
			"%d of %s have everything of release %d after %v%s; %s", done.Have, counted(done.Wanted, "other node"), res.Seq, f.timeout, weak, stays)}
	}
	return nil
}
