package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/anonymous-media-library/aml/node/api"
)

func (a *app) keyMemberCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "key-member",
		Short: "print this home's member key, for the members of private channels",
		Long: `Print the public half of this home's member key, which is made when it is first
asked for. Give it to whoever founded a private channel; once it is a member,
channel-subscribe with the channel's bare address reads the channel. The secret
half stays in the home's keys/ folder: whoever has it reads what you read.`,
		Example: "  aml key-member\n  aml key-member > member.txt",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect(cmd.Context(), api.NeedStore)
			if err != nil {
				return err
			}
			res, err := c.MemberKey(cmd.Context())
			if err = closing(c, err); err != nil {
				return err
			}
			if !a.json {
				a.warn("this is member " + res.Short + "; its secret half is in " + res.File)
			}
			return a.result(res, func(w io.Writer) { fmt.Fprintln(w, res.Member) })
		},
	}
}

func (a *app) channelMemberAddCommand() *cobra.Command {
	var req api.MembersRequest
	cmd := &cobra.Command{
		Use:   "channel-member-add CHANNEL MEMBER_KEY_OR_FILE...",
		Short: "let members read a private channel",
		Long: `Let members read a private channel: all of it, also what was released before.
Each is named by what their aml key-member prints, or by a file that holds it. It takes
effect at once, by a release that says nothing, and needs no new address.`,
		Example: "  aml channel-member-add firmware amlmember1...\n  aml channel-member-add firmware ada.txt bob.txt",
		Args:    args(cobra.MinimumNArgs(2)),
		RunE: func(cmd *cobra.Command, given []string) (err error) {
			req.Target = given[0]
			if req.Add, err = memberArgs(given[1:], true); err != nil {
				return err
			}
			return a.setMembers(cmd, req)
		},
	}
	a.memberFlags(cmd, &req)
	return cmd
}

func (a *app) channelMemberRemoveCommand() *cobra.Command {
	var req api.MembersRequest
	cmd := &cobra.Command{
		Use:   "channel-member-remove CHANNEL [MEMBER...]",
		Short: "remove members of a private channel: a new epoch begins",
		Long: `Remove members of a private channel, each named as channel-member-list shows it or
by its key. A new epoch begins: what is released from now on is sealed under a new
read key, which those who stay find by themselves.

Whoever follows the channel by an address with a read key, rather than as a
member, reads nothing new either, until given the new address (--read-key). What
was released before stays readable to everybody who could read it. --new-epoch
alone removes nobody, and shuts out the holders of addresses.

In a home that was restored from a backup the list may hold members who were removed
after it was made. Where the channel shows that, neither this command nor
channel-member-add makes anything of it without --members-checked: look at
channel-member-list, name here who had been removed (or nobody, with --new-epoch),
and add who is missing afterwards.`,
		Example: "  aml channel-member-remove firmware k2xq7hbn3mzp5tfa\n  aml channel-member-remove firmware --new-epoch --read-key",
		Args:    args(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, given []string) (err error) {
			req.Target = given[0]
			if len(given) == 1 && !req.NewEpoch {
				return usage(cmd, fmt.Errorf("whom to remove? see channel-member-list; --new-epoch alone shuts out addresses"))
			}
			if req.Remove, err = memberArgs(given[1:], false); err != nil {
				return err
			}
			return a.setMembers(cmd, req)
		},
	}
	a.memberFlags(cmd, &req)
	cmd.Flags().BoolVar(&req.NewEpoch, "new-epoch", false, "begin a new epoch even if nobody is removed")
	return cmd
}

func (a *app) memberFlags(cmd *cobra.Command, req *api.MembersRequest) {
	signFlags(cmd, &req.KeyFile, &req.OnlyHolder)
	readKeyFlag(cmd, &req.WithReadKey)
	cmd.Flags().BoolVar(&req.Checked, "members-checked", false, "the list of members, with this change, is right, though it is older than the newest epoch, as after a restore: the next one begins then")
}

// signFlags are those of the commands that add a release to a log.
func signFlags(cmd *cobra.Command, keyFile *string, onlyHolder *bool) {
	cmd.Flags().StringVarP(keyFile, "key", "k", "", "sign with this key file, PKCS#8 PEM (default this node's own)")
	cmd.Flags().BoolVar(onlyHolder, "only-holder", false, onlyHolderHelp)
}

