package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/anonymous-media-library/aml/config"
	"github.com/anonymous-media-library/aml/node/api"
)

func (a *app) blobListCommand() *cobra.Command {
	var pinned bool
	cmd := &cobra.Command{
		Use:     "blob-list",
		Short:   "list the blobs of the store",
		Long:    "List the blobs that this node has by id, each with its size, whether it is pinned,\nand whether it lies in a file of yours rather than in the store. With --json a line\nof JSON for each, and about when it was last used where that is known.",
		Example: "  aml blob-list\n  aml blob-list --pinned --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.existing(cmd.Context())
			if err != nil {
				return err
			}
			p := a.stream()
			ctx, end := p.finite(cmd.Context())
			defer end()
			_, err = c.BlobList(ctx, api.BlobListRequest{Pinned: pinned}, p.event)
			return closing(c, p.done(err))
		},
	}
	cmd.Flags().BoolVar(&pinned, "pinned", false, "only pinned blobs")
	return cmd
}

func (a *app) blobGCCommand() *cobra.Command {
	var target string
	var dry bool
	cmd := &cobra.Command{
		Use:   "blob-gc",
		Short: "delete blobs that are not pinned",
		Long: `Delete blobs that are not pinned, those whose last use is longest ago first, until
no more than --target is left, and what interrupted runs left behind. Pinned
blobs stay, whatever the target. Files that were published or fetched in place
are not touched; those that are gone, and of which nothing is pinned, are
forgotten.`,
		Example: "  aml blob-gc --dry-run\n  aml blob-gc --target 5GiB",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			size, err := config.ParseSize(target)
			if err != nil {
				return usageError("--target: %v", err)
			}
			c, err := a.existing(cmd.Context())
			if err != nil {
				return err
			}
			res, err := c.GC(cmd.Context(), api.GCRequest{Target: size, DryRun: dry})
			if err = closing(c, err); err != nil {
				return err
			}
			return a.result(res, func(w io.Writer) {
				verb := "deleted"
				if res.DryRun {
					verb = "would delete"
				}
				fmt.Fprintf(w, "%s %s, %s, and %d files and folders left over\n", verb, blobs(res.Blobs), config.FormatSize(res.Bytes), res.Leftover)
				if verb = "forgot"; res.DryRun {
					verb = "would forget"
				}
				if res.Forgotten > 0 {
					fmt.Fprintf(w, "%s %s in place that are gone\n", verb, counted(res.Forgotten, "file"))
				}
			})
		},
	}
	cmd.Flags().StringVar(&target, "target", "0", "how many bytes of blobs to leave, such as 5GiB")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only say what would be deleted")
	return cmd
}

func (a *app) blobScrubCommand() *cobra.Command {
	var rate, input string
	var repair bool
	cmd := &cobra.Command{
		Use:   "blob-scrub",
		Short: "check every stored blob, and repair what is damaged",
		Long: `Read every stored blob and check that it is what its name says; look whether
files that were published or fetched in place are still what they were. What is
damaged is moved aside and served no longer. With --repair it is had again from
peers or, where files were ingested with --erasure, rebuilt from what is left:
those of own channels, and those that -i names.

What nobody has any more is named by every scrub until it is let go of:
blob-unpin takes the pins off, and blob-gc forgets it.`,
		Example: "  aml blob-scrub\n  aml blob-scrub --rate 20MiB --repair -i file_entry.json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			req := api.ScrubRequest{Repair: repair, Peers: a.peers}
			var err error
			if req.Rate, err = config.ParseSize(rate); err != nil {
				return usageError("--rate: %v", err)
			}
			if input != "" && !repair {
				return usage(cmd, fmt.Errorf("-i names files to repair: give --repair"))
			}
			if input != "" {
				doc, err := a.readInput(input)
				if err != nil {
					return err
				}
				req.Entries = &doc
			}
			need := api.NeedStore
			if repair {
				need = api.NeedNetwork
			}
			c, err := a.connect(cmd.Context(), need)
			if err != nil {
				return err
			}
			p := a.beside()
			res, err := c.Scrub(cmd.Context(), req, p.event)
			if err = closing(c, p.done(err)); err != nil {
				return err
			}
			err = a.result(res, func(w io.Writer) {
				fmt.Fprintf(w, "%s, %s checked: %d rotten, %d missing, %d repaired\n", blobs(res.Blobs), config.FormatSize(res.Bytes), res.Rotten, res.Missing, res.Repaired)
			})
			remedy := "blob-scrub --repair gets them again, with -i FILE_ENTRY.JSON it also rebuilds them"
			if repair {
				remedy = "nobody that was found has them, and there is too little parity; name who may have them with --peer, or their file with -i FILE_ENTRY.JSON"
			}
			return unlessAll(err, res.Left, api.CodeVerify, "damaged or missing; "+remedy+"; blob-unpin and then blob-gc let go of what nobody needs")
		},
	}
	cmd.Flags().StringVar(&rate, "rate", "0", "bytes to read per second, such as 20MiB; 0: as fast as it goes")
	cmd.Flags().BoolVar(&repair, "repair", false, "get or rebuild what is damaged or missing")
	cmd.Flags().StringVarP(&input, "input", "i", "", "with --repair: FileEntry document of files to make whole, - for standard input")
	return cmd
}

