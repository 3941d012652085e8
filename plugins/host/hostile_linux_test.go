package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/plugins"
	"github.com/anonymous-media-library/aml/plugins/confine"
	"github.com/anonymous-media-library/aml/plugins/sdk"
)

// systemKinds are the hostile that know this system.
func systemKinds() map[string]kind {
	seals := filtering(func(context.Context, *sdk.Release) (*sdk.Verdict, error) { return sdk.Allow(), seals() })
	seals.memory = "256MiB"
	return map[string]kind{
		"seals its memory": seals,
		"fills its folder": filtering(func(context.Context, *sdk.Release) (*sdk.Verdict, error) { return sdk.Allow(), fills(false) }),
		"fills it unseen":  filtering(func(context.Context, *sdk.Release) (*sdk.Verdict, error) { return sdk.Allow(), fills(true) }),
		"touches files":    filtering(func(_ context.Context, r *sdk.Release) (*sdk.Verdict, error) { return tried(touches(r.Title)), nil }),
		"reaches the host": filtering(func(context.Context, *sdk.Release) (*sdk.Verdict, error) { return tried(reaches()), nil }),
		"sends datagrams":  filtering(func(_ context.Context, r *sdk.Release) (*sdk.Verdict, error) { return tried(sends(r.Title)), nil }),
		"hides its memory": filtering(func(context.Context, *sdk.Release) (*sdk.Verdict, error) { return tried(hides()), nil }),
		"minds its own":    filtering(func(context.Context, *sdk.Release) (*sdk.Verdict, error) { return tried(minds()), nil }),
	}
}

// tried answers with the names of what was not refused.
func tried(all map[string]error) *sdk.Verdict {
	var could []string
	for name, err := range all {
		if !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES) {
			could = append(could, fmt.Sprintf("%s (%v)", name, err))
		}
	}
	return sdk.Deny("could: " + strings.Join(could, ", "))
}

// touches changes what is noted of a file and of what the plugin can open.
func touches(path string) map[string]error {
	own, err := os.Create("own")
	if err != nil {
		return map[string]error{"open its own file": err}
	}
	name, _ := unix.BytePtrFromString(path)
	times := []unix.Timeval{{Sec: 1}, {Sec: 1}}
	flags := uint32(0)
	_, _, fchmodat2 := unix.Syscall6(unix.SYS_FCHMODAT2, ^uintptr(99), uintptr(unsafe.Pointer(name)), 0o777, 0, 0, 0) // AT_FDCWD
	return map[string]error{
		"chmod":        os.Chmod(path, 0o777),
		"fchmodat":     unix.Fchmodat(unix.AT_FDCWD, path, 0o777, 0),
		"fchmodat2":    fchmodat2,
		"fchmod":       own.Chmod(0o777),
		"chown":        os.Chown(path, os.Getuid(), os.Getgid()),
		"lchown":       os.Lchown(path, os.Getuid(), os.Getgid()),
		"fchown":       own.Chown(os.Getuid(), os.Getgid()),
		"utimensat":    unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{{Sec: 1}, {Sec: 1}}, 0),
		"utimes":       unix.Utimes(path, times),
		"futimesat":    unix.Futimesat(unix.AT_FDCWD, path, times),
		"setxattr":     unix.Setxattr(path, "user.evil", []byte("x"), 0),
		"fsetxattr":    unix.Fsetxattr(int(own.Fd()), "user.evil", []byte("x"), 0),
		"removexattr":  unix.Removexattr(path, "user.evil"),
		"chattr":       unix.IoctlSetPointerInt(int(own.Fd()), unix.FS_IOC_SETFLAGS, int(flags)),
		"watch":        watch(filepath.Dir(path)),
		"its own copy": os.Chmod("/proc/self/exe", 0o777),
	}
}

func watch(dir string) error {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, err = unix.InotifyAddWatch(fd, dir, unix.IN_CREATE)
	return err
}

