package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/anonymous-media-library/aml/config"
	"github.com/anonymous-media-library/aml/node/api"
)

func (a *app) initCommand() *cobra.Command {
	var keys strings.Builder
	for _, k := range config.Keys() {
		fmt.Fprintf(&keys, "  %-10s %s (default %v)\n", k.Name, k.Doc, k.Default)
	}
	return &cobra.Command{
		Use:   "init",
		Short: "make this node's home: keys, store, a documented configuration",
		Long: `Make this node's home: keys, store, and a configuration file in which every key
stands commented out with its default. Commands make what they need by
themselves; init is for those who want to look at it, or to change it, first.
What is there already stays.

Configuration keys (also as AML_ and the name in capitals, or --set KEY=VALUE):
` + keys.String(),
		Example: "  aml init\n  aml init --home /srv/aml",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.config()
			if err != nil {
				return err
			}
			c, err := api.Open(cmd.Context(), cfg, api.NeedStore)
			if err != nil {
				return err
			}
			status, err := c.Status(cmd.Context())
			if err = closing(c, err); err != nil {
				return err
			}
			if err := os.MkdirAll(filepath.Dir(cfg.Paths.Config), 0o700); err != nil {
				return fmt.Errorf("making the configuration's folder: %w", err)
			}
			wrote, err := config.WriteTemplate(cfg.Paths.Config)
			if err != nil {
				return err
			}
			return a.result(map[string]any{"home": cfg.Paths.Home, "config": cfg.Paths.Config, "configWritten": wrote, "peerId": status.PeerID},
				func(w io.Writer) {
					fmt.Fprintf(w, "home      %s\nconfig    %s\nthis node %s\n", cfg.Paths.Home, cfg.Paths.Config, status.PeerID)
				})
		},
	}
}

func (a *app) daemonCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "daemon",
		Short: "keep all subscriptions and publications of this home going",
		Long: `Run this home's node until interrupted: it follows every subscription, serves
every publication and every blob that it holds, and answers the other commands.
It goes on where it stopped. Only one process runs on a home. SIGTERM and SIGHUP
end it with exit code 0, Ctrl-C with 130.`,
		Example: "  aml daemon\n  aml daemon --listen /ip4/0.0.0.0/tcp/4001 --json\n  aml daemon --ws --http=8080 --set upload=5MiB",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect(cmd.Context(), api.NeedBeDaemon)
			if err != nil {
				return err
			}
			a.serving = true
			p := a.stream()
			on, wait := unhurried(cmd.Context(), p.event)
			err = c.Watch(cmd.Context(), on)
			wait()
			return closing(c, p.done(err))
		},
	}
	a.serves(cmd)
	return cmd
}

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "status",
		Short:   "say who the running node is, and what it holds",
		Long:    "Say who the node that runs on this home is, where it listens, and what it holds.\nWithout a running node the exit code is 3.\n\nThe line \"announced\" counts the files and channels that this node tells others it\nhas: those that no other node has taken note of yet (all of them, as long as nobody\nis connected), those whose turn it is, and those an hour or more behind their time.",
		Example: "  aml status\n  aml status --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect(cmd.Context(), api.NeedDaemon)
			if err != nil {
				return err
			}
			s, err := c.Status(cmd.Context())
			if err = closing(c, err); err != nil {
				return err
			}
			return a.result(s, func(w io.Writer) { status(w, s) })
		},
	}
}

func (a *app) pathsCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "paths",
		Short:   "say where this home keeps what",
		Example: "  aml paths\n  aml paths --home /srv/aml --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.config()
			if err != nil {
				return err
			}
			p := cfg.Paths
			return a.result(p, func(w io.Writer) {
				t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
				for _, row := range [][2]string{
					{"home", p.Home}, {"config", p.Config}, {"keys", p.Keys}, {"identity", p.Identity},
					{"catalog", p.Catalog}, {"blobs", p.Blobs}, {"in place", p.InPlace}, {"roots", p.Roots}, {"given", p.Given}, {"accounts", p.Accounts}, {"copies", p.Copies}, {"mirror", p.Mirror}, {"nats", p.NATS}, {"files", p.Files}, {"socket", p.Socket}, {"lock", p.Lock},
				} {
					fmt.Fprintf(t, "%s\t%s\n", row[0], row[1])
				}
				t.Flush()
			})
		},
	}
}

// version is set by release builds with -ldflags "-X main.version=...".
var version = ""

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "print the version",
		Example: "  aml version --json",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			v := version
			if info, ok := debug.ReadBuildInfo(); ok && v == "" {
				v = info.Main.Version
			}
			v = orElse(v, "(devel)")
			return a.result(map[string]string{"version": v, "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH},
				func(w io.Writer) {
					fmt.Fprintf(w, "aml %s %s %s/%s\n", v, runtime.Version(), runtime.GOOS, runtime.GOARCH)
				})
		},
	}
}