// named adds to cmd what names blobs, and returns what reads it.
func (a *app) named(cmd *cobra.Command) func(given []string) (api.Named, error) {
	var input string
	var all bool
	cmd.Flags().StringVarP(&input, "input", "i", "", "FileEntry document whose blobs are meant, - for standard input")
	cmd.Flags().BoolVar(&all, "all", false, "all blobs that are stored")
	return func(given []string) (api.Named, error) {
		req := api.Named{All: all}
		for _, s := range given {
			id, err := api.ParseBlobID(s)
			if err != nil {
				return req, usage(cmd, fmt.Errorf("%q: %w", s, err))
			}
			req.IDs = append(req.IDs, id)
		}
		if input != "" {
			doc, err := a.readInput(input)
			if err != nil {
				return req, err
			}
			req.Entries = &doc
		}
		switch ways := btoi(len(given) > 0) + btoi(input != "") + btoi(all); ways {
		case 0:
			return req, usage(cmd, fmt.Errorf("which blobs? give ids, -i or --all"))
		case 1:
			return req, nil
		}
		return req, usage(cmd, fmt.Errorf("ids, -i and --all exclude each other"))
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (a *app) blobExportCommand() *cobra.Command {
	var output string
	var replace bool
	cmd := &cobra.Command{
		Use:   "blob-export (--all | -i FILE_ENTRY.JSON | ID...) -o FILE.tar",
		Short: "write blobs to a tar archive",
		Long: `Write blobs to a tar archive, for a disk that travels by post or a pipe between two
machines. Whoever carries it cannot read it. Unpacked anywhere behind a web
server it is a mirror.`,
		Example: "  aml blob-export --all -o blobs.tar\n  aml blob-export -i file_entry.json -o - | ssh host aml blob-import -i -",
	}
	names := a.named(cmd)
	cmd.RunE = func(cmd *cobra.Command, given []string) error {
		named, err := names(given)
		if err != nil {
			return err
		}
		if output == "" {
			return usage(cmd, fmt.Errorf("where to? give -o, - for standard output"))
		}
		if err := notThere(output, replace); err != nil {
			return err
		}
		return a.archive(cmd, a.existing, func(ctx context.Context, c *api.Client, on func(api.Event)) error {
			path, finish, err := a.outputPath(output)
			if err != nil {
				return err
			}
			res, err := c.Export(ctx, api.ExportRequest{Named: named, Path: path}, on)
			if err = finish(err); err != nil {
				return err
			}
			if !standardOutput(output) {
				err = a.result(res, func(w io.Writer) {
					fmt.Fprintf(w, "%s, %s -> %s\n", blobs(res.Blobs), config.FormatSize(res.Bytes), output)
				})
			}
			return unlessAll(err, res.Missing, api.CodeNotFound, fmt.Sprintf("not in the store and so not in %s, which has the others only: %s; have them with blob-fetch or blob-scrub --repair -i first", output, some(res.Without)))
		})
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "archive to write, - for standard output")
	cmd.Flags().BoolVar(&replace, "replace", false, replaceHelp)
	return cmd
}

func (a *app) blobImportCommand() *cobra.Command {
	var input string
	cmd := &cobra.Command{
		Use:     "blob-import -i FILE.tar",
		Short:   "store the blobs of a tar archive",
		Long:    "Store the blobs of an archive that blob-export wrote. Each is checked against its\nname; what is not a blob is skipped and counted. A cut-off archive gives what was\nwhole, and an error.",
		Example: "  aml blob-import -i blobs.tar\n  aml blob-import -i - < blobs.tar",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if input == "" {
				return usage(cmd, fmt.Errorf("which archive? give -i, - for standard input"))
			}
			return a.archive(cmd, func(ctx context.Context) (*api.Client, error) { return a.connect(ctx, api.NeedStore) }, func(ctx context.Context, c *api.Client, on func(api.Event)) error {
				path, finish, err := a.inputPath(input)
				if err != nil {
					return err
				}
				res, err := c.Import(ctx, api.ImportRequest{Path: path}, on)
				if err = finish(err); err != nil {
					return err
				}
				err = a.result(res, func(w io.Writer) {
					fmt.Fprintf(w, "%s, %s%s\n", blobs(res.Blobs), config.FormatSize(res.Bytes), besides(res.Skipped, "other files"))
				})
				return unlessAll(err, res.Bad, api.CodeVerify, "not what they are called, and not stored: "+some(res.Without))
			})
		},
	}
	cmd.Flags().StringVarP(&input, "input", "i", "", "archive to read, - for standard input")
	return cmd
}

// besides adds to a line what need not be said of none.
func besides(n int64, what string) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("; %d %s", n, what)
}

