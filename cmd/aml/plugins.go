package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/anonymous-media-library/aml/config"
	"github.com/anonymous-media-library/aml/node/api"
)

// grantFlags are what an operator decides about a plugin.
func grantFlags(cmd *cobra.Command, g *api.PluginGrant, priority *int) {
	cmd.Flags().StringSliceVar(&g.Grant, "grant", nil, "grant these capabilities, or all that it declares: plaintext, keys, publish, network, files, processes, all")
	cmd.Flags().StringArrayVar(&g.Paths, "path", nil, "file or folder that the capability files opens (repeatable; default all)")
	cmd.Flags().BoolVar(&g.Partial, "partial", false, "run it also without something that it declares")
	cmd.Flags().IntVar(priority, "priority", 0, "when it is asked: higher first, -1000 to 1000 (default what the plugin says)")
	cmd.Flags().StringVar(&g.Memory, "memory", "", "memory that it may have, such as 256MiB (default what the plugin says)")
	cmd.Flags().StringVar(&g.State, "state-size", "", "how much it may keep in its folder, such as 10GiB (default 4GiB)")
}

// granted completes a request by what was said on the command line.
func granted(cmd *cobra.Command, g *api.PluginGrant, priority int) error {
	if cmd.Flags().Changed("priority") {
		g.Priority = &priority
	}
	for i := range g.Paths {
		if err := wholePaths(&g.Paths[i]); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) pluginInstallCommand() *cobra.Command {
	var req api.PluginInstallRequest
	var priority int
	cmd := &cobra.Command{
		Use:   "plugin-install FILE|DIR|aml://CHANNEL/NAME|bundled:ID",
		Short: "install a plugin, without running it",
		Long: `Install a plugin from a folder with a plugin.yaml, from a tar, tar.gz or zip of
one, from such an archive in a channel that this home follows, or one that is a
part of aml (bundled:ID; plugin-list --bundled names them), which is updated with aml. Nothing of it
is run: what it asks for is shown, and plugin-enable runs it with what you grant.
An installed version is replaced, which is said; what was granted to it stays granted, and
one that asks for more waits for you, as does one from elsewhere: another channel, or
files in place of a channel's. Of that nothing is taken over. The bytes that are installed now are the only
ones that are ever run under its name.`,
		Example: "  aml plugin-install ./no-cats\n  aml plugin-install no-cats.tar.gz --grant network --enable\n  aml plugin-install aml://.../no-cats.tar.gz\n  aml plugin-install bundled:blocklist",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, given []string) (err error) {
			req.From = given[0]
			need := api.NeedStore
			if strings.HasPrefix(req.From, "aml://") || strings.HasPrefix(req.From, "@") {
				need = api.NeedNetwork
			} else if strings.HasPrefix(req.From, api.BundledMark) {
				need = api.NeedStore
			} else if strings.Contains(req.From, "://") {
				return usage(cmd, fmt.Errorf("%s: plugins are not installed from URLs; fetch the file, check whose it is, and give its path", req.From))
			} else if _, err := os.Stat(req.From); err != nil {
				return fmt.Errorf("installing a plugin: %w", err)
			} else if req.From, err = absolute(req.From); err != nil {
				return err
			}
			if err := granted(cmd, &req.PluginGrant, priority); err != nil {
				return err
			}
			c, err := a.connect(cmd.Context(), need)
			if err != nil {
				return err
			}
			if c.Remote() && need == api.NeedNetwork && len(a.peers) > 0 {
				a.warn("a node runs on this home already and does not hear of --peer; restart it with that")
			}
			p := a.beside()
			res, err := c.PluginInstall(cmd.Context(), req, p.event)
			if err = closing(c, p.done(err)); err != nil {
				return err
			}
			return a.result(res, func(w io.Writer) { installed(w, res) })
		},
	}
	grantFlags(cmd, &req.PluginGrant, &priority)
	cmd.Flags().BoolVar(&req.Enable, "enable", false, "run it from now on")
	return cmd
}

