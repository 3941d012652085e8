// Package confine starts a program with as little around it as the system
// allows: bounded memory and files, no other files than those named, no network
// and no further processes unless that is said.
//
// It is a step between fork and the program: the host starts its own binary
// again with Verb, Main takes rights away from itself and becomes the program.
// So nothing of the program ever runs with more. It must never start anything
// by itself, and knows nothing of plugins.
package confine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// maxBusy is how often a program is tried whose file somebody still writes: another
// thread of the host that forks at that moment may hold it open until its own exec.
const maxBusy = 50

// Verb is the argument by which a program that calls Main is told to.
const Verb = "plugin-launch"

// envSpec carries the Spec to Main, which takes it out of the environment.
const envSpec = "AML_PLUGIN_LAUNCH"

// Spec is a program and what it may do.
type Spec struct {
	Path string   `json:"path"`
	Args []string `json:"args,omitempty"` // without the program's name
	Dir  string   `json:"dir"`            // to run in

	Memory   int64 `json:"memory"`   // bytes of writable memory of one process
	Open     int   `json:"open"`     // open files
	FileSize int64 `json:"fileSize"` // of a file that it writes
	Tasks    int   `json:"tasks"`    // processes and threads, where the system counts them apart

	Network bool `json:"network"` // sockets other than the one it is called by
	Spawn   bool `json:"spawn"`   // processes beside itself
	// AllFiles lifts the bounds of Read and Write.
	AllFiles bool     `json:"allFiles"`
	Read     []string `json:"read,omitempty"` // files and folders, beside those of the system
	Write    []string `json:"write,omitempty"`
}

// Self is what starts the program that runs again. On Linux that is the one that
// runs also where its file has been replaced since.
func Self() (string, error) {
	const running = "/proc/self/exe"
	if runtime.GOOS == "linux" {
		if _, err := os.Stat(running); err == nil {
			return running, nil
		}
	}
	return os.Executable()
}

// Command is how the program is started, with env as its whole environment, by
// launcher, an argv that ends in Main. Attributes come in addition.
func (s Spec) Command(launcher, env []string) (*exec.Cmd, error) {
	if !launched || len(launcher) == 0 {
		cmd := exec.Command(s.Path, s.Args...)
		cmd.Dir, cmd.Env = s.Dir, env
		return cmd, nil
	}
	text, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("confining %s: %w", s.Path, err)
	}
	cmd := exec.Command(launcher[0], launcher[1:]...)
	cmd.Env = append(env, envSpec+"="+string(text))
	return cmd, nil
}

// Main becomes the program that the environment names, confined. It returns only
// if that fails. Call it first thing in main when Verb is the argument.
func Main() error {
	var spec Spec
	text, ok := os.LookupEnv(envSpec)
	if !ok {
		return errors.New("this is for aml itself: it starts plugins so")
	}
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		return fmt.Errorf("confining a plugin: %w", err)
	}
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, envSpec+"=") {
			env = append(env, kv)
		}
	}
	if err := os.Chdir(spec.Dir); err != nil {
		return fmt.Errorf("confining a plugin: %w", err)
	}
	if err := restrict(spec); err != nil {
		return fmt.Errorf("confining it: %w", err)
	}
	err := become(spec, append([]string{spec.Path}, spec.Args...), env)
	switch name := filepath.Base(spec.Path); {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("starting %s: %w: it, or the interpreter that its first line names", name, err)
	case unreadable(err):
		return fmt.Errorf("starting %s: %w: no program for this system, nor a script whose first line names an interpreter", name, err)
	default:
		return fmt.Errorf("starting %s: %w", name, err)
	}
}

// Powers says what this system can enforce.
type Powers struct {
	Limits    bool `json:"limits"`    // memory, open files
	Files     bool `json:"files"`     // no files but those named
	Network   bool `json:"network"`   // no sockets
	Processes bool `json:"processes"` // no further processes
	Parent    bool `json:"parent"`    // ends with the host, however that ends
}

// Missing names what cannot be enforced, for people; empty: nothing.
func (p Powers) Missing() []string {
	var out []string
	for _, one := range []struct {
		has  bool
		name string
	}{{p.Limits, "limits"}, {p.Files, "files"}, {p.Network, "network"}, {p.Processes, "processes"}, {p.Parent, "end with the host"}} {
		if !one.has {
			out = append(out, one.name)
		}
	}
	return out
}
