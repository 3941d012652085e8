package main

import (
	"github.com/spf13/cobra"

	"github.com/anonymous-media-library/aml/node/api"
)

// rootFlags are those of the commands that change who may publish.
func rootFlags(cmd *cobra.Command, req *api.RootRequest, out *string, replace *bool) {
	cmd.Flags().StringArrayVarP(&req.RootKeys, "key", "k", nil, "root key file to sign with, PKCS#8 PEM (repeatable; default those of this home)")
	cmd.Flags().StringVarP(out, "output", "o", "", "write a draft to this file instead, - for standard output: for channel-root-sign and channel-root-publish")
	cmd.Flags().BoolVar(replace, "replace", false, replaceHelp)
	cmd.Flags().BoolVar(&req.OnlyHolder, "only-holder", false, onlyHolderHelp)
}

func (a *app) channelDelegateCommand() *cobra.Command {
	var req api.RootRequest
	var d api.DelegateRequest
	var role, name, out string
	var replace bool
	cmd := &cobra.Command{
		Use:   "channel-delegate CHANNEL PUBKEY",
		Short: "let another key publish to a channel, or keep it fresh",
		Long: `Let a key publish to a channel, perhaps only below some paths and until some
time; or, with --role head, only renew the statement that nothing newer is
there, which an always-on node does for publishers that are away. Who holds the
key makes it with key-new, tells you its public half, and publishes with
channel-publish and the channel's address; a daemon with a head key in its home
that follows the channel does the rest.

--name says who holds the key, for channel-show, channel-browse and search: your
word to followers, and no proof of anything.

Of a key that is let in already the flags change what they name, and the rest stays:
--scope '' is all paths, --expires never for ever, --name '' no name. What it may do
can be widened and not narrowed: for that it is revoked.

With enough root keys at hand this is done at once. Otherwise write a draft.`,
		Example: `  aml channel-delegate music/live PUBKEY --scope live/2026 --expires 90d
  aml channel-delegate music/live PUBKEY --name 'Ann of Aurora'
  aml channel-delegate aml://... PUBKEY --role head
  aml channel-delegate aml://... PUBKEY -o draft.json`,
		Args: args(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, given []string) error {
			key, err := targetAndKey(given)
			if err != nil {
				return err
			}
			d.Key = key
			if cmd.Flags().Changed("role") {
				d.Role = api.Role(role)
			}
			if cmd.Flags().Changed("name") {
				if err := api.CheckPublisherName(name); err != nil {
					return err
				}
				d.Name = &name
			}
			req.Target, req.Delegate = given[0], &d
			return a.changeRoot(cmd, req, out, replace)
		},
	}
	cmd.Flags().StringVar(&role, "role", "publish", "publish or head")
	cmd.Flags().StringArrayVar(&d.Scopes, "scope", nil, "path: it may name this and what is below (repeatable; default all, or as it was)")
	cmd.Flags().StringVar(&d.Expires, "expires", "", "until when: 2027-01-31, 90d from now, or never (default never, or as it was)")
	cmd.Flags().StringVar(&name, "name", "", "`NAME` of who holds it, for people: up to 64 bytes (default as it was)")
	rootFlags(cmd, &req, &out, &replace)
	return cmd
}

func (a *app) channelRevokeCommand() *cobra.Command {
	var req api.RootRequest
	var last uint64
	var out string
	var replace bool
	cmd := &cobra.Command{
		Use:   "channel-revoke CHANNEL PUBKEY [--last-good SEQ]",
		Short: "withdraw a key from a channel",
		Long: `Withdraw a key: what it published up to its last good release stands, what came
after leaves every follower's view. Without --last-good, that is the newest
release known here; 0 voids everything. A revoked key cannot come back. A fork
ends this way, too: name the last release, as this node has it, that is good.`,
		Example: `  aml channel-revoke music/live PUBKEY
  aml channel-revoke aml://... PUBKEY --last-good 12
  aml channel-revoke aml://... PUBKEY --last-good 0 -o draft.json`,
		Args: args(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, given []string) error {
			key, err := targetAndKey(given)
			if err != nil {
				return err
			}
			req.Target, req.Revoke = given[0], &api.RevokeRequest{Key: key}
			if cmd.Flags().Changed("last-good") {
				req.Revoke.LastGood = &last
			}
			return a.changeRoot(cmd, req, out, replace)
		},
	}
	cmd.Flags().Uint64Var(&last, "last-good", 0, "`SEQ` of its last release that counts, 0 for none (default the newest known here)")
	rootFlags(cmd, &req, &out, &replace)
	return cmd
}

// targetAndKey reads the arguments CHANNEL PUBKEY.
func targetAndKey(given []string) (api.PublicKey, error) {
	if err := api.CheckTargets(given[0]); err != nil {
		return api.PublicKey{}, err
	}
	keys, err := publicKeys("PUBKEY", given[1:])
	if err != nil {
		return api.PublicKey{}, err
	}
	return keys[0], nil
}

func (a *app) channelRotateCommand() *cobra.Command {
	var req api.RootRequest
	var r api.RotateRequest
	var old, out string
	var replace bool
	cmd := &cobra.Command{
		Use:   "channel-rotate CHANNEL",
		Short: "put a new publishing key in place of this home's",
		Long: `Make a new key, let it do what this home's publishing key may do in the channel,
under the same name, and revoke the old one after its newest release. channel-publish uses the new
one from then on. A first release with it, without files, says so and keeps the
channel fresh.`,
		Example: `  aml channel-rotate music/live
  aml channel-rotate aml://... -k /media/usb/root.pem
  aml channel-rotate aml://... -o draft.json`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, given []string) (err error) {
			if err := api.CheckTargets(given[0]); err != nil {
				return err
			}
			if old != "" {
				keys, err := publicKeys("--old-key", []string{old})
				if err != nil {
					return err
				}
				r.Key = &keys[0]
			}
			if r.NewKeyFile != "" {
				if r.NewKeyFile, err = absolute(r.NewKeyFile); err != nil {
					return err
				}
			}
			req.Target, req.Rotate = given[0], &r
			return a.changeRoot(cmd, req, out, replace)
		},
	}
	cmd.Flags().StringVar(&old, "old-key", "", "public `KEY` to replace, where this home publishes with several")
	cmd.Flags().StringVar(&r.NewKeyFile, "new-key", "", "`FILE` for the new key (default in this home's folder of keys)")
	rootFlags(cmd, &req, &out, &replace)
	return cmd
}
