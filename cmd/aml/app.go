package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

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
	flags.StringArrayVar(&a.peers, "peer", nil, "peer to know beside discovery: multiaddr ending in /p2p/ID, ws:// or http(s):// URL (repeatable)")
	flags.StringArrayVar(&a.listen, "listen", nil, "multiaddr to listen on, port 0 allowed (repeatable; default loopback and LAN)")
	flags.BoolVar(&a.json, "json", a.json, "print JSON, a line per event where there are several")
	flags.StringArrayVar(&a.set, "set", nil, "`KEY=VALUE` of the configuration, as in aml init --help (repeatable)")
	flags.BoolVar(&a.punch, "punch", false, "ask peers how this node is reachable, punch holes through NATs, use relays")
	flags.BoolVar(&a.progress, "progress", false, "with --json: print progress events too")
	flags.StringVar(&a.profile, "cpuprofile", "", "write a CPU profile of this process to a file")
	_ = flags.MarkHidden("cpuprofile")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usage(cmd, err) })
	root.AddCommand(
		a.initCommand(), a.demoCommand(), a.daemonCommand(), a.statusCommand(), a.pathsCommand(),
		a.ingestCommand(), a.blobSeedCommand(), a.blobFetchCommand(), a.blobStatusCommand(),
		a.blobListCommand(), a.blobPinCommand(), a.blobUnpinCommand(), a.blobGCCommand(), a.blobScrubCommand(),
		a.blobExportCommand(), a.blobImportCommand(), a.blobPushHTTPCommand(),
		a.channelCreateCommand(), a.channelPublishCommand(), a.channelSubscribeCommand(),
		a.channelUnsubscribeCommand(), a.channelListCommand(), a.channelShowCommand(),
		a.channelStatusCommand(), a.channelRetractCommand(), a.channelRetainCommand(),
		a.channelBrowseCommand(), a.searchCommand(),
		a.channelSetCommand(), a.channelTrustCommand(), a.channelExportCommand(), a.channelImportCommand(),
		a.channelMemberAddCommand(), a.channelMemberRemoveCommand(), a.channelMemberListCommand(), a.keyMemberCommand(),
		a.channelRootDraftCommand(), a.channelRootSignCommand(), a.channelRootPublishCommand(),
		a.channelRotateCommand(), a.channelDelegateCommand(), a.channelRevokeCommand(),
		a.pluginInstallCommand(), a.pluginListCommand(), a.pluginEnableCommand(), a.pluginDisableCommand(),
		a.pluginConfigCommand(), a.pluginRemoveCommand(), a.pluginVerifyCommand(), a.pluginLogsCommand(),
		a.bridgeNATSCommand(), a.bridgeNATSDeadCommand(),
		a.keyNewCommand(), a.keyShowCommand(), a.versionCommand(),
	)
	strict(root)
	complete(root)
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
	c, err := api.Open(ctx, cfg, need)
	if err == nil && c.Remote() {
		if err := a.unserved(); err != nil {
			return nil, closing(c, err)
		}
		a.warnOfUnheard()
	}
	return c, err
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
		if err := notEmpty(cmd); err != nil || a.profile == "" {
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

// notEmpty refuses flags whose value is empty and means nothing then: a variable
// of a script was not set, and the folder one happens to be in is not what was
// meant.
func notEmpty(cmd *cobra.Command) (err error) {
	cmd.Flags().Visit(func(f *pflag.Flag) {
		many, _ := f.Value.(pflag.SliceValue)
		switch f.Name {
		case "input", "output", "key", "home", "peer", "listen", "target", "erasure":
			if f.Value.String() == "" || many != nil && slices.Contains(many.GetSlice(), "") {
				err = usage(cmd, fmt.Errorf("--%s is empty", f.Name))
			}
		}
	})
	return err
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

// exitCodes are the ones that the README names.
var exitCodes = map[api.Code]int{
	api.CodeFailure: 1, api.CodeUsage: 2, api.CodeNoDaemon: 3,
	api.CodeNotFound: 4, api.CodeVerify: 5, api.CodeInterrupted: 130,
}

// onlyStop reports whether err says nothing but that ctx ended.
func onlyStop(ctx context.Context, err error) bool {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range many.Unwrap() {
			if !onlyStop(ctx, e) {
				return false
			}
		}
		return true
	}
	var e *api.Error
	if errors.As(err, &e) && e.Code == api.CodeInterrupted {
		return true
	}
	return errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(ctx))
}

func (a *app) codeOf(err error) api.Code {
	var e *api.Error
	switch {
	case errors.As(err, &e):
		if _, ok := exitCodes[e.Code]; ok {
			return e.Code
		}
	case strings.HasPrefix(err.Error(), "unknown command"):
		return api.CodeUsage
	case errors.Is(err, os.ErrNotExist):
		return api.CodeNotFound
	}
	return api.CodeFailure
}

func (a *app) printError(code api.Code, err error) {
	if code == api.CodeInterrupted {
		err = errors.New("interrupted")
	}
	if a.json {
		line, _ := json.Marshal(api.Error{Code: code, Message: err.Error()})
		fmt.Fprintf(a.err, "%s\n", line)
		return
	}
	fmt.Fprintf(a.err, "aml: %v\n", err)
}

// usage turns an error into one that also says where the help is.
func usage(cmd *cobra.Command, err error) error {
	return usageError("%v\nSee `%s --help`.", err, cmd.CommandPath())
}

func usageError(format string, args ...any) error {
	return &api.Error{Code: api.CodeUsage, Message: fmt.Sprintf(format, args...)}
}

// noArgs is for a command that has flags alone.
func noArgs(cmd *cobra.Command, given []string) error {
	if len(given) == 0 {
		return nil
	}
	err := fmt.Errorf("%s takes no arguments, but got %q", cmd.CommandPath(), given[0])
	if name := optional(cmd); name != "" {
		err = fmt.Errorf("%w; did you mean --%s=%s?", err, name, given[0])
	} else if cmd.Flags().ShorthandLookup("i") != nil {
		err = fmt.Errorf("%w; did you mean -i %s?", err, given[0])
	}
	return usage(cmd, err)
}

// optional returns the name of a flag that was given without the value that it
// may have: one that stands apart is taken for an argument.
func optional(cmd *cobra.Command) (name string) {
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if f.NoOptDefVal != "" && f.Value.Type() == "string" && f.Value.String() == f.NoOptDefVal {
			name = f.Name
		}
	})
	return name
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

// args wraps one of cobra's checks so that its error is a usage error.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		if err := check(cmd, given); err != nil {
			return usage(cmd, err)
		}
		return nil
	}
}

// absolute makes path absolute, because a running node has another working
// folder.
func absolute(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("path %q: %w", path, err)
	}
	return abs, nil
}

// maxInput bounds a JSON document that a command reads.
const maxInput = 16 << 20

// readInput reads a whole small document from the file path, or from standard
// input if path is "-". What is in it the node checks.
func (a *app) readInput(path string) (doc api.Document, err error) {
	r, name := a.in, "standard input"
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return doc, fmt.Errorf("reading input: %w", err)
		}
		defer f.Close()
		r, name = f, path
	}
	text, err := io.ReadAll(io.LimitReader(r, maxInput+1))
	if err != nil {
		return doc, fmt.Errorf("reading input %s: %w", name, err)
	}
	if len(text) > maxInput {
		return doc, fmt.Errorf("reading input %s: over %s", name, config.FormatSize(maxInput))
	}
	return api.Document{Name: name, Text: text}, nil
}