// installed says what a plugin is and what it asks for.
func installed(w io.Writer, p api.PluginInfo) {
	fmt.Fprintf(w, "%s %s  %s\n", p.ID, p.Version, plain(p.Title))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	var hooks, missing []string
	for _, h := range p.Hooks {
		hooks = append(hooks, string(h))
	}
	fmt.Fprintf(t, "hooks\t%s\n", strings.Join(hooks, ", "))
	for _, c := range p.Capabilities {
		state := "granted"
		if !c.Granted {
			state, missing = "not granted", append(missing, string(c.Name))
		}
		fmt.Fprintf(t, "may\t%s\t%s\t(%s)\n", c.Name, c.Means, state)
	}
	for _, path := range p.Paths {
		fmt.Fprintf(t, "path\t%s\n", path)
	}
	fmt.Fprintf(t, "memory\t%s\n", config.FormatSize(p.Memory))
	fmt.Fprintf(t, "keeps\tat most %s\n", config.FormatSize(p.State))
	if len(p.Unenforced) > 0 {
		fmt.Fprintf(t, "beware\tthis system cannot keep it within: %s\n", strings.Join(p.Unenforced, ", "))
	}
	if r := p.Replaces; r != nil {
		what := r.Version + " from " + plain(r.Source)
		if r.Newer {
			what += ", which is newer"
		}
		fmt.Fprintf(t, "replaces\t%s\n", what)
		if r.Elsewhere {
			fmt.Fprintf(t, "\tit comes from elsewhere, so nothing that was granted to that one or configured is taken over\n")
		}
	}
	fmt.Fprintf(t, "state\t%s\n", pluginState(p))
	t.Flush()
	switch {
	case p.Error != "":
	case !p.Enabled && len(missing) > 0:
		fmt.Fprintf(w, "to run it: aml plugin-enable %s --grant %s\n", p.ID, strings.Join(missing, ","))
	case !p.Enabled:
		fmt.Fprintf(w, "to run it: aml plugin-enable %s\n", p.ID)
	}
}

// pluginState says in a few words what a plugin does.
func pluginState(p api.PluginInfo) string {
	switch {
	case p.Error != "":
		return p.Error
	case !p.Enabled:
		return "disabled"
	case p.Off != "":
		return "off: " + p.Off
	case p.Run != nil && p.Run.Reason != "":
		return string(p.Run.State) + ": " + p.Run.Reason
	case p.Run != nil && p.Run.State != "idle":
		return "enabled, " + string(p.Run.State)
	}
	return "enabled"
}

func (a *app) pluginListCommand() *cobra.Command {
	var all, metrics bool
	cmd := &cobra.Command{
		Use:   "plugin-list",
		Short: "list the installed plugins",
		Long: `List the installed plugins, with what each is doing. --json has everything: hooks,
grants, configuration but for secrets, calls, errors and timeouts. --metrics prints the
numbers of those that are enabled in the text format of Prometheus, for the textfile
collector of its node exporter. --bundled lists those that are a part of aml instead,
installed or not.`,
		Example: "  aml plugin-list\n  aml plugin-list --json\n  aml plugin-list --bundled\n  aml plugin-list --metrics",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.existing(cmd.Context())
			if err != nil {
				return err
			}
			res, err := c.PluginList(cmd.Context())
			if err = closing(c, err); err != nil {
				return err
			}
			if metrics {
				return a.write(pluginMetrics(res.Plugins))
			}
			if all {
				return a.result(res.Bundled, func(w io.Writer) { bundledPlugins(w, res.Bundled) })
			}
			return a.result(res.Plugins, func(w io.Writer) {
				t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
				for _, p := range res.Plugins {
					fmt.Fprintf(t, "%s\t%s\t%s\n", p.ID, p.Version, pluginState(p))
				}
				t.Flush()
			})
		},
	}
	cmd.Flags().BoolVar(&all, "bundled", false, "list the plugins that are a part of aml")
	cmd.Flags().BoolVar(&metrics, "metrics", false, "print numbers for Prometheus")
	cmd.MarkFlagsMutuallyExclusive("bundled", "metrics")
	return cmd
}

