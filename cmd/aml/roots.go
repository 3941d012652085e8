package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/anonymous-media-library/aml/node/api"
)

const onlyHolderHelp = "nobody else can have more of the channel than this home: do not wait for followers to say so"

func (a *app) channelRootDraftCommand() *cobra.Command {
	var req api.RootRequest
	var add, remove, recovery []string
	var recoveryThreshold uint64
	var title, out string
	var replace bool
	cmd := &cobra.Command{
		Use:   "channel-root-draft CHANNEL [-o DRAFT.JSON]",
		Short: "draft the next root of a channel: who may sign what",
		Long: `Write the proposed next root of a channel, unsigned: what is not named stays as
it is. The root keys sign it with channel-root-sign, which works on a machine
without network and without a home; channel-root-publish puts it into force.
The draft is JSON, no secret, and holds all that is needed to check it.

Delegating, revoking and rotating publishing keys have commands of their own,
which write drafts too.`,
		Example: `  aml channel-root-draft music/live --add-root-key PUB1 --add-root-key PUB2 --threshold 2 -o draft.json
  aml channel-root-draft aml://... --recovery-key PUB --recovery-threshold 1 --expires 2036-01-01 -o draft.json`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, given []string) (err error) {
			req.Target, req.Draft = given[0], true
			if err := api.CheckTargets(given[0]); err != nil {
				return err
			}
			if req.AddRootKeys, err = publicKeys("--add-root-key", add); err != nil {
				return err
			}
			if req.RemoveRootKeys, err = publicKeys("--remove-root-key", remove); err != nil {
				return err
			}
			flags := cmd.Flags()
			if (len(recovery) > 0) != flags.Changed("recovery-threshold") {
				return usage(cmd, fmt.Errorf("--recovery-key and --recovery-threshold go together: these keys take the place of the recovery keys that there are"))
			}
			if len(recovery) > 0 {
				req.Recovery = &api.KeySet{Threshold: recoveryThreshold}
				if req.Recovery.Keys, err = publicKeys("--recovery-key", recovery); err != nil {
					return err
				}
			}
			if flags.Changed("threshold") && req.Threshold == 0 {
				return usage(cmd, fmt.Errorf("--threshold 0: at least one root key has to sign"))
			}
			if flags.Changed("title") {
				req.Title = &title
			}
			if !anyChanged(flags, "add-root-key", "remove-root-key", "threshold", "recovery-key", "title", "topic", "expires") {
				return usage(cmd, fmt.Errorf("what is to change? name it with a flag"))
			}
			return a.changeRoot(cmd, req, out, replace)
		},
	}
	cmd.Flags().StringArrayVar(&add, "add-root-key", nil, "public `KEY` that may sign roots from then on (repeatable)")
	cmd.Flags().StringArrayVar(&remove, "remove-root-key", nil, "public `KEY` that may no longer (repeatable)")
	cmd.Flags().Uint64Var(&req.Threshold, "threshold", 0, "how many root keys have to sign (default as it was)")
	cmd.Flags().StringArrayVar(&recovery, "recovery-key", nil, "public `KEY` that may name other root keys when these are lost (repeatable)")
	cmd.Flags().Uint64Var(&recoveryThreshold, "recovery-threshold", 0, "how many recovery keys have to sign")
	cmd.Flags().StringVar(&title, "title", "", "new title")
	cmd.Flags().StringArrayVar(&req.Topics, "topic", nil, "topic, in place of all that it is listed on (repeatable)")
	cmd.Flags().StringVar(&req.Expires, "expires", "", "until when the root is good: 2036-01-31, or 365d from now")
	cmd.Flags().StringVarP(&out, "output", "o", "-", "file for the draft, - for standard output")
	cmd.Flags().BoolVar(&replace, "replace", false, replaceHelp)
	return cmd
}

func anyChanged(flags *pflag.FlagSet, names ...string) bool {
	for _, name := range names {
		if flags.Changed(name) {
			return true
		}
	}
	return false
}

