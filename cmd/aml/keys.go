package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/anonymous-media-library/aml/node/api"
)

func (a *app) keyNewCommand() *cobra.Command {
	var out, plugin, held string
	cmd := &cobra.Command{
		Use:   "key-new [NAME | -o FILE] [--plugin ID]",
		Short: "make a key, and tell its public half",
		Long: `Make a private key that signs for channels: to publish with, to renew heads
with, or to rule a channel with. With a name it lies in this home's folder of
keys, where publishing and the daemon find it; with -o in a file of its own,
without a home: make root keys that way, on a machine that stays offline.
Only the public half, which is printed, is told to others.

With --plugin no key is made: it is one that a plugin with the hook Sign holds, such
as that of a hardware token. The file says which, and can be used like any key's where
a node runs; the private half never leaves the plugin.`,
		Example: "  aml key-new studio\n  aml key-new -o /media/usb/root.pem\n  aml key-new token --plugin soft-token",
		Args:    args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, given []string) error {
			if (len(given) == 1) == (out != "") {
				return usage(cmd, fmt.Errorf("give either a name or a file with -o"))
			}
			if standardOutput(out) {
				return usage(cmd, fmt.Errorf("-o %s: a private key goes into a file, which its owner alone can read; name one", out))
			}
			if cmd.Flags().Changed("plugin") {
				return a.pluginKey(cmd, plugin, held, out, given)
			}
			if held != "" {
				return usage(cmd, fmt.Errorf("--key names a key that a plugin holds; name the plugin with --plugin"))
			}
			var info api.KeyInfo
			var err error
			if out != "" {
				info, err = api.NewKey(out)
			} else {
				cfg, cerr := a.config()
				if cerr != nil {
					return cerr
				}
				info, err = api.NewNamedKey(cfg, given[0])
			}
			if err != nil {
				return err
			}
			return a.result(info, func(w io.Writer) { fmt.Fprintf(w, "%s\nprivate half  %s\n", info.Key, info.File) })
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "file for the private key, which must not be there")
	cmd.Flags().StringVar(&plugin, "plugin", "", "take a key that the plugin `ID` holds")
	cmd.Flags().StringVar(&held, "key", "", "the public half of that key, if the plugin holds several")
	return cmd
}

// pluginKey is key-new --plugin.
func (a *app) pluginKey(cmd *cobra.Command, plugin, held, out string, name []string) error {
	req := api.PluginKeyRequest{Plugin: plugin, File: out}
	if plugin == "" {
		return usage(cmd, fmt.Errorf("--plugin: name a plugin with the hook Sign; plugin-list names them"))
	}
	if held != "" {
		key, err := api.ParsePublicKey(held)
		if err != nil {
			return usage(cmd, fmt.Errorf("--key: %w", err))
		}
		req.Key = &key
	}
	if err := wholePaths(&req.File); err != nil {
		return err
	}
	if len(name) > 0 {
		req.Name = name[0]
	}
	return asked(a, cmd, func(ctx context.Context, c *api.Client) (api.KeyInfo, error) {
		return c.PluginKey(ctx, req)
	}, func(w io.Writer, info api.KeyInfo) {
		fmt.Fprintf(w, "%s\nprivate half  plugin %s, says %s\n", info.Key, info.Plugin, info.File)
	})
}

func (a *app) keyShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "key-show [FILE...]",
		Short:   "tell the public halves of keys",
		Long:    "Tell the public halves of key files; without files, of all keys of this home. That of a\nmember key, which reads private channels and signs nothing, begins with amlmember1.",
		Example: "  aml key-show\n  aml key-show /media/usb/root.pem --json",
		RunE: func(cmd *cobra.Command, files []string) error {
			keys := []api.KeyInfo{}
			for _, file := range files {
				if strings.HasPrefix(file, "aml://") {
					return usage(cmd, fmt.Errorf("%s is a channel; its keys are shown by channel-show", file))
				}
				info, err := api.ShowKey(file)
				if err != nil {
					return err
				}
				keys = append(keys, info)
			}
			if len(files) == 0 {
				cfg, err := a.config()
				if err != nil {
					return err
				}
				all, problems, err := api.ShowKeys(cfg)
				if err != nil {
					return err
				}
				for _, problem := range problems {
					a.warn(problem.Error())
				}
				keys = all
			}
			return a.result(keys, func(w io.Writer) {
				t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
				for _, k := range keys {
					if k.Member != nil {
						fmt.Fprintf(t, "%s\t%s  (member key: reads private channels, signs nothing; for channel-member-add)\n", k.Member, k.File)
						continue
					}
					fmt.Fprintf(t, "%s\t%s%s\n", k.Key, k.File, heldBy(k))
				}
				t.Flush()
			})
		},
	}
}

// heldBy says where the private half lies if it is not the file.
func heldBy(k api.KeyInfo) string {
	if k.Plugin == "" {
		return ""
	}
	return "  (held by plugin " + k.Plugin + ")"
}
