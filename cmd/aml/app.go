package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime/pprof"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/anonymous-media-library/aml/config"
	"github.com/anonymous-media-library/aml/node/api"
)

// app is one run of the program: its streams and the flags that every command
// has. Data goes to out; all else, progress and errors, goes to err.
type app struct {
	in       io.Reader
	out, err io.Writer

	json     bool
	progress bool // with json: progress events too
	home     string
	peers    []string
	listen   []string
	set      []string // KEY=VALUE
	punch    bool
	bridges  map[string]*string // what --ws and --http say, by configuration key

	serving bool // the command has done its work and goes on until it is stopped

	profile string // file for a CPU profile, for developers
}

func newApp(in io.Reader, out, err io.Writer) *app { return &app{in: in, out: out, err: err} }

// run executes args, prints the error if there is one, and returns the exit
// code.
func (a *app) run(ctx context.Context, args []string) int {
	root := a.command()
	a.json = slices.Contains(args, "--json") // also for errors of parsing
	root.SetArgs(args)
	root.SetIn(a.in)
	help := &noting{w: a.out} // cobra does not look whether its words got out
	root.SetOut(help)
	root.SetErr(a.err)
	stop := a.begins(root)
	err := errors.Join(root.ExecuteContext(ctx), stop(), help.err)
	stopped := err != nil && ctx.Err() != nil && onlyStop(ctx, err)
	if err == nil || stopped && a.serving && context.Cause(ctx) == errTerminated {
		return 0
	}
	code := a.codeOf(err)
	if stopped {
		code = api.CodeInterrupted
	}
	a.printError(code, err)
	return exitCodes[code]
}

func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "aml",
		Short: "publish files to signed channels, and follow channels",
		Long: `aml publishes files to signed channels. Whoever follows a channel gets every
release, verified, from whoever has it, whether or not the publisher is online.
Those who host the bytes cannot read them.`,
		Example: `  aml demo                                  see it work on this machine
  aml channel-publish music/live show.flac  publish a file, print the channel's address
  aml channel-subscribe aml://... -o live   follow a channel into a folder`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		DisableAutoGenTag: true,
	}
	flags := root.PersistentFlags()
	flags.StringVar(&a.home, "home", "", "folder of this node's keys, blobs and catalogue (default $AML_HOME, else XDG)")
	flags.StringArrayVar(&a.peers, "peer", nil, "peer to know beside discovery, and to ask before a channel is changed: multiaddr ending in /p2p/ID, ws:// or http(s):// URL (repeatable)")
	flags.StringArrayVar(&a.listen, "listen", nil, "multiaddr to listen on, port 0 allowed (repeatable; default loopback and LAN)")
	flags.BoolVar(&a.json, "json", a.json, "print JSON, a line per event where there are several")
	flags.StringArrayVar(&a.set, "set", nil, "`KEY=VALUE` of the configuration, as in aml init --help (repeatable)")
	flags.BoolVar(&a.punch, "punch", false, "ask peers how this node is reachable, punch holes through NATs, use relays")
	flags.BoolVar(&a.progress, "progress", false, "with --json: print progress events too")
	flags.StringVar(&a.profile, "cpuprofile", "", "write a CPU profile of this process to a file")
	_ = flags.MarkHidden("cpuprofile")
	root.SetFlagErrorFunc(badFlag)
	root.AddCommand(
		a.initCommand(), a.demoCommand(), a.daemonCommand(), a.statusCommand(), a.pathsCommand(),
		a.ingestCommand(), a.blobSeedCommand(), a.blobFetchCommand(), a.blobStatusCommand(),
		a.blobListCommand(), a.blobPinCommand(), a.blobUnpinCommand(), a.blobGCCommand(), a.blobScrubCommand(),
		a.blobExportCommand(), a.blobImportCommand(), a.blobPushHTTPCommand(), a.blobPushPluginCommand(), a.blobPullPluginCommand(),
		a.channelCreateCommand(), a.channelPublishCommand(), a.channelSubscribeCommand(),
		a.channelUnsubscribeCommand(), a.channelListCommand(), a.channelShowCommand(),
		a.channelStatusCommand(), a.channelRetractCommand(), a.channelRetainCommand(),
		a.channelBrowseCommand(), a.searchCommand(),
		a.channelSetCommand(), a.channelTrustCommand(), a.channelExportCommand(), a.channelImportCommand(),
		a.channelMemberAddCommand(), a.channelMemberRemoveCommand(), a.channelMemberListCommand(), a.keyMemberCommand(),
		a.channelRootDraftCommand(), a.channelRootSignCommand(), a.channelRootPublishCommand(),
		a.channelRotateCommand(), a.channelDelegateCommand(), a.channelRevokeCommand(),
		a.pluginInstallCommand(), a.pluginListCommand(), a.pluginEnableCommand(), a.pluginDisableCommand(),
		a.pluginConfigCommand(), a.pluginRemoveCommand(), a.pluginVerifyCommand(), a.pluginLogsCommand(), a.pluginNewCommand(), a.pluginTestCommand(),
		a.sourceAddCommand(), a.sourceListCommand(), a.sourceRemoveCommand(), a.sourcePollCommand(),
		a.documentAddCommand(), a.documentListCommand(), a.documentRemoveCommand(), a.documentRenderCommand(),
		a.updateCheckCommand(), a.updateApplyCommand(),
		a.bridgeNATSCommand(), a.bridgeNATSDeadCommand(),
		a.mirrorCommand(), a.mirrorStatusCommand(),
		a.mirrorAddCommand(), a.mirrorListCommand(), a.mirrorPushCommand(), a.mirrorRemoveCommand(),
		a.keyNewCommand(), a.keyShowCommand(), a.versionCommand(),
	)
	strict(root)
	complete(root)
	a.completeArgs(root)
	a.completePluginFlags(root)
	return root
}

