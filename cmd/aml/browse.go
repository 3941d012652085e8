package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/anonymous-media-library/aml/node/api"
)

func (a *app) channelBrowseCommand() *cobra.Command {
	var req api.BrowseRequest
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "channel-browse [TOPIC]",
		Short: "look at a topic: what lies below it, and its channels",
		Long: `Show the topics right below TOPIC and the channels listed on it: title, newest
release, who publishes, and how many were seen to follow it. Of a channel that is only
listed the newest release has no title here, just a number and a date: a listing has
heads, and no manifests. It has 8 roots at most, too: of a channel whose root was changed
more often, whoever answers is asked for the others, up to version 64, and what is shown
and may be old all the same is marked. Names of publishers are the channel's own word, and no proof. Without TOPIC the known topics of the
highest level are shown, and nobody is asked.

Others are asked for a moment what they know of the topic: those who listen to it,
--peer, the LAN, whom the DHT names, and whoever else is connected. They learn that
somebody here looks at it; with --offline nobody is. Nothing is followed or fetched.

Followers are the peers connected to this node that took part in the channel's
gossip when it last saw any: a lower bound, and one that many nodes in one hand can
raise. Anybody may found a channel on any topic, under any title; one whose title
looks like that of a channel that you follow, or that was known before, is marked.`,
		Example: "  aml channel-browse\n  aml channel-browse software\n  aml channel-browse music/live --json --wait 10s",
		Args:    args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, given []string) error {
			if err := aTime("--wait", wait); err != nil {
				return usage(cmd, err)
			}
			req.Peers, req.Wait = a.peers, api.Duration(wait)
			need := api.NeedNetwork
			if len(given) == 1 {
				req.Topic = given[0]
			}
			if req.Offline || req.Topic == "" {
				need = api.NeedStore
			}
			c, err := a.connect(cmd.Context(), need)
			if err != nil {
				return err
			}
			res, err := c.Browse(cmd.Context(), req)
			if err = closing(c, err); err != nil {
				return err
			}
			switch nothing := len(res.Topics)+len(res.Channels) == 0; {
			case a.json:
			case need == api.NeedNetwork && res.Asked == 0 && nothing:
				a.warn("nobody who knows of the topic answered, and nothing of it is known here")
			case need == api.NeedNetwork && res.Asked == 0:
				a.warn("nobody who knows of the topic answered; this is what was known here")
			case nothing && req.Topic == "":
				a.warn("no topic is known here yet: name one, such as software, and others are asked")
			case nothing:
				a.warn("no channel on the topic is known")
			}
			return a.result(res, func(w io.Writer) { printTopic(w, res) })
		},
	}
	cmd.Flags().BoolVar(&req.Offline, "offline", false, "ask nobody: show what is known here")
	cmd.Flags().DurationVar(&wait, "wait", 0, "wait so long for somebody to answer (default 5s)")
	return cmd
}

func printTopic(w io.Writer, res api.BrowseResult) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, s := range res.Topics {
		fmt.Fprintf(t, "%s/\t%s\n", s.Topic, counted(s.Channels, "channel"))
	}
	t.Flush()
	for _, c := range res.Channels {
		line := quoted(c.Title, "(no title)")
		if c.State != "listed" {
			line += ", " + c.State
		}
		line += caution(", ", c.Currency)
		if c.Seq > 0 {
			line += fmt.Sprintf(", release %d of %s", c.Seq, c.Updated.Time().Format(time.DateOnly))
			if c.Release != "" {
				line += ": " + quoted(c.Release, "")
			}
		}
		if c.Followers > 0 {
			line += fmt.Sprintf(", %s seen", counted(c.Followers, "follower"))
		}
		fmt.Fprintf(w, "%s\n", line)
		if by := byWords(c.By, c.Unnamed); by != "" {
			fmt.Fprintf(w, "  %s\n", by)
		}
		fmt.Fprintf(w, "  %s\n", c.Address)
		if c.LookAlike != "" {
			fmt.Fprintf(w, "  CAREFUL: its title looks like that of %s\n", c.LookAlike)
		}
		if c.Old {
			fmt.Fprintln(w, "  OLD: its root may have been changed since, and nobody who was asked shows how; follow the channel to see what it is now")
		}
		alikeNames(w, "  ", c.Alike)
	}
	if res.More {
		fmt.Fprintln(w, "... and others")
	}
}

// alikeNames marks names of publishers of one channel that look alike.
func alikeNames(w io.Writer, indent string, groups [][]string) {
	for _, names := range groups {
		fmt.Fprintf(w, "%sCAREFUL: its publishers' names %s look alike\n", indent, api.QuotedNames(names))
	}
}

// namesShown is how many publishers of a channel are named.
const namesShown = 3

// byWords says who publishes: a few names, and how many others may. They stand on a
// line of their own, so that no name can look like what this node says.
func byWords(names []string, unnamed int) string {
	if len(names) == 0 {
		return ""
	}
	others := unnamed
	if len(names) > namesShown {
		others += len(names) - namesShown
		names = names[:namesShown]
	}
	s := "by " + api.QuotedNames(names)
	if others > 0 {
		s += fmt.Sprintf(" and %d more", others)
	}
	return s
}
