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

func (a *app) searchCommand() *cobra.Command {
	var req api.SearchRequest
	var smallest, largest string
	cmd := &cobra.Command{
		Use:   "search WORDS...",
		Short: "find channels, releases and files among all that this node knows",
		Long: `Find channels by title and topic, releases by title, description and metadata, and
files by name and attributes, among all that this node knows. Nobody is asked: of
channels that are only listed their titles are known, see channel-browse.

All words have to be there, in whatever case and with or without accents; the last
one may be the beginning of a longer one. my_song-01.flac is found by song.
"Double quotes" ask for words that follow one another. Names count for more than
descriptions, and rare words for more than common ones.`,
		Example: `  aml search second night
  aml search aurora --type audio --since 7d
  aml search '"live at" paradiso' --topic music --json
  aml search linux iso --min-size 1GiB --channel aml://...`,
		Args: args(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, given []string) (err error) {
			req.Query = strings.Join(given, " ")
			if req.MinSize, err = sizeFlag("--min-size", smallest); err != nil {
				return usage(cmd, err)
			}
			if req.MaxSize, err = sizeFlag("--max-size", largest); err != nil {
				return usage(cmd, err)
			}
			if req.Limit < 1 || req.Limit > 500 {
				return usage(cmd, fmt.Errorf("--limit %d: want 1 to 500", req.Limit))
			}
			c, err := a.connect(cmd.Context(), api.NeedStore)
			if err != nil {
				return err
			}
			res, err := c.Search(cmd.Context(), req)
			if err = closing(c, err); err != nil {
				return err
			}
			if a.json {
				return a.line(res)
			}
			if len(res.Hits) == 0 {
				a.warn("nothing was found")
			} else if res.More {
				a.warn("there is more: use more words, filters, or a higher --limit")
			}
			return a.result(res, func(w io.Writer) {
				for _, h := range res.Hits {
					printHit(w, h)
				}
			})
		},
	}
	cmd.Flags().StringVar(&req.Channel, "channel", "", "only in this channel: address, id, or the topic of an own one")
	cmd.Flags().StringVar(&req.Topic, "topic", "", "only in channels on this topic or below it")
	cmd.Flags().StringVar(&req.Type, "type", "", "only files of this media type, as audio or video/mp4")
	cmd.Flags().StringVar(&smallest, "min-size", "", "only files of at least this size, as 10MiB")
	cmd.Flags().StringVar(&largest, "max-size", "", "only files of at most this size")
	cmd.Flags().StringVar(&req.Since, "since", "", "only what was issued within this time, as 7d, 24h or 30m")
	cmd.Flags().StringVar(&req.Label, "label", "", "only releases that a plugin here has labelled so, and their files: `KEY` or KEY=VALUE")
	cmd.Flags().IntVar(&req.Limit, "limit", 20, "show so many hits, at most 500")
	return cmd
}

func sizeFlag(name, value string) (uint64, error) {
	if value == "" {
		return 0, nil
	}
	n, err := config.ParseSize(value)
	if err == nil && n <= 0 {
		err = fmt.Errorf("%q: want a size over 0", value)
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return uint64(n), nil
}

func printHit(w io.Writer, h api.SearchHit) {
	head := h.Kind + "  "
	switch h.Kind {
	case "file":
		head += fmt.Sprintf("%s  (%s)", plain(h.Name), config.FormatSize(int64(h.Size)))
	case "release":
		head += quoted(h.Name, "(no title)")
	default:
		head += quoted(h.Title, "(no title)")
	}
	if h.Kind != "channel" {
		head += "  in " + quoted(h.Title, "(no title)")
	}
	if h.State != "listed" {
		head += ", " + h.State
	}
	head += caution(", ", h.Currency)
	if h.Issued != 0 {
		head += ", " + h.Issued.Time().Format(time.DateOnly)
	}
	fmt.Fprintf(w, "%s\n  %s\n", head, h.Address)
	if h.Snippet != "" {
		prose(w, h.Snippet)
	}
	if h.LookAlike != "" {
		fmt.Fprintf(w, "  CAREFUL: its title looks like that of %s\n", h.LookAlike)
	}
	alikeNames(w, "  ", h.Alike)
}