// publicKeys reads keys that a flag or argument names.
func publicKeys(what string, texts []string) ([]api.PublicKey, error) {
	var keys []api.PublicKey
	for _, s := range texts {
		key, err := api.ParsePublicKey(s)
		if err != nil {
			return nil, usageError("%s %q: want a public key, 64 hex digits, as key-show prints it: %v", what, clip(s), err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// clip shortens what a person gave for an error message.
func clip(s string) string {
	if len(s) > 70 {
		return s[:70] + "..."
	}
	return s
}

// changeRoot has the node make the next root. With out, "-" being standard
// output, it is written there as a draft; else it is in force afterwards.
func (a *app) changeRoot(cmd *cobra.Command, req api.RootRequest, out string, replace bool) (err error) {
	for i, file := range req.RootKeys {
		if req.RootKeys[i], err = absolute(file); err != nil {
			return err
		}
	}
	req.Draft = out != ""
	var o *output
	if req.Draft {
		if o, err = a.newOutput(cmd.Context(), out, replace); err != nil {
			return err
		}
		defer o.abort()
	}
	req.Peers = a.peers
	c, err := a.connect(cmd.Context(), a.askingNeed())
	if err != nil {
		return err
	}
	p := a.beside()
	res, err := c.ChangeRoot(cmd.Context(), req, p.event)
	if err = closing(c, p.done(err)); err != nil {
		return err
	}
	if res.Unchanged && o != nil && o.path == "" && !a.json { // no draft goes to standard output
		rootWords(a.err, res)
		return nil
	}
	if o == nil || res.Unchanged {
		return a.result(res, func(w io.Writer) { rootWords(w, res) })
	}
	draft := res.Draft
	res.Draft = nil
	return a.draft(o, draft, res)
}

// draft writes a root draft, and says what it is: beside it, where it goes to
// standard output.
func (a *app) draft(o *output, draft *api.RootDraft, res api.RootResult) error {
	text, err := a.document(draft)
	if err != nil {
		return err
	}
	if err := o.commit(text); err != nil {
		return err
	}
	if o.path != "" {
		return a.result(res, func(w io.Writer) { rootWords(w, res) })
	}
	if !a.json {
		rootWords(a.err, res)
	}
	return nil
}

// rootWords says what a root is about, for people.
func rootWords(w io.Writer, res api.RootResult) {
	if res.Unchanged {
		fmt.Fprintf(w, "%s\nnothing to change: root version %d says so already\n", res.Address, res.Root)
		return
	}
	if res.Already {
		fmt.Fprintf(w, "%s\nroot version %d was published already, and is in force\n", res.Address, res.Root)
		return
	}
	fmt.Fprintf(w, "%s\nroot version %d changes:\n", res.Address, res.Root)
	for _, c := range res.Changes {
		fmt.Fprintf(w, "  %s\n", c)
	}
	if res.KeyFile != "" {
		fmt.Fprintf(w, "new key  %s\n", res.KeyFile)
	}
	for _, m := range res.Missing {
		fmt.Fprintf(w, "lacks signatures by %s\n", m)
	}
	switch {
	case res.Published:
		fmt.Fprintln(w, "in force")
	case len(res.Missing) == 0:
		fmt.Fprintln(w, "signed by all that it needs: channel-root-publish puts it into force")
	}
}

func (a *app) channelRootSignCommand() *cobra.Command {
	var keys []string
	var out string
	var replace, anyway bool
	cmd := &cobra.Command{
		Use:   "channel-root-sign DRAFT.JSON... [-k ROOT_KEY.PEM] [-o SIGNED.JSON]",
		Short: "show what a root draft changes, and sign it",
		Long: `Say in words what the next root of a channel changes, and sign it with root or
recovery keys. This needs no network and no home: the draft brings the channel's
roots from the first on, and all of them are checked. Compare the address that
is printed with the one you know.

Without -k nothing is signed: read first. Several people sign one after the
other, or each a copy; copies are put together by naming them all, here or for
channel-root-publish.

A root whose time is over by this machine's clock is not signed, nor one that has
been overtaken: this machine's home, if it has one, knows of a root of that version
or a later one, and two of one version break the channel. --anyway signs it.`,
		Example: `  aml channel-root-sign draft.json
  aml channel-root-sign draft.json -k root.pem -o signed.json
  aml channel-root-sign anns.json bens.json -o both.json`,
		Args: args(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, given []string) error {
			docs, err := a.drafts(given)
			if err != nil {
				return err
			}
			d, res, err := api.JoinDrafts(docs)
			if err != nil {
				return err
			}
			outdated := a.outdated(cmd.Context(), res)
			if outdated != nil && len(keys) > 0 && !anyway {
				return fmt.Errorf("not signed: %w. Draft it again (channel-root-draft), or say --anyway", outdated)
			}
			if outdated != nil {
				a.warn("beware: " + outdated.Error())
			}
			if len(keys) == 0 && len(given) == 1 && out == "" {
				return a.result(res, func(w io.Writer) { rootWords(w, res) })
			}
			o, err := a.newOutput(cmd.Context(), out, replace, given...)
			if err != nil {
				return err
			}
			defer o.abort()
			if !a.json && len(keys) > 0 { // before it is signed
				fmt.Fprintf(a.err, "signing for %s, root version %d:\n  %s\n", res.Address, res.Root, strings.Join(res.Changes, "\n  "))
			}
			if d, res, err = api.SignDraft(d, keys); err != nil {
				return err
			}
			return a.draft(o, &d, res)
		},
	}
	cmd.Flags().StringArrayVarP(&keys, "key", "k", nil, "root or recovery key file, PKCS#8 PEM (repeatable)")
	cmd.Flags().BoolVar(&anyway, "anyway", false, "sign also what has expired, or was overtaken by another root")
	cmd.Flags().StringVarP(&out, "output", "o", "", "file for the signed draft, which may be one of the drafts, - for standard output")
	cmd.Flags().BoolVar(&replace, "replace", false, replaceHelp)
	return cmd
}

// outdated says why nobody would, or should, put the root of a draft into force. What
// this machine's home knows is asked only where there is one, and helps if it can.
func (a *app) outdated(ctx context.Context, res api.RootResult) error {
	if now := time.Now(); now.After(res.Expires.Time()) {
		return fmt.Errorf("the root was good until %s, and this machine's clock says %s", res.Expires, now.UTC().Format(time.RFC3339))
	}
	cfg, err := a.config()
	if err != nil {
		return nil
	}
	if _, err := os.Stat(cfg.Paths.Catalog); err != nil {
		return nil
	}
	c, err := a.connect(ctx, api.NeedStore)
	if err != nil {
		return nil
	}
	known, err := c.Show(ctx, api.ShowRequest{Target: res.Address})
	if closing(c, err) != nil || known.Root < res.Root {
		return nil
	}
	return fmt.Errorf("root version %d of %s is in force already, as this home knows it, and the draft is of version %d", known.Root, res.Address, res.Root)
}

// drafts reads files of root drafts.
func (a *app) drafts(files []string) ([]api.Document, error) {
	var docs []api.Document
	for _, file := range files {
		doc, err := a.readInput(file)
		if err != nil {
			return nil, err
		}
		docs = append(docs, doc)
	}
	return docs, nil
}

func (a *app) channelRootPublishCommand() *cobra.Command {
	var req api.PublishRootRequest
	cmd := &cobra.Command{
		Use:   "channel-root-publish SIGNED.JSON...",
		Short: "put a signed root into force",
		Long: `Put the next root of a channel into force: enough root keys of the version
before it and of itself must have signed it, or recovery keys and its own.
Several files are copies of one draft, whose signatures are put together. A
running node tells followers at once, a later one when it runs.

A draft that revokes a key names its last good release. If this node knows of
later ones, they would leave every follower's view: that is refused without
--void.`,
		Example: "  aml channel-root-publish signed.json\n  aml channel-root-publish anns.json bens.json",
		Args:    args(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, given []string) (err error) {
			if req.Drafts, err = a.drafts(given); err != nil {
				return err
			}
			req.Peers = a.peers
			c, err := a.connect(cmd.Context(), a.askingNeed())
			if err != nil {
				return err
			}
			p := a.beside()
			res, err := c.PublishRoot(cmd.Context(), req, p.event)
			if err = closing(c, p.done(err)); err != nil {
				return err
			}
			return a.result(res, func(w io.Writer) { rootWords(w, res) })
		},
	}
	cmd.Flags().BoolVar(&req.OnlyHolder, "only-holder", false, onlyHolderHelp)
	cmd.Flags().BoolVar(&req.Void, "void", false, "also where releases after the last good one that the draft names are known here")
	return cmd
}
