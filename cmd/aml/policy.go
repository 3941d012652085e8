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

// policyFlags are the flags that say what a subscription takes. Each is a field
// of filters.json; those that are given replace what the subscription said.
type policyFlags struct {
	cmd    *cobra.Command
	file   string
	reset  bool
	listed bool // --no-download
	auto   bool // --download
}

// policyHelp is the part of a command's help about them.
const policyHelp = `What a subscription takes can be said by flags, or in filters.json with -f (also
inline, -f '{"maxAge":"7d"}'); docs/subscriptions.md has every field. Flags
change what they name and leave the rest; -f replaces all; an empty value takes
a rule away. A running daemon goes on with it at once, and what a looser filter
lets through is fetched.`

// lists and texts are the flags by their fields, with what help says.
var policyLists = []struct{ flag, field, help string }{
	{"keyword", "keywords", "take what has this word in its title, description, metadata or name (repeatable: any)"},
	{"exclude", "exclude", "leave out what has this word there (repeatable)"},
	{"regex", "regex", "take what has a title or name that this RE2 expression matches (repeatable: any)"},
	{"media-type", "mediaTypes", "take files of this `TYPE`, such as video/* (repeatable: any)"},
	{"path", "paths", "take files whose name this glob matches, such as 'season-2/**'; with ! leave them out (repeatable)"},
}

var policyTexts = []struct{ flag, field, help string }{
	{"max-age", "maxAge", "leave out releases older than this: 7d, 24h, 30m"},
	{"max-size", "maxSize", "leave out files larger than this: 2GiB"},
	{"quota", "quota", "what may be on disk of this subscription: 20GiB"},
	{"priority", "priority", "low, normal or high: low stands back while others download"},
	{"rate", "rate", "download limit of this subscription, also by hours: 2MiB/s,mon-fri 08:00-18:00=200KiB/s"},
	{"hours", "hours", "only work at these hours: 'mon-fri 22:00-06:00,sat+sun 00:00-24:00'"},
	{"name", "name", "template of file names: {file} {dir} {name} {ext} {title} {channel} {seq} {date}"},
}

