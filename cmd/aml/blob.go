package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/anonymous-media-library/aml/config"
	"github.com/anonymous-media-library/aml/node/api"
)

func (a *app) ingestCommand() *cobra.Command {
	var input, output, chunk, erasure string
	var inPlace, replace bool
	cmd := &cobra.Command{
		Use:   "ingest -i FILE_OR_FOLDER",
		Short: "seal a file into the blob store and print its FileEntry",
		Long: `Seal a file into the blob store and print its FileEntry: all that a reader needs,
and what nobody else may have. A folder gives an array of FileEntries, named by
their paths below it. Standard output holds the JSON alone.

With --in-place nothing is copied: blobs are sealed again from the files when they
are asked for, so the files must stay where and what they are. With --erasure
10+4 every 10 blobs get 4 more, and any 10 of the 14 are enough.`,
		Example: "  aml ingest -i movie.mkv > file_entry.json\n  aml ingest -i album/ -o album.json --in-place",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if input == "" {
				return usage(cmd, fmt.Errorf("which file or folder? give -i"))
			}
			if input == "-" {
				return usage(cmd, fmt.Errorf("standard input has no name and no end to seek to: save it to a file first"))
			}
			path, err := absolute(input)
			if err != nil {
				return err
			}
			size, err := chunkSize(chunk)
			if err != nil {
				return err
			}
			out, err := a.newOutput(cmd.Context(), output, replace) // before the work, so that it is not done in vain
			if err != nil {
				return err
			}
			defer out.abort()
			c, err := a.connect(cmd.Context(), api.NeedStore)
			if err != nil {
				return err
			}
			p := a.beside()
			res, err := c.Ingest(cmd.Context(), api.IngestRequest{Path: path, ChunkSize: size, InPlace: inPlace, Erasure: erasure}, p.event)
			if err = p.done(err); err != nil {
				return closing(c, err)
			}
			var doc any = res.Entries
			if !res.Folder {
				doc = res.Entries[0]
			}
			text, err := a.document(doc)
			if err == nil {
				err = out.commit(text)
			}
			if err != nil { // nobody can open what was sealed: let it go
				_, unpin := c.Unpin(context.WithoutCancel(cmd.Context()), api.PinRequest{Entries: &api.Document{Name: "entries", Text: text}})
				err = errors.Join(err, unpin)
			}
			return closing(c, err)
		},
	}
	cmd.Flags().StringVarP(&input, "input", "i", "", "file or folder to seal")
	cmd.Flags().StringVarP(&output, "output", "o", "", "file to write the JSON to (default standard output)")
	cmd.Flags().BoolVar(&replace, "replace", false, replaceHelp)
	cmd.Flags().StringVar(&chunk, "chunk-size", "1MiB", "plaintext bytes per blob: a power of two from 64KiB to 2MiB")
	sealing(cmd, &inPlace, &erasure)
	return cmd
}

func (a *app) blobSeedCommand() *cobra.Command {
	var input string
	cmd := &cobra.Command{
		Use:   "blob-seed -i FILE_ENTRY.JSON",
		Short: "serve an ingested file until interrupted",
		Long: `Announce the blobs of the file, or files, of a FileEntry document and serve them
until interrupted, with a line a second for each peer that gets some. All of the
blobs must be in the store or, of a file with parity, enough of them.`,
		Example: "  aml blob-seed -i file_entry.json\n  aml blob-seed -i file_entry.json --listen /ip4/127.0.0.1/tcp/4001 --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			doc, err := a.entries(cmd, input)
			if err != nil {
				return err
			}
			c, err := a.connect(cmd.Context(), api.NeedNetwork)
			if err != nil {
				return err
			}
			a.serving = true
			p := a.stream()
			on, wait := unhurried(cmd.Context(), p.event)
			_, err = c.Seed(cmd.Context(), api.SeedRequest{Entries: doc, Peers: a.peers}, on)
			wait()
			return closing(c, p.done(err))
		},
	}
	cmd.Flags().StringVarP(&input, "input", "i", "", "FileEntry document, - for standard input")
	a.serves(cmd)
	return cmd
}

// entries reads the FileEntry document that -i names.
func (a *app) entries(cmd *cobra.Command, input string) (api.Document, error) {
	if input == "" {
		return api.Document{}, usage(cmd, fmt.Errorf("which file_entry.json? give -i"))
	}
	return a.readInput(input)
}

