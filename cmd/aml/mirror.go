package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/anonymous-media-library/aml/config"
	"github.com/anonymous-media-library/aml/node/api"
)

func (a *app) blobPushPluginCommand() *cobra.Command {
	return a.copyCommand(&cobra.Command{
		Use:   "blob-push-plugin PLUGIN (--all | -i FILE_ENTRY.JSON | ID...)",
		Short: "copy blobs to a plugin that keeps them",
		Long: `Copy sealed blobs to a plugin with the hook Mirror, such as mirror-fs: another disk, a
bucket. What is there already is not sent again, so that the command can be given
again for what failed, and regularly. The plugin learns nothing of what the blobs hold.
mirror-add keeps one filled with channels by itself.`,
		Example: "  aml blob-push-plugin mirror-fs --all\n  aml blob-push-plugin mirror-fs -i file_entry.json",
	}, false)
}

func (a *app) blobPullPluginCommand() *cobra.Command {
	return a.copyCommand(&cobra.Command{
		Use:   "blob-pull-plugin PLUGIN (-i FILE_ENTRY.JSON | ID...)",
		Short: "have blobs back from a plugin that keeps them",
		Long: `Copy blobs that are missing here from a plugin with the hook Mirror, which
blob-push-plugin has filled. Each is checked against its name. With -i all blobs
of the files are had, found by their indexes.`,
		Example: "  aml blob-pull-plugin mirror-fs -i file_entry.json",
	}, true)
}

func (a *app) copyCommand(cmd *cobra.Command, pull bool) *cobra.Command {
	names := a.named(cmd)
	cmd.RunE = func(cmd *cobra.Command, given []string) error {
		if len(given) == 0 || given[0] == "" {
			return usage(cmd, fmt.Errorf("which plugin? see aml plugin-list"))
		}
		named, err := names(given[1:])
		if err != nil {
			return err
		}
		req := api.MirrorCopyRequest{Named: named, Plugin: given[0], Pull: pull}
		return a.archive(cmd, a.existing, func(ctx context.Context, c *api.Client, on func(api.Event)) error {
			res, err := c.MirrorCopy(ctx, req, on)
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
	return cmd
}