// reaches changes the process that has started it, to what it is already, or one that
// is not there where a space of its own hides all others: also that must be refused.
func reaches() map[string]error {
	pid := os.Getppid()
	if pid <= 1 {
		pid = 4_000_000
	}
	var files unix.Rlimit
	_ = unix.Getrlimit(unix.RLIMIT_NOFILE, &files)
	var cpus unix.CPUSet
	_ = unix.SchedGetaffinity(0, &cpus)
	own, err := os.Create("own")
	if err != nil {
		return map[string]error{"open its own file": err}
	}
	call := func(nr uintptr, args ...uintptr) error {
		args = append(args, 0, 0, 0, 0, 0)
		_, _, errno := unix.RawSyscall6(nr, args[0], args[1], args[2], args[3], args[4], 0)
		if errno == 0 {
			return nil
		}
		return errno
	}
	zero := make([]byte, 128)
	there := uintptr(unsafe.Pointer(&zero[0]))
	all := map[string]error{
		"prlimit":            unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &files),
		"affinity":           unix.SchedSetaffinity(pid, &cpus),
		"scheduler":          call(unix.SYS_SCHED_SETSCHEDULER, uintptr(pid), 0, there),
		"sched_setparam":     call(unix.SYS_SCHED_SETPARAM, uintptr(pid), there),
		"sched_setattr":      call(unix.SYS_SCHED_SETATTR, uintptr(pid), 0, 0),
		"priority":           unix.Setpriority(unix.PRIO_PROCESS, pid, 0),
		"priority of all":    call(unix.SYS_SETPRIORITY, unix.PRIO_USER, 0, 5),
		"io priority":        call(unix.SYS_IOPRIO_SET, 1, uintptr(pid), 0),
		"signal":             unix.Kill(pid, 0),
		"queued signal":      call(unix.SYS_RT_SIGQUEUEINFO, uintptr(pid), 0, there),
		"queued to a thread": call(unix.SYS_RT_TGSIGQUEUEINFO, uintptr(pid), uintptr(pid), 0, there),
		"owner":              call(unix.SYS_FCNTL, own.Fd(), unix.F_SETOWN, uintptr(pid)),
		"owner by ioctl":     call(unix.SYS_IOCTL, own.Fd(), 0x8901, there),
		"signal of choice":   call(unix.SYS_FCNTL, own.Fd(), unix.F_SETSIG, 9),
		"madvise":            call(unix.SYS_PROCESS_MADVISE, 99),
		"mrelease":           call(unix.SYS_PROCESS_MRELEASE, 99),
		"pages":              call(unix.SYS_MOVE_PAGES, uintptr(pid)),
		"migration":          call(unix.SYS_MIGRATE_PAGES, uintptr(pid)),
		"kcmp":               call(unix.SYS_KCMP, uintptr(pid), uintptr(pid)),
	}
	runtime.KeepAlive(zero)
	return all
}

// sends calls a local service without a connection.
func sends(path string) map[string]error {
	all := map[string]error{}
	to := &unix.SockaddrUnix{Name: path}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.Sendto(fd, []byte("evil"), 0, to)
	}
	all["a datagram"] = err
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err == nil {
		err = unix.Sendto(pair[0], []byte("evil"), 0, to)
	}
	all["a datagram from a pair"] = err
	_, all["packets"] = unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET, 0)
	_, all["raw"] = unix.Socket(unix.AF_UNIX, unix.SOCK_RAW, 0)
	return all
}

// hides takes memory that no limit of the process counts.
func hides() map[string]error {
	all := map[string]error{}
	grow := func(name string, fd, prot, flags int) {
		_, all[name] = unix.Mmap(fd, 0, 64<<20, prot, flags)
	}
	grow("shared", -1, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS)
	grow("a stack", -1, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_GROWSDOWN)
	fd, err := unix.Open("/dev/zero", unix.O_RDONLY, 0)
	if all["zeroes"] = err; err == nil {
		grow("zeroes", fd, unix.PROT_READ, unix.MAP_SHARED)
	}
	_, all["memfd"] = unix.MemfdCreate("evil", 0)
	_, all["secret"] = unix.MemfdSecret(0)
	_, all["shmget"] = unix.SysvShmGet(unix.IPC_PRIVATE, 64<<20, unix.IPC_CREAT|0o600)
	return all
}

