package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/mod/modfile"

	"github.com/anonymous-media-library/aml/internal/unpack"
	"github.com/anonymous-media-library/aml/node/api"
	"github.com/anonymous-media-library/aml/plugins"
	"github.com/anonymous-media-library/aml/plugins/bundled"
	"github.com/anonymous-media-library/aml/plugins/confine"
	"github.com/anonymous-media-library/aml/plugins/kit"
	"github.com/anonymous-media-library/aml/plugins/skeleton"
)

// What authors of plugins need works without a node, and touches no home.

// newPlugin is what plugin-new has written.
type newPlugin struct {
	Folder string   `json:"folder"`
	Files  []string `json:"files"`
}

func (a *app) pluginNewCommand() *cobra.Command {
	var hooks []string
	var lang, dir, source string
	cmd := &cobra.Command{
		Use:   "plugin-new NAME --hooks HOOK,...",
		Short: "write the beginning of a plugin",
		Long: `Write a folder with the beginning of a plugin: a program with the hooks that you
name, its plugin.yaml, and a test. It builds and passes plugin-test as it is. Hooks are
FilterManifest, PlanFetch, ScanContent, BeforePublish, Source, Mirror, Render, Sign and
Observe; docs/plugins.md says when each is called. --lang python writes it in Python,
with the SDK in the folder. --aml names a folder with the source of aml, for Go, where
its module is not to be had from a proxy.`,
		Example: "  aml plugin-new no-dogs --hooks FilterManifest\n  aml plugin-new watcher --hooks Observe,Render --lang go -o plugins/watcher\n  aml plugin-new no-dogs --hooks FilterManifest --lang python",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, given []string) (err error) {
			write, next := skeleton.Go, "go mod tidy && go test . && CGO_ENABLED=0 go build -o plugin ."
			switch lang {
			case "go":
			case "python":
				write, next = skeleton.Python, "python3 -m unittest"
			default:
				return usage(cmd, fmt.Errorf("--lang %q: there are go and python", lang))
			}
			spec := skeleton.Spec{ID: given[0], Replace: source, Platform: runtime.GOOS + "/" + runtime.GOARCH}
			for _, h := range hooks {
				spec.Hooks = append(spec.Hooks, plugins.Hook(h))
			}
			if info, ok := debug.ReadBuildInfo(); ok && strings.HasPrefix(info.Main.Version, "v") && !strings.Contains(info.Main.Version, "+") {
				spec.Version = info.Main.Version
			}
			if source != "" {
				if spec.Replace, err = absolute(source); err != nil {
					return err
				}
				if err := isSource(spec.Replace); err != nil {
					return usage(cmd, fmt.Errorf("--aml %s: %w", source, err))
				}
				spec.Version = "v0.0.0"
			}
			files, err := write(spec)
			if err != nil {
				return usage(cmd, err)
			}
			if dir == "" {
				dir = given[0]
			}
			if dir, err = absolute(dir); err != nil {
				return err
			}
			res := newPlugin{Folder: dir, Files: slices.Sorted(maps.Keys(files))}
			if err := writeNew(dir, files); err != nil {
				return err
			}
			return a.result(res, func(w io.Writer) {
				fmt.Fprintf(w, "%s: %s\nnext: cd %s && %s && aml plugin-test .\n", res.Folder, strings.Join(res.Files, ", "), res.Folder, next)
			})
		},
	}
	cmd.Flags().StringSliceVar(&hooks, "hooks", nil, "hooks that it has, with commas between them")
	cmd.Flags().StringVar(&lang, "lang", "go", "language: go or python")
	cmd.Flags().StringVarP(&dir, "output", "o", "", "folder to write (default NAME)")
	cmd.Flags().StringVar(&source, "aml", "", "`FOLDER` with the source of aml, for go.mod (default the released module)")
	return cmd
}