func readKeyFlag(cmd *cobra.Command, with *bool) {
	cmd.Flags().BoolVar(with, "read-key", false, "print the whole address, with the read key that opens a private channel: a secret")
}

func (a *app) setMembers(cmd *cobra.Command, req api.MembersRequest) (err error) {
	if err := wholePaths(&req.KeyFile); err != nil {
		return err
	}
	if err := api.CheckTargets(req.Target); err != nil {
		return err
	}
	req.Peers = a.peers
	c, err := a.connect(cmd.Context(), a.askingNeed())
	if err != nil {
		return err
	}
	p := a.beside()
	res, err := c.SetMembers(cmd.Context(), req, p.event)
	if err = closing(c, p.done(err)); err != nil {
		return err
	}
	return a.result(res, func(w io.Writer) {
		fmt.Fprintln(w, orElse(res.ReadAddress, res.Address))
		switch {
		case res.Began:
			fmt.Fprintf(w, "epoch %d begins, %s; addresses with a read key of before open nothing new\n", res.Epoch, counted(res.Members, "member"))
		case res.Seq == 0:
			fmt.Fprintf(w, "nothing to change: epoch %d, %s\n", res.Epoch, counted(res.Members, "member"))
		default:
			fmt.Fprintf(w, "epoch %d, %s\n", res.Epoch, counted(res.Members, "member"))
		}
	})
}

func (a *app) channelMemberListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "channel-member-list CHANNEL",
		Short: "list the members of a private channel of one's own",
		Long: `List the members of a private channel that this home founded. The list is kept
here and nowhere else. Who follows by an address with a read key is not in it. A
warning says where the list is older than the channel's newest epoch, as in a home
that was restored from a backup: it may hold members who were removed since.`,
		Example: "  aml channel-member-list firmware\n  aml channel-member-list aml://... --json",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, given []string) error {
			c, err := a.connect(cmd.Context(), api.NeedStore)
			if err != nil {
				return err
			}
			res, err := c.Members(cmd.Context(), api.ShowRequest{Target: given[0]})
			if err = closing(c, err); err != nil {
				return err
			}
			if len(res.Members) == 0 && !a.json {
				a.warn("the channel has no members; channel-member-add lets them in")
			}
			if res.Listed < res.Epoch && !a.json {
				a.warn(fmt.Sprintf("beware: the list is of epoch %d, and epoch %d has begun, so it may hold members who were removed since; channel-member-remove says what to do", res.Listed, res.Epoch))
			}
			return a.result(res, func(w io.Writer) {
				t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
				for _, m := range res.Members {
					fmt.Fprintf(t, "%s\tsince %s\n", m.Short, m.Added)
				}
				t.Flush()
			})
		},
	}
}

// maxMemberFile bounds a file that holds a member's key.
const maxMemberFile = 64 << 10

// memberArgs are members' keys and, unless keys is true, short names; one that is a
// file is what stands in it.
func memberArgs(given []string, keys bool) ([]string, error) {
	out := make([]string, len(given))
	for i, s := range given {
		out[i] = s
		info, err := os.Stat(s)
		switch {
		case len(s) > 255, errors.Is(err, fs.ErrNotExist) && (strings.HasPrefix(s, "amlmember1") || !strings.ContainsAny(s, `./\`)):
			continue // no name of a file
		case err != nil:
			return nil, fmt.Errorf("reading a member's key: %w", err)
		case !info.Mode().IsRegular():
			return nil, usageError("%s: no file of a member's key: it is not a regular file", s)
		case info.Size() > maxMemberFile:
			return nil, usageError("%s: no file of a member's key: it has %d bytes", s, info.Size())
		}
		text, err := os.ReadFile(s)
		if err != nil {
			return nil, fmt.Errorf("reading a member's key: %w", err)
		}
		if out[i] = strings.TrimSpace(string(text)); keys && !api.IsMember(out[i]) {
			return nil, usageError("%s: no file of a member's key; want what aml key-member prints", s)
		}
	}
	return out, nil
}
