package confine

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain is the launcher too, and the program that tries what it may.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == Verb {
		if len(os.Args) > 2 && os.Args[2] == "restless" {
			grow()
		}
		fmt.Println("launch:", Main())
		os.Exit(1)
	}
	if len(os.Args) > 2 && os.Args[1] == "attempt" {
		if err := attempts[os.Args[2]](os.Args[3:]); err != nil {
			fmt.Println(err)
			os.Exit(3)
		}
		fmt.Println("done")
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// grow lets this process ask the system for memory and threads without end.
func grow() {
	for range 4 {
		go func() {
			for {
				ended := make(chan struct{})
				go func() {
					runtime.LockOSThread() // ends its thread
					close(ended)
				}()
				b := make([]byte, 1<<20)
				for i := 0; i < len(b); i += 4 << 10 {
					b[i] = 1
				}
				<-ended
			}
		}()
	}
}

// attempts are what a hostile program may try.
var attempts = map[string]func(args []string) error{
	"nothing": func([]string) error { return nil },
	"read":    func(args []string) error { _, err := os.ReadFile(args[0]); return err },
	"write":   func(args []string) error { return os.WriteFile(args[0], []byte("x"), 0o600) },
	"list":    func(args []string) error { _, err := os.ReadDir(args[0]); return err },
	"remove":  func(args []string) error { return os.Remove(args[0]) },
	"listen": func([]string) error {
		_, err := net.Listen("tcp", "127.0.0.1:0")
		return err
	},
	"dial-unix": func(args []string) error {
		_, err := net.Dial("unix", args[0])
		return err
	},
	"fork": func([]string) error { return exec.Command(os.Args[0], "attempt", "nothing").Run() },
	"kill": func(args []string) error {
		var pid int
		fmt.Sscan(args[0], &pid)
		return syscall.Kill(pid, syscall.SIGTERM)
	},
	"eat": func([]string) error {
		var kept [][]byte
		for range 64 {
			b := make([]byte, 16<<20)
			for i := 0; i < len(b); i += 4 << 10 {
				b[i] = 1
			}
			kept = append(kept, b)
		}
		runtime.KeepAlive(kept)
		return nil
	},
	"chmod": func(args []string) error { return os.Chmod(args[0], 0o600) },
	"datagram": func([]string) error {
		_, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_DGRAM, 0)
		return err
	},
	"share": func([]string) error {
		_, err := syscall.Mmap(-1, 0, 1<<20, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED|syscall.MAP_ANON)
		return err
	},
	"slow-down": func(args []string) error { // to what it is already
		var pid int
		fmt.Sscan(args[0], &pid)
		nice, err := syscall.Getpriority(syscall.PRIO_PROCESS, pid)
		if err != nil {
			return err
		}
		return syscall.Setpriority(syscall.PRIO_PROCESS, pid, 20-nice) // the kernel's number to ours
	},
	"open-many": func(args []string) error {
		for range 200 {
			f, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
		}
		return nil
	},
	"write-much": func(args []string) error {
		return os.WriteFile(args[0], make([]byte, 2<<20), 0o600)
	},
	"env": func([]string) error {
		if v, ok := os.LookupEnv(envSpec); ok || os.Getenv("HOME") != "" {
			return fmt.Errorf("environment has %q and HOME %q", v, os.Getenv("HOME"))
		}
		return nil
	},
}