// isSource refuses a folder that has not the source of aml.
func isSource(dir string) error {
	f, err := os.Open(filepath.Join(dir, "go.mod"))
	if err != nil {
		return fmt.Errorf("want a folder with the source of aml: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 1<<20))
	if err != nil {
		return err
	}
	if name := modfile.ModulePath(text); name != skeleton.Module {
		return fmt.Errorf("want a folder with the source of aml; it has the module %s", name)
	}
	return nil
}

// writeNew writes files into a folder that is empty or not there.
func writeNew(dir string, files map[string][]byte) error {
	if there, err := os.ReadDir(dir); err == nil && len(there) > 0 {
		return fmt.Errorf("%s is not empty", dir)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, text := range files {
		mode := fs.FileMode(0o644)
		if bytes.HasPrefix(text, []byte("#!")) {
			mode = 0o755
		}
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
		if err == nil {
			_, err = f.Write(text)
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// errNonconforming: a plugin did something for which a node would end it, or that
// the protocol forbids.
var errNonconforming = errors.New("the plugin does not keep to the rules")

func (a *app) pluginTestCommand() *cobra.Command {
	cfg := kit.Config{Settings: map[string]string{}}
	var withhold []string
	cmd := &cobra.Command{
		Use:   "plugin-test DIR|FILE|bundled:ID [KEY=VALUE...]",
		Short: "test a plugin as a node would run it",
		Long: `Run a plugin as a node does, confined and within its deadlines, with all that it asks
for, and call every hook that it declares: with usual input, with the largest and
the oddest that a node could verify, several at a time, and cancelled. Each check is
printed; the exit code is 1 if one failed, and then the end of the plugin's log is
shown. What was left out is said in a line: a Source without --from, which should be
small, a hook whose capability is withheld, a Sign without keys. KEY=VALUE, or
KEY=@FILE, is its configuration. Nothing of your home is touched, and nothing is published; what the plugin itself
does with what it was granted it does.`,
		Example: "  aml plugin-test ./no-dogs\n  aml plugin-test bundled:podcast --from /srv/episodes\n  aml plugin-test ./tagger greeting=hi --withhold network --slow 10",
		Args:    args(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, given []string) (err error) {
			if id, ok := strings.CutPrefix(given[0], api.BundledMark); ok {
				cfg.Bundled, cfg.Carried = id, bundled.Manifests()
			} else if cfg.Path, err = absolute(given[0]); err != nil {
				return err
			}
			for _, kv := range given[1:] {
				key, value, err := a.setting(cmd, kv)
				if err != nil {
					return err
				}
				cfg.Settings[key] = value
			}
			for i, path := range cfg.Paths {
				if cfg.Paths[i], err = absolute(path); err != nil {
					return err
				}
			}
			for _, c := range withhold {
				if plugins.Capability(c).Proto() == 0 {
					return usage(cmd, fmt.Errorf("--withhold %q: there are %v", c, plugins.Capabilities()))
				}
				cfg.Withhold = append(cfg.Withhold, plugins.Capability(c))
			}
			if cfg.Slow < 1 {
				return usage(cmd, fmt.Errorf("--slow %d: want 1 or more", cfg.Slow))
			}
			if cfg.Program, err = confine.Self(); err != nil {
				return err
			}
			cfg.Launcher = []string{cfg.Program, confine.Verb}
			if !a.json {
				cfg.Report = func(c kit.Check) { printCheck(a.out, c) }
			}
			res, err := kit.Run(cmd.Context(), cfg)
			for _, wrong := range []error{plugins.ErrManifest, plugins.ErrFolder, plugins.ErrConfig, unpack.ErrArchive} {
				if errors.Is(err, wrong) { // what was given on the command line
					return usageError("%v", err)
				}
			}
			if err != nil {
				return err
			}
			if err := a.result(res, func(w io.Writer) {
				for _, line := range res.Log {
					fmt.Fprintln(w, "  | "+plain(line))
				}
				for _, l := range res.Left {
					fmt.Fprintf(w, "left out: %s: %s\n", l.Hook, l.Why)
				}
				fmt.Fprintf(w, "%s %s: %d checks, %d failed\n", res.ID, res.Version, len(res.Checks), res.Failed)
			}); err != nil {
				return err
			}
			if res.Failed > 0 {
				return fmt.Errorf("%s: %w: %d of %d checks failed", res.ID, errNonconforming, res.Failed, len(res.Checks))
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&cfg.From, "from", "", "what a Source is polled with (default it is not polled)")
	cmd.Flags().StringArrayVar(&cfg.Paths, "path", nil, "file or folder that the capability files opens (repeatable; default all)")
	cmd.Flags().StringSliceVar(&withhold, "withhold", nil, "capabilities that it is not granted")
	cmd.Flags().IntVar(&cfg.Slow, "slow", 1, "deadlines are so many times a node's, for a machine under load")
	return cmd
}

func printCheck(w io.Writer, c kit.Check) {
	state := "ok  "
	if !c.OK {
		state = "FAIL"
	}
	fmt.Fprintf(w, "%s %s: %s (%s)\n", state, c.Hook, c.Name, c.Took)
	if c.Reason != "" {
		fmt.Fprintf(w, "     %s\n", c.Reason)
	}
}
