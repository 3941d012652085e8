package appdir_test

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/internal/flock"
	"github.com/anonymous-media-library/aml/internal/unpack"
	"github.com/anonymous-media-library/aml/updates/appdir"
)

// files is how many files a version has, all with its number in them.
const files = 40

// archive makes one of a version.
func archive(t testing.TB, dir, version string) string {
	t.Helper()
	path := filepath.Join(dir, version+".tar.gz")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	z := gzip.NewWriter(f)
	w := tar.NewWriter(z)
	for n := range files {
		name := fmt.Sprintf("lib/%02d", n)
		text := version
		if n == 0 {
			name, text = "app", "#!/bin/sh\ncat lib/01\n"
		}
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

// inForce is the version in force; it fails unless all of it is there.
func inForce(t testing.TB, dir string) string {
	t.Helper()
	link, err := os.Readlink(filepath.Join(dir, "current"))
	if errors.Is(err, os.ErrNotExist) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	version := filepath.Base(link)
	for n := 1; n < files; n++ {
		got, err := os.ReadFile(filepath.Join(dir, "current", "lib", fmt.Sprintf("%02d", n)))
		if err != nil || string(got) != version {
			t.Fatalf("version %s is not whole: file %d is %q, %v", version, n, got, err)
		}
	}
	return version
}

func apply(dir string, v appdir.Version) (s appdir.State, err error) {
	d, err := appdir.Open(dir)
	if err != nil {
		return s, err
	}
	v.Channel = "aml://c"
	err = d.Apply(context.Background(), v)
	return d.State(), errors.Join(err, d.Close())
}

func TestAnInstallationHasTheNumberItWasGivenFirst(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "app")
	for _, fresh := range []appdir.ID{{1}, {2}, {}} {
		d, err := appdir.OpenAs(dir, fresh)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.State().Installation; got != (appdir.ID{1}) {
			t.Errorf("opened as %x it is %x", fresh, got)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAVersionThatIsNotHealthyIsTakenBackAndNotTriedAgain(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the health command is one of a Unix shell")
	}
	in, dir := t.TempDir(), filepath.Join(t.TempDir(), "app")
	id := appdir.ID{}
	for _, step := range []struct {
		version, health string
		in, previous    string // afterwards
		err             error
	}{
		{"1.0.0", "false", "", "", appdir.ErrUnhealthy},
		{"1.1.0", "./app", "1.1.0", "", nil},
		{"1.2.0", `test "$(./app)" = $AML_UPDATE_VERSION`, "1.2.0", "1.1.0", nil},
		{"2.0.0", "echo it does not start >&2; exit 3", "1.2.0", "1.1.0", appdir.ErrUnhealthy},
		{"2.0.1", "sleep 60", "1.2.0", "1.1.0", appdir.ErrUnhealthy},
		{"3.0.0", "", "3.0.0", "1.2.0", nil},
	} {
		timeout := time.Minute
		if step.health == "sleep 60" {
			timeout = time.Second
		}
		s, err := apply(dir, appdir.Version{Version: step.version, Archive: archive(t, in, step.version), Name: "app.tar.gz",
			Health: appdir.Health{Command: step.health, Timeout: timeout}})
		if !errors.Is(err, step.err) {
			t.Fatalf("%s: %v, want %v", step.version, err, step.err)
		}
		if got := inForce(t, dir); got != step.in || s.Version != step.in || s.Previous != step.previous || s.Switching != nil {
			t.Errorf("after %s: %s is in force: %+v", step.version, got, s)
		}
		if id == (appdir.ID{}) {
			id = s.Installation
		}
		if s.Installation != id {
			t.Errorf("after %s it is another installation", step.version)
		}
	}
	d, err := appdir.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	refused := fmt.Sprint(d.State().Refused)
	for _, want := range []string{"1.0.0", "2.0.0 exit status 3: its last words: \"it does not start\"", "2.0.1 no answer within 1s"} {
		if !strings.Contains(refused, want) {
			t.Errorf("refused: %s; want %q", refused, want)
		}
	}
	left, err := os.ReadDir(filepath.Join(dir, "versions"))
	if err != nil || len(left) != 2 {
		t.Errorf("versions: %v, %v", left, err)
	}
}

func TestWhatCannotBeInstalledLeavesWhatIsThere(t *testing.T) {
	in, dir := t.TempDir(), filepath.Join(t.TempDir(), "app")
	first := archive(t, in, "1.0.0")
	if _, err := apply(dir, appdir.Version{Version: "1.0.0", Archive: first, Name: "app.tar.gz"}); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(archive(t, in, "2.0.0"))
	if err != nil {
		t.Fatal(err)
	}
	cut, evil := filepath.Join(in, "cut"), filepath.Join(in, "evil")
	if err := os.WriteFile(cut, whole[:len(whole)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(evil, []byte("PK\x03\x04 nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for what, test := range map[string]struct {
		v    appdir.Version
		want any
	}{
		"an archive that is cut short": {appdir.Version{Version: "2.0.0", Archive: cut, Name: "app.tar.gz"}, unpack.ErrArchive},
		"no archive":                   {appdir.Version{Version: "2.0.0", Archive: evil, Name: "app.zip"}, unpack.ErrArchive},
		"a lower version":              {appdir.Version{Version: "0.9.0", Archive: first, Name: "app.tar.gz"}, "not higher than 1.0.0"},
		"the same version":             {appdir.Version{Version: "1.0.0", Archive: first, Name: "app.tar.gz"}, "not higher than 1.0.0"},
		"a version that leads out":     {appdir.Version{Version: "../2.0.0", Archive: first, Name: "app.tar.gz"}, "semantic version"},
		"an archive that is not there": {appdir.Version{Version: "2.0.0", Archive: "nowhere", Name: "app.tar.gz"}, os.ErrNotExist},
	} {
		_, err := apply(dir, test.v)
		if text, ok := test.want.(string); ok && (err == nil || !strings.Contains(err.Error(), text)) {
			t.Errorf("%s: %v", what, err)
		} else if want, ok := test.want.(error); ok && !errors.Is(err, want) {
			t.Errorf("%s: %v", what, err)
		}
		if got := inForce(t, dir); got != "1.0.0" {
			t.Errorf("%s: %s is in force", what, got)
		}
	}
	d, err := appdir.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := appdir.Open(dir); !errors.Is(err, flock.ErrLocked) {
		t.Errorf("opened twice: %v", err)
	}
	if err := d.Apply(t.Context(), appdir.Version{Channel: "aml://other", Version: "3.0.0", Archive: first}); !errors.Is(err, appdir.ErrOther) {
		t.Errorf("from another channel: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	mixed, full := t.TempDir(), t.TempDir()
	for _, name := range []string{filepath.Join(mixed, ".aml", "x"), filepath.Join(mixed, "versions", "mine", "precious"), filepath.Join(full, ".aml", "state.json"), filepath.Join(full, "current", "precious")} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(`{"format":1}`), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, foreign := range []string{in, mixed, full, file} {
		if _, err := appdir.Open(foreign); !errors.Is(err, appdir.ErrForeign) {
			t.Errorf("a folder of something else: %v", err)
		}
		if _, err := appdir.Look(foreign); !errors.Is(err, appdir.ErrForeign) {
			t.Errorf("looking at a folder of something else: %v", err)
		}
	}
	// What somebody has taken out of it.
	if err := os.Remove(filepath.Join(dir, "current")); err != nil {
		t.Fatal(err)
	}
	if d, err = appdir.Open(dir); err != nil {
		t.Fatal(err)
	}
	if err := d.Settle(t.Context(), appdir.Health{}); err != nil || inForce(t, dir) != "1.0.0" {
		t.Errorf("the link was not made again: %v", err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "versions", "1.0.0")); err != nil {
		t.Fatal(err)
	}
	if err := d.Settle(t.Context(), appdir.Health{}); !errors.Is(err, appdir.ErrState) || !strings.Contains(err.Error(), "not there any more") {
		t.Errorf("a version that is gone: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "{", `{"format":2}`, `{"format":1,"version":"../.."}`, `{"format":1,"installation":"00"}`, `{"format":1} {}`, `{"format":1,"x":1}`} {
		if err := os.WriteFile(filepath.Join(dir, ".aml", "state.json"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := appdir.Open(dir); !errors.Is(err, appdir.ErrState) {
			t.Errorf("state %q: %v", text, err)
		}
	}
}

func TestOneFileIsAVersionToo(t *testing.T) {
	in, dir := t.TempDir(), filepath.Join(t.TempDir(), "app")
	path := filepath.Join(in, "x")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := apply(dir, appdir.Version{Version: "1.0.0", Archive: path, Name: "linux/tool", Run: true}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "current", "tool"))
	if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o755 {
		t.Errorf("the file: %v, %v", info, err)
	}
}

// Whatever a first run has left when it was killed, the folder is ours.
func TestAFolderOfAFirstRunThatWasKilledIsGoneOnWith(t *testing.T) {
	for _, left := range [][]string{{}, {"lock"}, {"lock", ".aml-whole-1"}, {"lock", ".aml-whole-1", ".aml-whole-2"}} {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, ".aml"), 0o755); err != nil {
			t.Fatal(err)
		}
		for _, name := range left {
			if err := os.WriteFile(filepath.Join(dir, ".aml", name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		d, err := appdir.Open(dir)
		if err != nil {
			t.Errorf("with %v: %v", left, err)
			continue
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// childEnv makes this test's own binary one that updates a folder until it is killed.
const childEnv = "APPDIR_CHILD"

// inSwitch is how many kills have to come in a switch.
const inSwitch = 3

// A process that updates a folder is killed very often, at any moment and, every other
// time, in a switch, which a slow health command makes long: each time one version is in
// force, whole, and the next process goes on.
func TestAKillInASwitchLeavesTheOldOrTheNewVersion(t *testing.T) {
	if dir := os.Getenv(childEnv); dir != "" {
		updateForEver(t, dir)
		return
	}
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "app")
	in := t.TempDir()
	seen := map[string]bool{}
	switching := 0
	cut := func() bool {
		s, err := appdir.Look(dir)
		return err == nil && s.Switching != nil
	}
	for round := 0; round < 25 || len(seen) < 4 || switching < inSwitch; round++ {
		if round == 500 {
			t.Fatalf("in force were %v, and %d kills came in a switch: every other came too early", seen, switching)
		}
		health := "exit 0"
		if round%2 == 1 && runtime.GOOS != "windows" {
			health = "sleep 1"
		}
		cmd := exec.Command(os.Args[0], "-test.run=^TestAKillInASwitch")
		cmd.Env = append(os.Environ(), childEnv+"="+dir, "APPDIR_IN="+in, "APPDIR_HEALTH="+health)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		said := bufio.NewReader(out)
		_, _ = said.ReadByte() // it has begun
		ended := make(chan string, 1)
		go func() {
			rest, _ := io.ReadAll(io.LimitReader(said, 1<<16))
			ended <- string(rest)
		}()
		after := time.NewTimer(time.Duration(1+11*round%(20+round)) * time.Millisecond)
		tick := time.NewTicker(time.Millisecond)
		for moment := tick.C; ; {
			if health == "exit 0" {
				moment = after.C
			}
			select {
			case rest := <-ended:
				t.Fatalf("round %d: the process ended by itself: %s", round, rest)
			case <-moment:
			}
			if health == "exit 0" || cut() {
				break
			}
		}
		tick.Stop()
		_ = cmd.Process.Kill()
		<-ended
		_ = cmd.Wait()
		seen[inForce(t, dir)] = true
		if cut() {
			switching++
		}
	}
	t.Logf("%d versions were seen, %d kills came in a switch", len(seen), switching)
}

func updateForEver(t *testing.T, dir string) {
	fmt.Println("begun")
	health := appdir.Health{Command: os.Getenv("APPDIR_HEALTH")}
	for {
		d, err := appdir.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		s := d.State()
		if err := d.Settle(t.Context(), health); err != nil {
			t.Fatal(err)
		}
		minor := 0
		if s = d.State(); s.Version != "" {
			if _, err := fmt.Sscanf(s.Version, "1.%d.0", &minor); err != nil {
				t.Fatal(err)
			}
		}
		version := fmt.Sprintf("1.%d.0", minor+1)
		if err := d.Apply(t.Context(), appdir.Version{Channel: "aml://c", Version: version, Archive: archive(t, os.Getenv("APPDIR_IN"), version), Name: "a.tar.gz", Health: health}); err != nil {
			t.Fatal(err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A switch that was cut short is decided by the health command of the next try.
func TestASwitchThatWasCutShortIsEndedByTheNextTry(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the health command is one of a Unix shell")
	}
	for health, want := range map[string]string{"true": "2.0.0", "false": "1.0.0"} {
		in, dir := t.TempDir(), filepath.Join(t.TempDir(), "app")
		for _, version := range []string{"1.0.0", "2.0.0"} {
			if _, err := apply(dir, appdir.Version{Version: version, Archive: archive(t, in, version), Name: "app.tar.gz"}); err != nil {
				t.Fatal(err)
			}
		}
		// As the first step of the second switch has left it.
		state := filepath.Join(dir, ".aml", "state.json")
		text, err := os.ReadFile(state)
		if err != nil {
			t.Fatal(err)
		}
		cut := strings.Replace(string(text), `"version": "2.0.0",`, `"version": "1.0.0", "switching": {"from": "1.0.0", "to": "2.0.0"},`, 1)
		if err := os.WriteFile(state, []byte(strings.Replace(cut, `"previous": "1.0.0"`, `"previous": ""`, 1)), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.Remove(filepath.Join(dir, "current")), os.Symlink("versions/1.0.0", filepath.Join(dir, "current"))); err != nil {
			t.Fatal(err)
		}
		d, err := appdir.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		err = d.Settle(t.Context(), appdir.Health{Command: health})
		if got := inForce(t, dir); got != want || d.State().Version != want || errors.Is(err, appdir.ErrUnhealthy) != (want == "1.0.0") {
			t.Errorf("health %s: %s is in force, %v: %+v", health, got, err, d.State())
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
