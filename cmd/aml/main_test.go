package main

import (
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/anonymous-media-library/aml/channel/keyfile"
	"github.com/anonymous-media-library/aml/internal/natslab"
	"github.com/anonymous-media-library/aml/plugins/bundled"
	"github.com/anonymous-media-library/aml/plugins/confine"
	"github.com/anonymous-media-library/aml/plugins/sdk"
)

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" || len(os.Args) > 1 && (os.Args[1] == confine.Verb || os.Args[1] == bundled.Verb) {
		main()
	}
	if len(os.Args) > 1 && os.Args[1] == beLabeller {
		labeller()
		os.Exit(0)
	}
	if len(os.Args) > 2 && os.Args[1] == beDripper {
		sdk.Serve(sdk.Plugin{ID: os.Args[2], Version: "1.0.0", Source: dripper{}})
		os.Exit(0)
	}
	if len(os.Args) > 1 && os.Args[1] == "be-a-plugin" {
		bePlugin(os.Args[2:])
		os.Exit(0)
	}
	natslab.Main()
	manyAtOnce()
	testscript.Main(m, map[string]func(){"aml": main})
}

// manyAtOnce has twice as many tests run at once as there are processors, unless
// -parallel says otherwise: they are of processes that wait for one another. Under the
// race detector they are busy enough, and others run beside them.
func manyAtOnce() {
	if underRace {
		return
	}
	_ = flag.Set("test.parallel", strconv.Itoa(2*runtime.GOMAXPROCS(0))) // the flag is there: this is a test
}

// TestScripts runs testdata/script/*.txt, a file per feature. Each has a home
// of its own and stays on loopback.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		// exitcode N COMMAND... runs it and wants that exit code; public NAME FILE
		// sets NAME to a key's public half; rootkey NAME does it for the root key of
		// the home's only channel, sets NAMEFILE to its file, and CHANNEL. plugin DIR makes
		// DIR, which has a plugin.yaml, a plugin.
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exitcode": exitcode, "public": public, "rootkey": rootKey, "plugin": writePlugin},
		Setup: func(env *testscript.Env) error {
			env.Setenv("AML_HOME", env.WorkDir+"/home")
			env.Setenv("AML_LAN", "false")
			env.Setenv("AML_LISTEN", "/ip4/127.0.0.1/tcp/0")
			env.Setenv("HOME", env.WorkDir)
			return nil
		},
	})
}

func exitcode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exitcode N COMMAND [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func public(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: public NAME FILE")
	}
	key, err := keyfile.Load(ts.MkAbs(args[1]))
	ts.Check(err)
	ts.Setenv(args[0], key.Public().String())
}

func rootKey(ts *testscript.TestScript, neg bool, args []string) {
	files, err := filepath.Glob(filepath.Join(ts.Getenv("AML_HOME"), "keys", "root-*.pem"))
	ts.Check(err)
	if neg || len(args) != 1 || len(files) != 1 {
		ts.Fatalf("usage: rootkey NAME, in a home with one root key")
	}
	public(ts, false, []string{args[0], files[0]})
	ts.Setenv(args[0]+"FILE", filepath.Base(files[0]))
	ts.Check(ts.Exec("aml", "channel-list"))
	for _, word := range strings.Fields(ts.ReadFile("stdout")) {
		if strings.HasPrefix(word, "aml://") {
			ts.Setenv("CHANNEL", word)
		}
	}
}