func (a *app) blobFetchCommand() *cobra.Command {
	var input, output string
	var timeout time.Duration
	var keep, replace bool
	cmd := &cobra.Command{
		Use:   "blob-fetch -i FILE_ENTRY.JSON -o FILE",
		Short: "get a file from whoever has it",
		Long: `Get the file of a FileEntry from whoever has it, verify it, and put it under its
name once it is whole. A fetch that was interrupted asks only for what is
missing when it is run again. A file that is there and has another size is left as
it is, unless with --replace; one of the same size is checked, and put right where
it differs. A document of several entries is fetched into the folder -o. The file
itself is the store from then on: this node serves it onward for as long as it
stays what it is. --keep-blobs keeps a copy in the store too.
With -o - the file goes to standard output while it comes, in order and some
seconds ahead of who reads it; blobs that came whole are kept in the store.`,
		Example: "  aml blob-fetch -i file_entry.json -o movie.mkv\n  aml blob-fetch -i file_entry.json -o - | mpv -\n  aml blob-fetch -i file_entry.json -o movie.mkv --peer /ip4/192.168.1.5/tcp/4001/p2p/12D3KooW...\n  aml blob-fetch -i file_entry.json -o movie.mkv --peer ws://192.168.1.5:6881/ --peer https://mirror.example/",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			doc, err := a.entries(cmd, input)
			if err != nil {
				return err
			}
			if output == "" {
				return usage(cmd, fmt.Errorf("where to? give -o"))
			}
			if err := notNegative(timeout); err != nil {
				return usage(cmd, err)
			}
			path, finish, err := a.outputPath(output)
			if err != nil {
				return err
			}
			c, err := a.connect(cmd.Context(), api.NeedNetwork)
			if err != nil {
				return finish(err)
			}
			p := a.beside()
			res, err := c.Fetch(cmd.Context(), api.FetchRequest{Entries: doc, Output: path, Peers: a.peers, Timeout: api.Duration(timeout), KeepBlobs: keep, Replace: replace}, p.event)
			if err = finish(closing(c, p.done(err))); err != nil || output == "-" {
				return err
			}
			if res.Unkept > 0 {
				a.warn(fmt.Sprintf("%d of %d blobs are not kept for others beside the file: the store has no room for all; raise the quota and fetch the file to another place", res.Unkept, res.Blobs))
			}
			return a.result(res, func(w io.Writer) {
				for _, f := range res.Files {
					fmt.Fprintf(w, "%s (%s; %s from peers) sha256 %s\n", f.Path, config.FormatSize(int64(f.Size)), config.FormatSize(int64(f.FromPeers)), f.SHA256)
				}
			})
		},
	}
	cmd.Flags().StringVarP(&input, "input", "i", "", "FileEntry document, - for standard input")
	cmd.Flags().StringVarP(&output, "output", "o", "", "file to write, - for standard output; a folder for several entries")
	cmd.Flags().BoolVar(&keep, "keep-blobs", false, "keep the blobs in the store, beside the file")
	cmd.Flags().BoolVar(&replace, "replace", false, replaceHelp)
	cmd.Flags().DurationVar(&timeout, "timeout", time.Minute, "give up after so long without a byte of a blob, connecting included")
	return cmd
}

func (a *app) blobStatusCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "blob-status",
		Short:   "count the blob store",
		Example: "  aml blob-status\n  aml blob-status --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.existing(cmd.Context())
			if err != nil {
				return err
			}
			s, err := c.BlobStatus(cmd.Context())
			if err = closing(c, err); err != nil {
				return err
			}
			return a.result(s, func(w io.Writer) { blobStatus(w, s) })
		},
	}
}

func (a *app) blobPinCommand() *cobra.Command {
	return a.pinCommand("blob-pin", "keep blobs from eviction",
		"Keep blobs from eviction when the store is full. Pins are counted: what is pinned\ntwice wants to be unpinned twice.", (*api.Client).Pin)
}

func (a *app) blobUnpinCommand() *cobra.Command {
	return a.pinCommand("blob-unpin", "let blobs be evicted again",
		"Take one pin off blobs, and say how many had one. Without any, the least recently\nused are evicted when the store is full, and blob-gc forgets what is gone.", (*api.Client).Unpin)
}

func (a *app) pinCommand(verb, short, long string, do func(*api.Client, context.Context, api.PinRequest) (api.PinResult, error)) *cobra.Command {
	var input string
	cmd := &cobra.Command{
		Use:     verb + " ID... | -i FILE_ENTRY.JSON",
		Short:   short,
		Long:    long,
		Example: "  aml " + verb + " -i file_entry.json\n  aml " + verb + " 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
		RunE: func(cmd *cobra.Command, given []string) error {
			var req api.PinRequest
			for _, s := range given {
				id, err := api.ParseBlobID(s)
				if err != nil {
					return usage(cmd, fmt.Errorf("%q: %w", s, err))
				}
				req.IDs = append(req.IDs, id)
			}
			if input != "" {
				doc, err := a.readInput(input)
				if err != nil {
					return err
				}
				req.Entries = &doc
			}
			if len(req.IDs) == 0 && input == "" {
				return usage(cmd, fmt.Errorf("which blobs? give ids or -i"))
			}
			c, err := a.existing(cmd.Context())
			if err != nil {
				return err
			}
			res, err := do(c, cmd.Context(), req)
			if err = closing(c, err); err != nil {
				return err
			}
			return a.result(res, func(w io.Writer) { fmt.Fprintf(w, "%s\n", blobs(int64(res.Blobs))) })
		},
	}
	cmd.Flags().StringVarP(&input, "input", "i", "", "FileEntry document, - for standard input")
	return cmd
}

// notNegative checks --timeout.
func notNegative(timeout time.Duration) error { return aTime("--timeout", timeout) }

// aTime is notNegative of the flag that is named.
func aTime(flag string, d time.Duration) error {
	if d < 0 {
		return fmt.Errorf("%s %v: want a time such as 30s", flag, d)
	}
	return nil
}

// sealing adds the flags of commands that seal files.
func sealing(cmd *cobra.Command, inPlace *bool, erasure *string) {
	cmd.Flags().BoolVar(inPlace, "in-place", false, "store no second copy: serve the files from where they are")
	cmd.Flags().StringVar(erasure, "erasure", "", "make `DATA+PARITY` blobs, such as 10+4, of which any DATA are enough")
}

// chunkSize reads --chunk-size.
func chunkSize(s string) (int, error) {
	n, err := config.ParseSize(s)
	if err != nil {
		return 0, usageError("--chunk-size: %v", err)
	}
	if n < 64<<10 || n > 2<<20 || n&(n-1) != 0 {
		return 0, usageError("--chunk-size %s: want a power of two from 64KiB to 2MiB", s)
	}
	return int(n), nil
}
