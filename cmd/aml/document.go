package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/anonymous-media-library/aml/node/api"
)

func (a *app) documentAddCommand() *cobra.Command {
	var spec api.DocumentSpec
	cmd := &cobra.Command{
		Use:   "document-add PLUGIN CHANNEL -o FILE",
		Short: "have a plugin write a document of a channel, such as a feed",
		Long: `Have a plugin with the hook Render write a document of a channel that is known here,
such as podcast an RSS feed, now and, by a running daemon, whenever the channel has
changed. The file is replaced whole, and stays as it was while the plugin fails. Put it
where a web server serves it, for instance into the folder of the subscription, and
give the address of that folder as --base-url: the document then says where each
file is. Anybody who can read the folder can read the file.`,
		Example: "  aml document-add podcast aml://... -o /srv/www/talk/feed.xml --base-url https://example.org/talk\n  aml document-add podcast @talk -o feed.xml --format rss",
		Args:    args(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, given []string) (err error) {
			spec.Plugin, spec.Target = given[0], given[1]
			if spec.Output == "" {
				return usage(cmd, fmt.Errorf("where to? give -o FILE"))
			}
			if spec.Output, err = absolute(spec.Output); err != nil {
				return err
			}
			c, err := a.existing(cmd.Context())
			if err != nil {
				return err
			}
			res, err := c.DocumentAdd(cmd.Context(), spec)
			if err = closing(c, err); err != nil {
				return err
			}
			return a.result(res, func(w io.Writer) { documents(w, []api.DocumentInfo{res}) })
		},
	}
	cmd.Flags().StringVarP(&spec.Output, "output", "o", "", "file to write")
	cmd.Flags().StringVar(&spec.Format, "format", "", "format, where the plugin has several (default its first)")
	cmd.Flags().StringVar(&spec.BaseURL, "base-url", "", "`URL` below which the channel's files can be had by their names")
	return cmd
}

// documents lists documents.
func documents(w io.Writer, list []api.DocumentInfo) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, d := range list {
		state := fmt.Sprintf("%s, %d bytes", d.MediaType, d.Bytes)
		if d.Error != "" {
			state = "as it was: " + d.Error
		}
		fmt.Fprintf(t, "%s\t%s %s\t%s\t%s\n", d.Output, d.Plugin, d.Format, state, d.Address)
	}
	t.Flush()
}

func (a *app) documentListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "document-list",
		Short:   "list the documents that plugins write",
		Long:    "List the documents of document-add, each with when and how it was written last.",
		Example: "  aml document-list\n  aml document-list --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.existing(cmd.Context())
			if err != nil {
				return err
			}
			res, err := c.DocumentList(cmd.Context())
			if err = closing(c, err); err != nil {
				return err
			}
			return a.result(res.Documents, func(w io.Writer) { documents(w, res.Documents) })
		},
	}
}

func (a *app) documentRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "document-remove FILE",
		Short:   "write a document no more",
		Long:    "End a document of document-add. Its file stays.",
		Example: "  aml document-remove /srv/www/talk/feed.xml",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, given []string) (err error) {
			var req api.DocumentRequest
			if req.Output, err = absolute(given[0]); err != nil {
				return err
			}
			c, err := a.existing(cmd.Context())
			if err != nil {
				return err
			}
			if err = closing(c, c.DocumentRemove(cmd.Context(), req)); err != nil {
				return err
			}
			return a.result(req, func(w io.Writer) { fmt.Fprintf(w, "%s is written no more\n", req.Output) })
		},
	}
}

func (a *app) documentRenderCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "document-render [FILE]",
		Short:   "write documents anew",
		Long:    "Have one document of document-add, or all of them, written anew. One that cannot be\nstays as it was.",
		Example: "  aml document-render\n  aml document-render /srv/www/talk/feed.xml",
		Args:    args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, given []string) (err error) {
			var req api.DocumentRequest
			if len(given) == 1 {
				if req.Output, err = absolute(given[0]); err != nil {
					return err
				}
			}
			c, err := a.existing(cmd.Context())
			if err != nil {
				return err
			}
			res, err := c.DocumentRender(cmd.Context(), req)
			if err = closing(c, err); err != nil {
				return err
			}
			return a.result(res.Documents, func(w io.Writer) { documents(w, res.Documents) })
		},
	}
}