// attempt runs one confined, and returns what it said.
func attempt(t *testing.T, s Spec, spaces bool, name string, args ...string) (string, error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s.Path, s.Args = self, append([]string{"attempt", name}, args...)
	cmd, err := s.Command([]string{self, Verb}, []string{"TEST=1"})
	if err != nil {
		t.Fatal(err)
	}
	Attributes(cmd, s, spaces)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// spacesWork reports whether this system lets us have namespaces.
func spacesWork(t *testing.T, s Spec) bool {
	t.Helper()
	out, err := attempt(t, s, true, "nothing")
	if err != nil {
		t.Logf("no namespaces here: %v %s", err, out)
	}
	return err == nil
}

func TestAProgramHasWhatItWasGivenAndNothingElse(t *testing.T) {
	dir, own := t.TempDir(), t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	tight := Spec{Dir: own, Memory: 768 << 20, Open: 64, FileSize: 1 << 20, Tasks: 64, Write: []string{own}}
	with := func(change func(*Spec)) Spec {
		s := tight
		change(&s)
		return s
	}
	can := Can()
	me := fmt.Sprint(os.Getpid())
	for _, test := range []struct {
		what    string
		spec    Spec
		allowed bool
		needs   bool // what the system must be able to
		name    string
		args    []string
	}{
		{"nothing at all", tight, true, true, "nothing", nil},
		{"a clean environment", tight, true, true, "env", nil},
		{"its own folder", tight, true, true, "write", []string{filepath.Join(own, "f")}},
		{"a file of the user", tight, false, can.Files, "read", []string{secret}},
		{"a folder of the user", tight, false, can.Files, "list", []string{dir}},
		{"writing beside it", tight, false, can.Files, "write", []string{filepath.Join(dir, "new")}},
		{"removing a file of the user", tight, false, can.Files, "remove", []string{secret}},
		{"a file that was named", with(func(s *Spec) { s.Read = []string{dir} }), true, true, "read", []string{secret}},
		{"writing where it may read", with(func(s *Spec) { s.Read = []string{dir} }), false, can.Files, "write", []string{secret}},
		{"all files", with(func(s *Spec) { s.AllFiles = true }), true, true, "list", []string{dir}},
		{"a TCP socket", tight, false, can.Network, "listen", nil},
		{"a TCP socket that was granted", with(func(s *Spec) { s.Network = true }), true, true, "listen", nil},
		{"a call to a local service", with(func(s *Spec) { s.AllFiles = true }), false, can.Network, "dial-unix", []string{socket}},
		{"a process", tight, false, can.Processes, "fork", nil},
		{"a process that was granted", with(func(s *Spec) { s.Spawn = true }), true, true, "fork", nil},
		{"the mode of its own file", tight, false, can.Network, "chmod", []string{filepath.Join(own, "f")}},
		{"the mode of a file where all were granted", with(func(s *Spec) { s.AllFiles = true }), true, true, "chmod", []string{secret}},
		{"datagrams", tight, false, can.Network, "datagram", nil},
		{"datagrams that were granted", with(func(s *Spec) { s.Network = true }), true, true, "datagram", nil},
		{"shared memory", tight, false, can.Processes, "share", nil},
		{"shared memory for its children", with(func(s *Spec) { s.Spawn = true }), true, true, "share", nil},
		{"the host's priority", tight, false, can.Processes, "slow-down", []string{me}},
		{"its own priority", tight, true, true, "slow-down", []string{"0"}},
		{"a signal to the host", tight, false, can.Processes, "kill", []string{me}},
		{"memory", tight, false, can.Limits, "eat", nil},
		{"open files", tight, false, can.Limits, "open-many", []string{"/dev/null"}},
		{"a large file", tight, false, can.Limits, "write-much", []string{filepath.Join(own, "big")}},
	} {
		t.Run(test.what, func(t *testing.T) {
			if !test.needs {
				t.Skip("this system cannot enforce it")
			}
			out, err := attempt(t, test.spec, false, test.name, test.args...)
			if (err == nil) != test.allowed || test.allowed && out != "done" {
				t.Errorf("allowed: want %v, got error %v and output %q", test.allowed, err, out)
			}
		})
	}
}

// What starts a program needs more memory than many a program: its bound is not
// to be that of the launcher.
func TestTheBoundOfMemoryIsTheProgramsAndNotTheLaunchers(t *testing.T) {
	own := t.TempDir()
	s := Spec{
		Path: "/bin/sh", Args: []string{"-c", "ulimit -d; ulimit -H -d"}, Dir: own,
		Memory: 4 << 20, Open: 64, FileSize: 1 << 20, Tasks: 64, Write: []string{own},
	}
	if _, err := os.Stat(s.Path); err != nil {
		t.Skip(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for range 10 {
		cmd, err := s.Command([]string{self, Verb, "restless"}, []string{"PATH=/usr/bin:/bin"})
		if err != nil {
			t.Fatal(err)
		}
		Attributes(cmd, s, false)
		out, err := cmd.CombinedOutput()
		if err != nil || string(out) != "4096\n4096\n" {
			t.Fatalf("a program with 4 MiB: %v, and its limits in KiB are %.300q", err, out)
		}
	}
}

func TestAProgramInSpacesOfItsOwnStartsAndItsChildrenEndWithIt(t *testing.T) {
	own := t.TempDir()
	s := Spec{Dir: own, Memory: 768 << 20, Open: 64, FileSize: 1 << 20, Tasks: 64, Write: []string{own}, Spawn: true}
	if !spacesWork(t, s) {
		t.Skip("no namespaces for us here")
	}
	s.Path = "/bin/sh"
	if _, err := os.Stat(s.Path); err != nil {
		t.Skip(err)
	}
	// A child that goes away from its parent and its group, and holds the pipe.
	s.Args = []string{"-c", "setsid sleep 1000 & echo started; sleep 1000"}
	self, _ := os.Executable()
	cmd, err := s.Command([]string{self, Verb}, []string{"PATH=/usr/bin:/bin"})
	if err != nil {
		t.Fatal(err)
	}
	Attributes(cmd, s, true)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64)
	n, _ := out.Read(buf)
	if got := strings.TrimSpace(string(buf[:n])); got != "started" {
		t.Errorf("the program said %q", got)
	}
	KillTree(cmd.Process)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for { // until nobody holds the pipe
			if _, err := out.Read(buf); err != nil {
				return
			}
		}
	}()
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		t.Error("a child of the program lives on")
	}
	_ = cmd.Wait()
}