func bundledPlugins(w io.Writer, list []api.BundledPlugin) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, p := range list {
		state := "not installed: aml plugin-install " + api.BundledMark + p.ID
		if p.Installed {
			state = "installed"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", p.ID, p.Version, p.Title, state)
	}
	t.Flush()
}

func (a *app) pluginEnableCommand() *cobra.Command {
	var req api.PluginRequest
	var priority int
	cmd := &cobra.Command{
		Use:   "plugin-enable ID",
		Short: "run a plugin, with what you grant it",
		Long: `Run a plugin from now on, with the capabilities that you grant. One that was
turned off because it failed three times within an hour is turned on again; one whose
files were changed is refused (exit code 5). What is not granted is not there for
it: hooks that need it are not called, and where the system can (see
docs/operators.md) the network, files and processes are out of its reach.`,
		Example: "  aml plugin-enable no-cats\n  aml plugin-enable blocklist --grant files --path /etc/blocklists",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, given []string) error {
			req.ID = given[0]
			if err := granted(cmd, &req.PluginGrant, priority); err != nil {
				return err
			}
			return asked(a, cmd, func(ctx context.Context, c *api.Client) (api.PluginInfo, error) { return c.PluginEnable(ctx, req) }, installed)
		},
	}
	grantFlags(cmd, &req.PluginGrant, &priority)
	return cmd
}

func (a *app) pluginDisableCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "plugin-disable ID",
		Short:   "end a plugin",
		Long:    "End a plugin, and do not run it again. What it was granted and its configuration\nstay for plugin-enable. Hooks that wait for its word go on without it.",
		Example: "  aml plugin-disable no-cats",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, given []string) error {
			return asked(a, cmd, func(ctx context.Context, c *api.Client) (api.PluginInfo, error) {
				return c.PluginDisable(ctx, api.PluginRequest{ID: given[0]})
			}, installed)
		},
	}
}

func (a *app) pluginConfigCommand() *cobra.Command {
	req := api.PluginConfigRequest{Set: map[string]string{}}
	cmd := &cobra.Command{
		Use:   "plugin-config ID [KEY=VALUE...]",
		Short: "show and set a plugin's configuration",
		Long: `Show a plugin's configuration, or set values of it: KEY=VALUE, or KEY=@FILE for
what is in a file, so that a secret is in no shell's history. The plugin is
started again with them. Secrets are kept in plugins.lock, which its owner alone
can read, and are not shown.`,
		Example: "  aml plugin-config blocklist\n  aml plugin-config blocklist lists=/etc/blocklists rules=@rules.txt\n  aml plugin-config webhook url=https://example.org/hook secret=@secret.txt\n  aml plugin-config blocklist --unset lists",
		Args:    args(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, given []string) error {
			req.ID = given[0]
			for _, kv := range given[1:] {
				key, value, err := a.setting(cmd, kv)
				if err != nil {
					return err
				}
				req.Set[key] = value
			}
			return asked(a, cmd, func(ctx context.Context, c *api.Client) ([]api.PluginSetting, error) {
				res, err := c.PluginConfig(ctx, req)
				return res.Config, err
			}, func(w io.Writer, settings []api.PluginSetting) {
				t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
				for _, s := range settings {
					value := s.Value
					switch {
					case s.Secret && s.Set:
						value = "(secret)"
					case !s.Set && s.Required:
						value = "(not set)"
					}
					fmt.Fprintf(t, "%s\t%s\t%s\n", s.Key, value, s.Doc)
				}
				t.Flush()
			})
		},
	}
	cmd.Flags().StringArrayVar(&req.Unset, "unset", nil, "take this `KEY`'s value away (repeatable)")
	return cmd
}