// serves adds the flags of a command that serves blobs to others than libp2p's
// peers as well.
func (a *app) serves(cmd *cobra.Command) {
	if a.bridges == nil { // the flags of all such commands share them
		a.bridges = map[string]*string{"ws": new(string), "http": new(string)}
	}
	cmd.Flags().StringVar(a.bridges["ws"], "ws", "", "serve by WebSocket too, at this port or HOST:PORT, 0 for a free port")
	cmd.Flags().StringVar(a.bridges["http"], "http", "", "serve by HTTP too, at this port or HOST:PORT, 0 for a free port")
	cmd.Flags().Lookup("ws").NoOptDefVal = "6881"
	cmd.Flags().Lookup("http").NoOptDefVal = "8080"
}

// config loads the configuration with this run's flags on top.
func (a *app) config() (config.Config, error) {
	flags := config.Flags{Home: a.home, Values: map[string]any{}}
	for _, kv := range a.set {
		key, value, ok := strings.Cut(kv, "=")
		if !ok {
			return config.Config{}, usageError("--set %q: want KEY=VALUE", kv)
		}
		flags.Values[key] = value
	}
	if a.listen != nil {
		flags.Values["listen"] = a.listen
	}
	if a.peers != nil {
		flags.Values["peer"] = a.peers
	}
	if a.punch {
		flags.Values["punch"] = true
	}
	for key, value := range a.bridges {
		if *value != "" {
			flags.Values[key] = *value
		}
	}
	cfg, err := config.Load(flags)
	if err != nil {
		return config.Config{}, &api.Error{Code: api.CodeUsage, Message: err.Error()}
	}
	return cfg, api.CheckConfig(cfg)
}

// connect opens the node of this home: the running one, or one in this process.
func (a *app) connect(ctx context.Context, need api.Need) (*api.Client, error) {
	cfg, err := a.config()
	if err != nil {
		return nil, err
	}
	if len(a.peers) > 0 && (need == api.NeedStore || need == api.NeedDaemon) {
		a.warn("--peer is not used: nobody is asked for this")
	}
	c, err := api.Open(ctx, cfg, need)
	if err == nil && c.Remote() {
		if err := a.unserved(); err != nil {
			return nil, closing(c, err)
		}
		a.warnOfUnheard()
	}
	return c, err
}

// askingNeed is what a command wants that signs for a channel: the network where
// --peer names followers, who are asked first whether there is more of it.
func (a *app) askingNeed() api.Need {
	if len(a.peers) > 0 {
		return api.NeedNetwork
	}
	return api.NeedStore
}