// unlessAll is the error of a command that did its work for all but n blobs.
func unlessAll(err error, n int64, code api.Code, why string) error {
	if err != nil || n <= 0 {
		return err
	}
	return &api.Error{Code: code, Message: blobs(n) + " " + why}
}

// maxSome is how many ids a sentence names.
const maxSome = 5

// some names the first of ids.
func some(ids []api.BlobID) string {
	var words []string
	for _, id := range ids[:min(len(ids), maxSome)] {
		words = append(words, id.String())
	}
	if len(ids) > maxSome {
		words = append(words, "...")
	}
	return strings.Join(words, ", ")
}

// blobs counts them in words.
func blobs(n int64) string { return counted(n, "blob") }

// archive runs do with a node that has a store, which open connects to.
func (a *app) archive(cmd *cobra.Command, open func(context.Context) (*api.Client, error), do func(context.Context, *api.Client, func(api.Event)) error) error {
	c, err := open(cmd.Context())
	if err != nil {
		return err
	}
	p := a.beside()
	err = do(cmd.Context(), c, p.event)
	return closing(c, p.done(err))
}

func (a *app) blobPushHTTPCommand() *cobra.Command {
	var verify bool
	cmd := &cobra.Command{
		Use:   "blob-push-http DIR|URL (--all | -i FILE_ENTRY.JSON | ID...)",
		Short: "copy blobs to where a plain web server serves them",
		Long: `Copy blobs to a folder that a web server serves, or by PUT to a URL, as
blobs/<id>; a folder is made with those above it. What is there already is left
alone. Peers use such a server with
--peer https://HOST/PATH; it learns nothing of what the blobs hold.

A user and password in the URL, or the environment variable AML_HTTP_AUTHORIZATION,
are sent to that server alone.`,
		Example: "  aml blob-push-http /srv/www -i file_entry.json\n  aml blob-push-http https://bucket.example/aml --all",
	}
	names := a.named(cmd)
	cmd.RunE = func(cmd *cobra.Command, given []string) error {
		if len(given) == 0 || given[0] == "" {
			return usage(cmd, fmt.Errorf("where to? give a folder or a URL"))
		}
		named, err := names(given[1:])
		if err != nil {
			return err
		}
		if scheme, _, ok := strings.Cut(given[0], "://"); ok && !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
			return usage(cmd, fmt.Errorf("%s:// is none to copy to: want a folder, http:// or https://", scheme))
		}
		req := api.PushRequest{Named: named, Target: given[0], Verify: verify, Authorization: os.Getenv("AML_HTTP_AUTHORIZATION")}
		if !strings.Contains(req.Target, "://") {
			if req.Target, err = absolute(req.Target); err != nil {
				return err
			}
		}
		return a.archive(cmd, a.existing, func(ctx context.Context, c *api.Client, on func(api.Event)) error {
			res, err := c.PushHTTP(ctx, req, on)
			if err != nil {
				return err
			}
			err = a.result(res, func(w io.Writer) {
				fmt.Fprintf(w, "%s, %s copied; %d were there already%s\n", blobs(res.Pushed), config.FormatSize(res.Bytes), res.There, besides(res.Failed, "failed"))
			})
			if err == nil && res.Why != "" {
				err = &api.Error{Code: api.CodeFailure, Message: res.Why}
			}
			return err
		})
	}
	cmd.Flags().BoolVar(&verify, "verify", false, "read and check what is there already")
	return cmd
}
