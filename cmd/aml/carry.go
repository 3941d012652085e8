package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/anonymous-media-library/aml/node/api"
)

func (a *app) channelExportCommand() *cobra.Command {
	var req api.ExportListRequest
	var path string
	var replace bool
	cmd := &cobra.Command{
		Use:   "channel-export [-o FILE]",
		Short: "write subscriptions and names to a file for another home or program",
		Long: `Write this home's subscriptions, with their filters, and the names given by
channel-trust, as JSON; with --opml the subscriptions alone, for programs that
read OPML. Read keys of private channels are left out, unless --with-keys: then
-o is needed, and the file is for your eyes alone (mode 0600).`,
		Example: "  aml channel-export -o subscriptions.json\n  aml channel-export --opml | less\n  aml channel-export --with-keys -o secret.json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if req.Keys && (path == "" || path == "-") {
				return usage(cmd, fmt.Errorf("--with-keys writes secrets: name a file with -o"))
			}
			out, err := a.newOutput(cmd.Context(), path, replace)
			if err != nil {
				return err
			}
			defer out.abort()
			c, err := a.connect(cmd.Context(), api.NeedStore)
			if err != nil {
				return err
			}
			res, err := c.ExportList(cmd.Context(), req)
			if err = closing(c, err); err != nil {
				return err
			}
			return out.commit(res.Text)
		},
	}
	cmd.Flags().StringVarP(&path, "output", "o", "", "file to write to (default standard output)")
	cmd.Flags().BoolVar(&replace, "replace", false, replaceHelp)
	cmd.Flags().BoolVar(&req.OPML, "opml", false, "write OPML")
	cmd.Flags().BoolVar(&req.Keys, "with-keys", false, "write the read keys of private channels, too")
	return cmd
}

func (a *app) channelImportCommand() *cobra.Command {
	var req api.ImportListRequest
	cmd := &cobra.Command{
		Use:   "channel-import FILE",
		Short: "add the subscriptions and names of a file, JSON or OPML",
		Long: `Add what channel-export has written, or the aml:// addresses of an OPML file, to
what is here. Subscriptions and names that are here already stay as they are;
--replace gives them the filters of the file. A list may be a stranger's: so names
and whom it trusts on topics are left out, unless --trust; and files go to the usual
folders below this home's files/, unless --outputs. FILE - is standard input.`,
		Example: "  aml channel-import subscriptions.json\n  aml channel-import feeds.opml --json\n  aml channel-import secret.json --trust --outputs --replace",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, given []string) (err error) {
			if req.List, err = a.readInput(given[0]); err != nil {
				return err
			}
			c, err := a.connect(cmd.Context(), api.NeedStore)
			if err != nil {
				return err
			}
			res, err := c.ImportList(cmd.Context(), req)
			if err = closing(c, err); err != nil {
				return err
			}
			return a.result(res, func(w io.Writer) { imported(w, res) })
		},
	}
	cmd.Flags().BoolVar(&req.Outputs, "outputs", false, "write to the folders that the list names")
	cmd.Flags().BoolVar(&req.Trust, "trust", false, "take its names, and trust whom it trusts: the list is your own")
	cmd.Flags().BoolVar(&req.Replace, "replace", false, "give subscriptions that are here the filters of the list")
	return cmd
}

// imported says what an import has done.
func imported(w io.Writer, res api.ImportListResult) {
	for _, row := range []struct {
		items []string
		what  string
	}{{res.Added, "added"}, {res.Changed, "changed"}, {res.There, "was here"}} {
		for _, target := range row.items {
			fmt.Fprintf(w, "%-8s  %s\n", row.what, target)
		}
	}
	for _, row := range []struct {
		names []string
		what  string
	}{{res.NamesAdded, "added"}, {res.NamesThere, "were here"}, {res.NamesTaken, "name another channel here and still do"}} {
		if len(row.names) > 0 {
			fmt.Fprintf(w, "names @%s %s\n", strings.Join(row.names, " @"), row.what)
		}
	}
	if left := len(res.NamesLeft) + len(res.TrustLeft); left > 0 {
		fmt.Fprintf(w, "left out: %s of channels, and whom the list trusts on %s; if it is your own, import it with --trust\n",
			counted(len(res.NamesLeft), "name"), counted(len(res.TrustLeft), "topic"))
	}
	if res.Foreign > 0 {
		fmt.Fprintf(w, "passed over: %s of other programs\n", counted(res.Foreign, "outline"))
	}
}