func newPolicyFlags(cmd *cobra.Command) *policyFlags {
	p := &policyFlags{cmd: cmd}
	f := cmd.Flags()
	f.StringVarP(&p.file, "filters", "f", "", "filters.json, - for standard input, or inline JSON")
	f.BoolVar(&p.reset, "reset", false, "forget all filters and bounds that the subscription has")
	for _, l := range policyLists {
		f.StringArray(l.flag, nil, l.help)
	}
	for _, t := range policyTexts {
		f.String(t.flag, "", t.help)
	}
	f.Uint("min-sources", 0, "wait until so many nodes have a file")
	f.StringArray("keep", nil, "what stays: count=10, age=30d, bytes=5GiB, path=GLOB, with commas between (repeatable: the first that fits)")
	f.BoolVar(&p.listed, "no-download", false, "only list releases")
	f.BoolVar(&p.auto, "download", false, "fetch releases as they come (after --no-download)")
	f.Bool("keep-blobs", false, "keep the blobs in the store, beside the files")
	f.Bool("look-up", false, "on a topic: ask for its channels now and then, and join no gossip that shows the interest")
	_ = cmd.MarkFlagFilename("filters", "json")
	_ = cmd.RegisterFlagCompletionFunc("priority", cobra.FixedCompletions([]string{"low", "normal", "high"}, cobra.ShellCompDirectiveNoFileComp))
	for _, name := range []string{"keyword", "exclude", "regex", "path", "max-age", "max-size", "quota", "rate", "hours", "name", "keep", "min-sources"} {
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
	_ = cmd.RegisterFlagCompletionFunc("media-type", cobra.FixedCompletions([]string{"audio/*", "video/*", "image/*", "text/*", "application/*"}, cobra.ShellCompDirectiveNoFileComp))
	return p
}

// read makes a request of the flags that are given, and checks it.
func (p *policyFlags) read(a *app) (api.PolicyChange, error) {
	c := api.PolicyChange{Reset: p.reset}
	if p.listed && p.auto {
		return c, usage(p.cmd, fmt.Errorf("--download or --no-download, not both"))
	}
	if p.cmd.Flags().Changed("filters") {
		if strings.TrimSpace(p.file) == "" {
			return c, usage(p.cmd, fmt.Errorf("-f is empty: name a file, or give {} for a subscription that takes everything"))
		}
		doc, err := a.inline(p.file)
		if err != nil {
			return c, err
		}
		c.File = &doc
	}
	var err error
	add := func(flag, field string, value any) {
		text, encodeErr := json.Marshal(map[string]any{field: value})
		if encodeErr != nil {
			err = encodeErr
		}
		c.Flags = append(c.Flags, api.Document{Name: "--" + flag, Text: text})
	}
	f := p.cmd.Flags()
	for _, l := range policyLists {
		if f.Changed(l.flag) {
			values, _ := f.GetStringArray(l.flag)
			add(l.flag, l.field, given(values))
		}
	}
	for _, t := range policyTexts {
		if f.Changed(t.flag) {
			value, _ := f.GetString(t.flag)
			add(t.flag, t.field, value)
		}
	}
	if f.Changed("min-sources") {
		n, _ := f.GetUint("min-sources")
		add("min-sources", "minSources", n)
	}
	if f.Changed("keep") {
		values, _ := f.GetStringArray("keep")
		add("keep", "keep", given(values))
	}
	if p.listed || p.auto {
		add("download", "autoDownload", p.auto)
	}
	for flag, field := range map[string]string{"keep-blobs": "keepBlobs", "look-up": "lookUp"} {
		if f.Changed(flag) {
			yes, _ := f.GetBool(flag)
			add(flag, field, yes)
		}
	}
	if err == nil {
		err = api.CheckPolicy(c)
	}
	return c, err
}

// given is a list of flags; one that is empty takes the list away.
func given(values []string) []string {
	if len(values) == 1 && values[0] == "" {
		return []string{}
	}
	return values
}

func (a *app) channelSetCommand() *cobra.Command {
	var req api.SetRequest
	cmd := &cobra.Command{
		Use:   "channel-set CHANNEL_OR_TOPIC",
		Short: "show or change what a subscription takes, how fast, and what stays",
		Long: `Show what a subscription takes and what it has left out, or change it; its files
and where it got to stay as they are.

` + policyHelp,
		Example: "  aml channel-set @band\n  aml channel-set @band --max-size 2GiB --exclude trailer --quota 50GiB\n  aml channel-set aml://... --keep path='daily/**',count=7 --keep age=90d\n  aml channel-set news/world --reset -f filters.json --json",
		Args:    args(cobra.ExactArgs(1)),
	}
	flags := newPolicyFlags(cmd)
	cmd.Flags().StringVarP(&req.Output, "output", "o", "", "only the subscription that writes to this folder")
	cmd.RunE = func(cmd *cobra.Command, given []string) (err error) {
		req.Target = given[0]
		if req.Output != "" {
			if req.Output, err = absolute(req.Output); err != nil {
				return err
			}
		}
		if req.Change, err = flags.read(a); err != nil {
			return err
		}
		if err := api.CheckTargets(req.Target); err != nil {
			return err
		}
		c, err := a.connect(cmd.Context(), api.NeedStore)
		if err != nil {
			return err
		}
		res, err := c.Set(cmd.Context(), req)
		if err = closing(c, err); err != nil {
			return err
		}
		return a.result(res.Subscriptions, func(w io.Writer) {
			t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
			for _, s := range res.Subscriptions {
				showSubscription(t, s)
			}
			t.Flush()
		})
	}
	return cmd
}

// showSubscription prints one as rows of a table.
func showSubscription(w io.Writer, s api.SubscriptionInfo) {
	policy := string(s.Policy)
	if policy == "{}" {
		policy = "everything"
	}
	fmt.Fprintf(w, "subscription\t%s%s\n  to\t%s\n  takes\t%s\n  has\t%s, %s\n", s.Target, caution(", ", s.Currency), s.Output, policy, counted(s.Files, "file"), config.FormatSize(s.Bytes))
	for _, p := range s.Passed {
		if p.Files == 0 { // it is not known what they say
			fmt.Fprintf(w, "  left out\treleases, unread: %s\n", p.Reason)
			continue
		}
		fmt.Fprintf(w, "  left out\t%s, %s: %s\n", counted(p.Files, "file"), config.FormatSize(int64(p.Bytes)), p.Reason)
	}
}

func (a *app) channelTrustCommand() *cobra.Command {
	var req api.TrustRequest
	cmd := &cobra.Command{
		Use:   "channel-trust [CHANNEL --as NAME]",
		Short: "give a channel a name of your own, which stands for its address",
		Long: `Give a channel a name of your own. The name can then be used wherever an address
is asked for, best with an @ before it: @band. Nobody else learns of it. Without
arguments all names are listed.`,
		Example: "  aml channel-trust aml://... --as band\n  aml channel-subscribe @band -o music\n  aml channel-trust --forget band\n  aml channel-trust --json",
		Args:    args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, given []string) error {
			switch {
			case len(given) == 1 && req.Name == "":
				return usage(cmd, fmt.Errorf("what shall it be called? give --as NAME"))
			case len(given) == 0 && req.Name != "":
				return usage(cmd, fmt.Errorf("which channel shall be called %q?", req.Name))
			case len(given) == 1 && req.Forget != "":
				return usage(cmd, fmt.Errorf("--forget takes a name and no channel"))
			}
			if len(given) == 1 {
				req.Target = given[0]
				if err := api.CheckTargets(req.Target); err != nil {
					return err
				}
			}
			c, err := a.connect(cmd.Context(), api.NeedStore)
			if err != nil {
				return err
			}
			res, err := c.Trust(cmd.Context(), req)
			if err = closing(c, err); err != nil {
				return err
			}
			return a.result(res.Names, func(w io.Writer) {
				t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
				for _, n := range res.Names {
					fmt.Fprintf(t, "@%s\t%s\n", n.Name, n.Address)
				}
				t.Flush()
			})
		},
	}
	cmd.Flags().StringVar(&req.Name, "as", "", "the name: one word")
	cmd.Flags().BoolVar(&req.Replace, "replace", false, "also if another channel has the name")
	cmd.Flags().StringVar(&req.Forget, "forget", "", "take this name away")
	return cmd
}