// setting reads KEY=VALUE, or KEY=@FILE.
func (a *app) setting(cmd *cobra.Command, kv string) (key, value string, err error) {
	key, value, ok := strings.Cut(kv, "=")
	if !ok {
		return "", "", usage(cmd, fmt.Errorf("%q: want KEY=VALUE", kv))
	}
	if file, named := strings.CutPrefix(value, "@"); named {
		doc, err := a.readInput(file)
		if err != nil {
			return "", "", err
		}
		value = strings.TrimRight(string(doc.Text), "\r\n")
	}
	return key, value, nil
}

func (a *app) pluginRemoveCommand() *cobra.Command {
	var req api.PluginRemoveRequest
	cmd := &cobra.Command{
		Use:     "plugin-remove ID",
		Short:   "end a plugin and take it away",
		Long:    "End a plugin and take it away, with what was granted to it. What it has kept in\nits own folder stays, unless --state says otherwise: that is refused where it holds keys\nthat key files of this home name, since they would be lost.",
		Example: "  aml plugin-remove no-cats\n  aml plugin-remove no-cats --state",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, given []string) error {
			req.ID = given[0]
			return asked(a, cmd, func(ctx context.Context, c *api.Client) (api.PluginRemoveRequest, error) {
				return req, c.PluginRemove(ctx, req)
			}, func(w io.Writer, gone api.PluginRemoveRequest) { fmt.Fprintf(w, "%s is removed\n", gone.ID) })
		},
	}
	cmd.Flags().BoolVar(&req.State, "state", false, "remove what it has kept, its log and its cursor too")
	cmd.Flags().BoolVar(&req.Anyway, "anyway", false, "with --state: also if it holds keys of this home")
	return cmd
}

func (a *app) pluginVerifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "plugin-verify [ID]",
		Short:   "compare plugins' files with what was installed",
		Long:    "Compare all files of a plugin, or of all plugins, with what was installed. One that\nwas changed is never run; this says which file it is, and plugin-list that there is\none. Exit code 5 if one was.",
		Example: "  aml plugin-verify\n  aml plugin-verify no-cats",
		Args:    args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, given []string) error {
			var req api.PluginRequest
			if len(given) == 1 {
				req.ID = given[0]
			}
			return asked(a, cmd, func(ctx context.Context, c *api.Client) ([]api.PluginInfo, error) {
				res, err := c.PluginVerify(ctx, req)
				return res.Plugins, err
			}, func(w io.Writer, plugins []api.PluginInfo) {
				for _, p := range plugins {
					fmt.Fprintf(w, "%s %s: as installed\n", p.ID, p.Version)
				}
			})
		},
	}
}

func (a *app) pluginLogsCommand() *cobra.Command {
	var req api.PluginLogsRequest
	cmd := &cobra.Command{
		Use:     "plugin-logs ID",
		Short:   "show what a plugin has said",
		Long:    "Show the end of what a plugin has written to its standard error, and what the node\nsays about it; with -f also what comes, as long as a daemon runs and until you interrupt\nit. Control characters are replaced; of a flood only a part is kept.",
		Example: "  aml plugin-logs no-cats\n  aml plugin-logs no-cats -f",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, given []string) error {
			req.ID = given[0]
			if req.Follow {
				return a.followLog(cmd, req)
			}
			return asked(a, cmd, func(ctx context.Context, c *api.Client) (api.PluginLogsResult, error) {
				return c.PluginLogs(ctx, req, nil)
			}, func(w io.Writer, res api.PluginLogsResult) {
				for _, line := range res.Lines {
					fmt.Fprintln(w, plain(line))
				}
			})
		},
	}
	cmd.Flags().BoolVarP(&req.Follow, "follow", "f", false, "go on with what it says from now on")
	return cmd
}

// followLog prints lines as they come, until nobody wants them any more.
func (a *app) followLog(cmd *cobra.Command, req api.PluginLogsRequest) error {
	c, err := a.connect(cmd.Context(), api.NeedDaemon) // without one nothing is said meanwhile
	if err != nil {
		return err
	}
	p := a.stream()
	ctx, end := p.finite(cmd.Context())
	defer end()
	_, err = c.PluginLogs(ctx, req, p.event)
	return closing(c, p.done(err))
}
