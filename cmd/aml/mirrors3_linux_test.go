//go:build large

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anonymous-media-library/aml/internal/smalldisk"
)

// s3Server is a real S3 server, versitygw, that keeps objects as files in a folder.
type s3Server struct {
	program, folder, addr string
	cmd                   *exec.Cmd
}

const s3Secret = "secret-of-the-test"

// newS3 builds one, from the modules of .ci/s3.mod, and starts it.
func newS3(t *testing.T, folder string) *s3Server {
	t.Helper()
	build := exec.Command("go", "tool", "-modfile=.ci/s3.mod", "-n", "versitygw")
	build.Dir, build.Stderr = "../..", os.Stderr
	path, err := build.Output()
	if err != nil {
		t.Fatalf("building versitygw: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	s := &s3Server{program: strings.TrimSpace(string(path)), folder: folder, addr: l.Addr().String()}
	if err := os.MkdirAll(filepath.Join(folder, "blobs"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.start(t)
	t.Cleanup(s.kill)
	return s
}

func (s *s3Server) start(t *testing.T) {
	t.Helper()
	s.cmd = exec.Command(s.program, "--port", s.addr, "--quiet", "posix", s.folder)
	s.cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY=me", "ROOT_SECRET_KEY="+s3Secret)
	s.cmd.Stderr = os.Stderr
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, "the S3 server to listen", func() bool {
		conn, err := net.Dial("tcp", s.addr)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

func (s *s3Server) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// objects are the sizes of what is in the bucket, of which each has to be whole.
func (s *s3Server) objects(t *testing.T) map[string]int64 {
	t.Helper()
	out := map[string]int64{}
	err := filepath.WalkDir(filepath.Join(s.folder, "blobs", "mine"), func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && d.IsDir() {
			return nil
		}
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if sum := sha256.Sum256(data); err == nil && hex.EncodeToString(sum[:]) != d.Name() {
			t.Errorf("object %s has other bytes", path)
		}
		out[d.Name()] = int64(len(data))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// keepingInS3 installs the plugin in a home.
func keepingInS3(t *testing.T, home, addr, credentials string) {
	t.Helper()
	ok(t, home, "plugin-install", "bundled:mirror-s3", "--memory", "4GiB")
	ok(t, home, "plugin-config", "mirror-s3", "endpoint=http://"+addr, "bucket=blobs", "prefix=mine", "credentials="+credentials)
	ok(t, home, "plugin-enable", "mirror-s3", "--grant", "network,files", "--path", credentials)
}

func credentialsFile(t *testing.T, dir, secret string) string {
	t.Helper()
	path := filepath.Join(dir, "s3.key")
	if err := os.WriteFile(path, []byte("[default]\naws_access_key_id = me\naws_secret_access_key = "+secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Blobs go to a real S3 server, which is killed in between, and come back from it to
// another home; what it refuses is said with the remedy, and without the secret.
func TestMirrorS3AgainstARealServerAtFullSize(t *testing.T) {
	dir := t.TempDir()
	s := newS3(t, filepath.Join(dir, "server"))
	key := credentialsFile(t, dir, s3Secret)
	t.Log(ok(t, dir, "plugin-test", "bundled:mirror-s3", "endpoint=http://"+s.addr, "bucket=blobs", "prefix=kit", "credentials="+key, "--slow", "100"))

	home, other := filepath.Join(dir, "home"), filepath.Join(dir, "other")
	file, entry := ingested(t, home, 256<<20)
	keepingInS3(t, home, s.addr, key)
	push := start(t, home, "blob-push-plugin", "mirror-s3", "--all")
	until(t, "an object in the bucket", func() bool { return len(s.objects(t)) > 0 })
	s.kill()
	if code := push.exit(); code == 0 {
		t.Log("it had copied all before the server was killed")
	} else if text := push.stderr.String(); !strings.Contains(text, s.addr+" cannot be called") || strings.Contains(text, s3Secret) {
		t.Errorf("it says %s", text)
	}
	before := len(s.objects(t))
	s.start(t)
	ok(t, home, "blob-push-plugin", "mirror-s3", "--all")
	all := s.objects(t)
	t.Logf("%d objects when it was killed, %d at the end", before, len(all))
	if out := ok(t, home, "blob-push-plugin", "mirror-s3", "--all"); !strings.Contains(out, "0 blobs") {
		t.Errorf("once more: %s", out)
	}

	keepingInS3(t, other, s.addr, key)
	ok(t, other, "blob-pull-plugin", "mirror-s3", "-i", entry)
	back := filepath.Join(dir, "back")
	ok(t, other, "blob-fetch", "-i", entry, "-o", back)
	sameFile(t, back, file)

	for _, bad := range []struct{ key, bucket, want string }{
		{key, "elsewhere", "has no bucket"}, {credentialsFile(t, t.TempDir(), "wrong"), "blobs", "refuses the credentials"},
	} {
		home := filepath.Join(t.TempDir(), "home")
		ingested(t, home, 1<<20)
		keepingInS3(t, home, s.addr, bad.key)
		ok(t, home, "plugin-config", "mirror-s3", "bucket="+bad.bucket)
		if _, errs, code := amlRun(t, home, "blob-push-plugin", "mirror-s3", "--all"); code != 1 || !strings.Contains(errs, bad.want) || strings.Contains(errs, s3Secret) {
			t.Errorf("%+v: exit code %d, %s", bad, code, errs)
		}
	}
}

// A server without room keeps what it has, whole, and takes the rest when there is room.
func TestMirrorS3OnAFullServerAtFullSize(t *testing.T) {
	dir := t.TempDir()
	small := smallDisk(t, dir, "16m")
	s := newS3(t, small)
	home := filepath.Join(dir, "home")
	_, _ = ingested(t, home, 24<<20)
	keepingInS3(t, home, s.addr, credentialsFile(t, dir, s3Secret))
	if _, errs, code := amlRun(t, home, "blob-push-plugin", "mirror-s3", "--all"); code != 1 || !strings.Contains(errs, "has no room for it") {
		t.Errorf("exit code %d, %s", code, errs)
	}
	if n := len(s.objects(t)); n == 0 {
		t.Error("nothing is there")
	}
	smalldisk.Resize(t, small, "64m")
	ok(t, home, "blob-push-plugin", "mirror-s3", "--all")
	if n := len(s.objects(t)); n < 24 {
		t.Errorf("%d objects are there", n)
	}
}

// A daemon fills a bucket by itself, says that the server is away, and goes on when it is
// back, also with what was taken back meanwhile.
func TestMirrorS3IsFilledByADaemonWhileTheServerIsAwayAtFullSize(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := newS3(t, filepath.Join(dir, "server"))
	home, file := filepath.Join(dir, "home"), filepath.Join(dir, "wrong")
	noise(t, file, 3<<20, 1)
	publish(t, home, "music", file)
	keepingInS3(t, home, s.addr, credentialsFile(t, dir, s3Secret))
	ok(t, home, "mirror-add", "mirror-s3", "music")
	daemon := start(t, home, "daemon")
	daemon.addr()
	settled := func() bool {
		m := mirrorsOf(t, home)[0]
		return m.Owed+m.Delete+m.Missing == 0 && m.There > 0 && m.Error == ""
	}
	inTheEnd(t, "the first release is there", settled)
	first := s.objects(t)
	s.kill()
	noise(t, filepath.Join(dir, "right"), 5<<20, 2)
	ok(t, home, "channel-publish", "music", filepath.Join(dir, "right"), "--once")
	ok(t, home, "channel-retract", "music", "wrong", "--reason", "wrong")
	inTheEnd(t, "what fails is said", func() bool {
		m := mirrorsOf(t, home)[0]
		return m.Delete > 0 && m.Owed > 0 && strings.Contains(m.Error, "cannot be called")
	})
	s.start(t)
	inTheEnd(t, "all is there, and what was taken back is not", settled)
	now, left := s.objects(t), 0
	for id := range first {
		if now[id] > 0 {
			left++
		}
	}
	if len(now) < 6 || left >= len(first)-2 {
		t.Errorf("%d objects, of %d before %d are left", len(now), len(first), left)
	}
}