// minds does what is its own: nothing of it is refused, which it tells as tried does
// of what was.
func minds() map[string]error {
	all := map[string]error{}
	does := func(name string, err error) {
		if err != nil {
			all[fmt.Sprintf("not %s: %v", name, err)] = nil
		}
	}
	var files unix.Rlimit
	does("prlimit", unix.Prlimit(0, unix.RLIMIT_NOFILE, nil, &files))
	does("prlimit by its number", unix.Prlimit(os.Getpid(), unix.RLIMIT_NOFILE, &files, nil))
	var cpus unix.CPUSet
	does("affinity", unix.SchedGetaffinity(0, &cpus))
	does("affinity", unix.SchedSetaffinity(0, &cpus))
	does("priority", unix.Setpriority(unix.PRIO_PROCESS, 0, 19))
	does("a signal", unix.Kill(os.Getpid(), 0))
	_, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	does("a pair", err)
	l, err := net.Listen("unix", filepath.Join(os.Getenv("PLUGIN_UNIX_SOCKET_DIR"), "more"))
	if does("to listen", err); err == nil {
		l.Close()
	}
	does("a file", os.WriteFile("own", []byte("x"), 0o600))
	does("another name", os.Rename("own", "own2"))
	f, err := os.OpenFile("own2", os.O_RDWR, 0)
	if does("to open", err); err == nil {
		does("truncate", os.Truncate("own2", 4096))
		_, err = unix.Mmap(int(f.Fd()), 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		does("a mapped file", err)
	}
	_, err = unix.Mmap(-1, 0, 1<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	does("memory", err)
	return all
}

// isAsked runs a plugin that was granted nothing, and asks it once.
func isAsked(t *testing.T, kind, title string) {
	t.Helper()
	x := run(t, options{kind: kind})
	v, err := x.Filter(context.Background(), release(title, channel.Media))
	if err != nil || v[0].Reason != "could: " {
		t.Errorf("got %+v, %v", v, err)
	}
	x.stop()
}

func TestAPluginChangesNothingOfFilesButTheirBytes(t *testing.T) {
	if can := confine.Can(); !can.Files || !can.Network {
		t.Skip("this system cannot enforce it")
	}
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	isAsked(t, "touches files", file)
	after, err := os.Stat(file)
	if err != nil || after.Mode() != before.Mode() || !after.ModTime().Equal(before.ModTime()) {
		t.Errorf("it was %v of %v, is %v of %v, %v", before.Mode(), before.ModTime(), after.Mode(), after.ModTime(), err)
	}
	if n, err := syscall.Listxattr(file, nil); err == nil && n > 0 {
		t.Errorf("it has %d bytes of names of attributes", n)
	}
}

func TestAPluginReachesNoOtherProcess(t *testing.T) {
	if !confine.Can().Processes {
		t.Skip("this system cannot enforce it")
	}
	isAsked(t, "reaches the host", "news")
}

func TestAPluginWithoutTheNetworkSendsNoDatagrams(t *testing.T) {
	if !confine.Can().Network {
		t.Skip("this system cannot enforce it")
	}
	dir, err := os.MkdirTemp("", "aml") // a short one
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "log")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	isAsked(t, "sends datagrams", path)
}

func TestAPluginHasNoMemoryThatItsLimitDoesNotCount(t *testing.T) {
	if can := confine.Can(); !can.Processes || !can.Files {
		t.Skip("this system cannot enforce it")
	}
	isAsked(t, "hides its memory", "news")
}

func TestAPluginMayDoWhatIsItsOwn(t *testing.T) { isAsked(t, "minds its own", "news") }

// seals writes to memory and makes it read-only, so that no limit counts it.
func seals() error {
	for range 10 {
		b, err := unix.Mmap(-1, 0, 64<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
		if err != nil {
			return err
		}
		for i := 0; i < len(b); i += 4 << 10 {
			b[i] = 1
		}
		if err := unix.Mprotect(b, unix.PROT_READ); err != nil {
			return err
		}
	}
	return nil
}

// held are files without a name.
var held []*os.File

func fills(unseen bool) error {
	if err := os.MkdirAll("a/b", 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp("a/b", "f")
	if err != nil {
		return err
	}
	if unseen {
		held = append(held, f)
		if err := os.Remove(f.Name()); err != nil {
			return err
		}
	}
	_, err = f.Write(make([]byte, 8<<20))
	return err
}

func TestAPluginThatHidesMemoryFromItsLimitIsEnded(t *testing.T) {
	x := run(t, options{kind: "seals its memory", host: func(c *Config) { c.Look, c.Backoff = 10*time.Millisecond, []time.Duration{} }})
	eventually(t, "it is off", func() bool {
		_, _ = x.Filter(t.Context(), release("news", channel.Media))
		return x.Status()[0].State == Off
	})
	if strings.Contains(x.Status()[0].Reason, "before it was ready") {
		t.Skip("the race detector needs more itself")
	}
	if s := x.Status()[0]; !strings.Contains(s.Reason, "memory, where 256.0 MiB are allowed") {
		t.Errorf("got %+v", s)
	}
	x.stop()
}

func TestAPluginThatFillsTheDiskIsEndedAndOff(t *testing.T) {
	for _, kind := range []string{"fills its folder", "fills it unseen"} {
		t.Run(kind, func(t *testing.T) {
			x := run(t, options{kind: kind, host: func(c *Config) { c.Look = 10 * time.Millisecond }, lock: func(p *plugins.Installed) { p.State = 4 << 20 }})
			off := func() {
				t.Helper()
				eventually(t, "it is off", func() bool {
					_, _ = x.Filter(t.Context(), release("news", channel.Media))
					return x.Status()[0].State == Off
				})
				if s := x.Status()[0]; !strings.Contains(s.Reason, "it keeps too much in "+x.shelf.StateFolder("tested")+": more than 4.0 MiB") || !strings.Contains(s.Reason, "--state-size") && len(s.Reason) < 300 {
					t.Errorf("got %+v", s)
				}
			}
			off()
			if kind == "fills it unseen" {
				return // it is gone with the process
			}
			turnOn := func(most int64) {
				t.Helper()
				err := x.shelf.Change("tested", func(p *plugins.Installed, _ plugins.Manifest) error { p.Off, p.State = nil, most; return nil })
				if err == nil {
					err = x.Sync()
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			turnOn(4 << 20)
			off()
			if s := x.Status()[0]; s.Starts != 0 {
				t.Errorf("it was started with a folder that is too full: %+v", s)
			}
			turnOn(64 << 30)
			eventually(t, "it works again", func() bool {
				_, err := x.Filter(t.Context(), release("news", channel.Media))
				return err == nil && x.Status()[0].State == Ready && x.Status()[0].Kept > 4<<20
			})
		})
	}
}

func TestAFolderIsMeasuredWhateverItsOwnerDoes(t *testing.T) {
	dir := t.TempDir()
	deep := dir
	for range 20 {
		deep = filepath.Join(deep, "d")
	}
	sparse := filepath.Join(deep, "sparse")
	if err := errors.Join(os.MkdirAll(deep, 0o700), os.WriteFile(filepath.Join(deep, "f"), make([]byte, 1<<20), 0o600), os.WriteFile(sparse, nil, 0o600),
		os.Truncate(sparse, 1<<40), os.Symlink("/usr", filepath.Join(dir, "link")), os.Symlink(dir, filepath.Join(dir, "loop")), unix.Mkfifo(filepath.Join(dir, "pipe"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if n, err := measure(dir, 2<<20); err != nil || n < 1<<20 || n > 2<<20 {
		t.Errorf("%d bytes, %v", n, err)
	}
	if _, err := measure(dir, 1<<19); err == nil {
		t.Error("it is within what it is not")
	}
	for _, other := range []string{"link", "pipe", "gone"} { // what stands where a folder was
		if n, err := measure(filepath.Join(dir, other), 1<<20); err != nil || n != 0 {
			t.Errorf("%s: %d bytes, %v", other, n, err)
		}
	}
}
