package main

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	testscript.Main(m, map[string]func(){"aml": main})
}

// TestScripts runs testdata/script/*.txt, a file per feature. Each has a home
// of its own and stays on loopback.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		// exitcode N COMMAND... runs it and wants that exit code.
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exitcode": exitcode},
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