// existing is connect for a command that makes no sense without a home: one that
// was named and is not there is not made.
func (a *app) existing(ctx context.Context) (*api.Client, error) {
	if a.home != "" {
		if _, err := os.Stat(a.home); errors.Is(err, os.ErrNotExist) {
			return nil, &api.Error{Code: api.CodeNotFound, Message: fmt.Sprintf("there is no home %s; aml init makes one", a.home)}
		}
	}
	return a.connect(ctx, api.NeedStore)
}

// asked asks the node of a home that is there for one thing, and prints the answer.
func asked[R any](a *app, cmd *cobra.Command, ask func(context.Context, *api.Client) (R, error), text func(io.Writer, R)) error {
	c, err := a.existing(cmd.Context())
	if err != nil {
		return err
	}
	res, err := ask(cmd.Context(), c)
	if err = closing(c, err); err != nil {
		return err
	}
	return a.result(res, func(w io.Writer) { text(w, res) })
}

// unserved is an error if this command was to serve otherwise than the node does
// that runs already: whoever relied on it would wait in vain.
func (a *app) unserved() error {
	for _, key := range slices.Sorted(maps.Keys(a.bridges)) {
		if *a.bridges[key] != "" {
			return usageError("a node runs on this home already, and --%s is for that: start it with `aml daemon --%s`, or leave it out here", key, key)
		}
	}
	return nil
}

// warnOfUnheard says which flags a node that runs already does not hear.
func (a *app) warnOfUnheard() {
	var flags []string
	if len(a.set) > 0 {
		flags = append(flags, "--set")
	}
	if len(a.listen) > 0 {
		flags = append(flags, "--listen")
	}
	if a.punch {
		flags = append(flags, "--punch")
	}
	if len(flags) > 0 {
		a.warn(fmt.Sprintf("a node runs on this home already and does not hear of %s; restart it with that", strings.Join(flags, ", ")))
	}
}

// warn says something that does not end the command.
func (a *app) warn(message string) {
	if a.json {
		line, _ := json.Marshal(map[string]string{"event": "warning", "message": message})
		fmt.Fprintf(a.err, "%s\n", line)
		return
	}
	fmt.Fprintf(a.err, "aml: %s\n", message)
}

// begins sets what comes before each command: its flags are looked at, and a CPU
// profile starts if one was asked for; the function it returns ends that.
func (a *app) begins(root *cobra.Command) (stop func() error) {
	var file *os.File
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) (err error) {
		if err := errors.Join(notEmpty(cmd), inUTF8(cmd)); err != nil || a.profile == "" {
			return err
		}
		if file, err = os.Create(a.profile); err != nil {
			return fmt.Errorf("writing a CPU profile: %w", err)
		}
		return pprof.StartCPUProfile(file)
	}
	return func() error {
		if file == nil {
			return nil
		}
		pprof.StopCPUProfile()
		return file.Close()
	}
}

// noting is a writer that remembers that it failed.
type noting struct {
	w   io.Writer
	err error
}

func (n *noting) Write(p []byte) (int, error) {
	if n.err != nil {
		return 0, n.err
	}
	written, err := n.w.Write(p)
	if err != nil {
		n.err = fmt.Errorf("writing output: %w", err)
	}
	return written, err
}

// strict makes cobra's own commands refuse what they do not know, instead of
// showing help with exit code 0.
func strict(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "help":
			cmd.Example = "  aml help ingest"
			cmd.Args = func(cmd *cobra.Command, given []string) error {
				if found, rest, err := root.Find(given); err != nil || found == root && len(rest) > 0 {
					return usage(root, fmt.Errorf("no command %q", strings.Join(given, " ")))
				}
				return nil
			}
		case "completion":
			cmd.Example = "  aml completion bash > /etc/bash_completion.d/aml"
			for _, shell := range cmd.Commands() {
				shell.Example = "  aml completion " + shell.Name()
			}
			cmd.RunE = func(cmd *cobra.Command, given []string) error {
				return usage(cmd, fmt.Errorf("for which shell? bash, zsh, fish or powershell"))
			}
		}
	}
}
