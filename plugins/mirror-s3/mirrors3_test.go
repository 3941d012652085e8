package mirrors3

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/anonymous-media-library/aml/plugins"
	"github.com/anonymous-media-library/aml/plugins/sdk"
)

// A real server is asked in cmd/aml at full size. This one does what is asked of
// it, and then what a bad one does.
type server struct {
	mu    sync.Mutex
	blobs map[string][]byte
	puts  int

	fault func(w http.ResponseWriter, r *http.Request) bool // true: it has answered
}

func fails(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, `<?xml version="1.0"?><Error><Code>%s</Code><Message>secret-of-mine, in words of its own</Message></Error>`, code)
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fault != nil && s.fault(w, r) {
		return
	}
	if r.URL.Query().Has("location") {
		fmt.Fprint(w, `<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/"></LocationConstraint>`)
		return
	}
	name := r.URL.Path
	blob, has := s.blobs[name]
	switch r.Method {
	case http.MethodPut:
		if has && r.Header.Get("If-None-Match") == "*" {
			fails(w, http.StatusPreconditionFailed, "PreconditionFailed")
			return
		}
		data, err := io.ReadAll(r.Body)
		sum := sha256.Sum256(data)
		if err != nil || hex.EncodeToString(sum[:]) != r.Header.Get("X-Amz-Content-Sha256") {
			fails(w, http.StatusBadRequest, "XAmzContentSHA256Mismatch")
			return
		}
		s.blobs[name] = data
		s.puts++
		w.Header().Set("ETag", `"x"`)
	case http.MethodDelete:
		delete(s.blobs, name)
		w.WriteHeader(http.StatusNoContent)
	default:
		if !has {
			fails(w, http.StatusNotFound, "NoSuchKey")
			return
		}
		w.Header().Set("ETag", `"x"`)
		w.Header().Set("Last-Modified", time.Unix(1e9, 0).UTC().Format(http.TimeFormat))
		w.Header().Set("Content-Length", fmt.Sprint(len(blob)))
		_, _ = w.Write(blob)
	}
}

// configured returns a mirror of a server, whose secret is secret-of-mine.
func configured(t *testing.T, endpoint string, more map[string]string) (*mirror, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "s3.key")
	if err := os.WriteFile(file, []byte("[default]\naws_access_key_id = me\naws_secret_access_key = secret-of-mine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	config := map[string]string{"endpoint": endpoint, "bucket": "blobs", "prefix": "a/b", "credentials": file}
	for k, v := range more {
		config[k] = v
	}
	m := &mirror{patience: time.Minute, slots: make(chan struct{}, atOnce)}
	return m, m.configure(context.Background(), sdk.Setup{Config: config, Has: func(c plugins.Capability) bool { return c == plugins.Network || c == plugins.Files }})
}

func mirrorOf(t *testing.T, s *server) *mirror {
	t.Helper()
	s.blobs = map[string][]byte{}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	m, err := configured(t, srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

const text = "sealed bytes"

var id = sha256.Sum256([]byte(text))

func TestABlobIsKeptGivenBackAndForgotten(t *testing.T) {
	ctx, s := context.Background(), &server{}
	m := mirrorOf(t, s)
	if _, err := m.Get(ctx, id); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before: %v", err)
	}
	for _, wrong := range []string{"", "other bytes", text + "x", strings.Repeat("x", maxBlob+1)} {
		if err := m.Put(ctx, id, 1, strings.NewReader(wrong)); err == nil {
			t.Errorf("%.20q was taken", wrong)
		}
	}
	if err := m.Put(ctx, id, 1, iotest.ErrReader(io.ErrUnexpectedEOF)); err == nil {
		t.Error("what broke off was taken")
	}
	if has, err := m.Has(ctx, id); has || err != nil {
		t.Errorf("it has it: %v", err)
	}
	for range 2 {
		if err := m.Put(ctx, id, int64(len(text)), strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	const want = "/blobs/a/b/e4/3e/"
	name := ""
	for name = range s.blobs {
		hexID := hex.EncodeToString(id[:])
		if name != fmt.Sprintf("/blobs/a/b/%s/%s/%s", hexID[:2], hexID[2:4], hexID) {
			t.Errorf("the object is called %s, want one such as %s...", name, want)
		}
	}
	if len(s.blobs) != 1 || s.puts != 1 {
		t.Errorf("%d objects after %d puts", len(s.blobs), s.puts)
	}
	r, err := m.Get(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != text {
		t.Errorf("got %q, %v", got, err)
	}
	s.blobs[name] = []byte("damaged bits")
	if _, err := m.Get(ctx, id); !errors.Is(err, fs.ErrNotExist) || len(s.blobs) != 0 {
		t.Errorf("damaged: %v, and it is kept", err)
	}
	if err := m.Put(ctx, id, 1, strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	if err := m.Delete(ctx, id); err != nil || len(s.blobs) != 0 {
		t.Error(err)
	}
}

// Another mirror that puts the same blob meanwhile, and a server that does not know
// conditions, are no failures.
func TestAPutThatComesSecondIsDone(t *testing.T) {
	ctx, s := context.Background(), &server{}
	m := mirrorOf(t, s)
	s.fault = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut {
			s.blobs[r.URL.Path] = []byte(text)
		}
		return false
	}
	if err := m.Put(ctx, id, 1, strings.NewReader(text)); err != nil || s.puts != 0 {
		t.Errorf("%v, %d puts", err, s.puts)
	}
	clear(s.blobs)
	s.fault = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("If-None-Match") == "" {
			return false
		}
		fails(w, http.StatusNotImplemented, "NotImplemented")
		return true
	}
	if err := m.Put(ctx, id, 1, strings.NewReader(text)); err != nil || s.puts != 1 {
		t.Errorf("%v, %d puts", err, s.puts)
	}
}

// What goes wrong is said with the remedy, and without the secret or what a server
// makes of it.
func TestABadServerIsAClearError(t *testing.T) {
	answer := func(status int, code string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodHead {
				return false
			}
			fails(w, status, code)
			return true
		}
	}
	for name, c := range map[string]struct {
		fault func(http.ResponseWriter, *http.Request) bool
		want  string
	}{
		"wrong key":      {answer(403, "InvalidAccessKeyId"), "refuses the credentials"},
		"wrong secret":   {answer(403, "SignatureDoesNotMatch"), "refuses the credentials"},
		"no such bucket": {answer(404, "NoSuchBucket"), `has no bucket "blobs"`},
		"full":           {answer(507, "XMinioStorageFull"), "has no room"},
		"over quota":     {answer(403, "QuotaExceeded"), "has no room"},
		"full, unnamed":  {answer(507, "Whatever"), "has no room"},
		"another region": {answer(400, "AuthorizationHeaderMalformed"), "set region"},
		"elsewhere":      {answer(301, "PermanentRedirect"), "leads elsewhere"},
		"wrong clock":    {answer(403, "RequestTimeTooSkewed"), "set the clock"},
		"something else": {answer(418, "Te\x1bapot"), "cannot do it now"},
		"a web page": {func(w http.ResponseWriter, r *http.Request) bool {
			w.WriteHeader(400)
			fmt.Fprint(w, "<html>secret-of-mine")
			return true
		}, "cannot"},
		"ends in between": {func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }, "cannot be called"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &server{}
			m := mirrorOf(t, s)
			s.fault = c.fault
			err := m.Put(context.Background(), id, 1, strings.NewReader(text))
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret-of-mine") || strings.Contains(err.Error(), "\x1b") {
				t.Errorf("put: %v, want %q", err, c.want)
			}
			if _, err := m.Get(context.Background(), id); err == nil || errors.Is(err, fs.ErrNotExist) || strings.Contains(err.Error(), "secret-of-mine") {
				t.Errorf("get: %v", err)
			}
		})
	}
}

func TestAServerThatLiesIsNotBelieved(t *testing.T) {
	s := &server{}
	m := mirrorOf(t, s)
	for name, body := range map[string]string{"other bytes": "other bytes", "more than a blob": strings.Repeat("x", maxBlob+100)} {
		s.fault = func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodGet && !r.URL.Query().Has("location") {
				w.Header().Set("ETag", `"x"`)
				w.Header().Set("Last-Modified", time.Unix(1e9, 0).UTC().Format(http.TimeFormat))
				_, _ = io.WriteString(w, body)
				return true
			}
			return false
		}
		if _, err := m.Get(context.Background(), id); err == nil {
			t.Errorf("%s were taken", name)
		}
	}
}

// An answer without end is not read.
func TestAnEndlessAnswerIsCutOff(t *testing.T) {
	const much = 64 << 20
	var whole atomic.Int64
	flood := func(w http.ResponseWriter, status int) {
		w.WriteHeader(status)
		part := []byte(strings.Repeat("<a>", 1<<15))
		for range much / len(part) {
			if _, err := w.Write(part); err != nil {
				return
			}
		}
		whole.Add(1)
	}
	for name, fault := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"where the bucket is": func(w http.ResponseWriter, r *http.Request) bool {
			flood(w, http.StatusOK)
			return true
		},
		"why not": func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Query().Has("location") || r.Method == http.MethodHead { // which has no body
				return false
			}
			flood(w, http.StatusForbidden)
			return true
		},
	} {
		s := &server{}
		m := mirrorOf(t, s)
		s.fault = fault
		if err := m.Put(t.Context(), id, 1, strings.NewReader(text)); err == nil {
			t.Errorf("%s: it was put", name)
		}
		if _, err := m.Get(t.Context(), id); err == nil {
			t.Errorf("%s: it was got", name)
		}
		if err := m.Delete(t.Context(), id); err == nil {
			t.Errorf("%s: it was deleted", name)
		}
		if n := whole.Load(); n > 0 {
			t.Errorf("%s: %d answers of %d bytes were taken whole", name, n, much)
		}
	}
}

// A server that says nothing holds up a call for so long, and not for ever.
func TestASilentServerIsGivenUp(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // nobody accepts
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	m, err := configured(t, "http://"+l.Addr().String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	m.patience = 10 * time.Millisecond
	if _, err := m.Has(context.Background(), id); err == nil || !strings.Contains(err.Error(), "no answer after 10ms") {
		t.Errorf("has: %v", err)
	}
	for range atOnce { // all that may be under way are
		m.slots <- struct{}{}
	}
	if err := m.Put(context.Background(), id, 1, strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), "are under way") {
		t.Errorf("put: %v", err)
	}
}

func TestAServerThatIsAwayIsNamed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	m, err := configured(t, "http://"+l.Addr().String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Put(context.Background(), id, 1, strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), l.Addr().String()+" cannot be called") {
		t.Errorf("put: %v", err)
	}
}

func TestWrongSettingsAreRefused(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode fs.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct{ key, value, want string }{
		{"endpoint", "", "want one such as"}, {"endpoint", "s3.example.org", "want one such as"}, {"endpoint", "ftp://x", "want one such as"},
		{"endpoint", "http://me:secret@host\x7f", "no address"}, {"endpoint", "https://me:secret@host", "into a file"},
		{"endpoint", "https://host/bucket", "no path"}, {"endpoint", "https://host?x=y", "no path"}, {"endpoint", "https://host:port", "no address"},
		{"bucket", "", "no name of a bucket"}, {"bucket", "a/b", "no name of a bucket"}, {"bucket", "Ä", "no name of a bucket"},
		{"prefix", "a/../b", "no path"}, {"prefix", strings.Repeat("a", 513), "no path"},
		{"credentials", "", "not absolute"}, {"credentials", "relative", "not absolute"}, {"credentials", filepath.Join(dir, "missing"), "missing"}, {"credentials", dir, ""},
		{"credentials", write("empty", "", 0o600), "want the lines"}, {"credentials", write("half", "aws_access_key_id=a", 0o600), "want the lines"},
		{"credentials", write("odd", "aws_access_key_id=a\nsecret = x", 0o600), "line 2: want"},
		{"credentials", write("two", "[a]\naws_access_key_id=a\n[b]", 0o600), "second profile"}, {"credentials", write("twice", "aws_access_key_id=a\naws_access_key_id=secret", 0o600), "once each"},
		{"credentials", write("control", "aws_access_key_id=a\x00secret", 0o600), "byte 2"}, {"credentials", write("large", strings.Repeat("#\n", maxCredentials), 0o600), "over"},
	} {
		_, err := configured(t, "http://127.0.0.1:1", map[string]string{c.key: c.value})
		if err == nil || !strings.Contains(err.Error(), c.want) || c.key != "prefix" && strings.Contains(err.Error(), "secret@") {
			t.Errorf("%s %.40q: %v, want %q", c.key, c.value, err, c.want)
		}
	}
	if runtime.GOOS != "windows" {
		if _, err := configured(t, "http://127.0.0.1:1", map[string]string{"credentials": write("open", "aws_access_key_id=a\naws_secret_access_key=b", 0o644)}); err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("a file for everybody: %v", err)
		}
	}
	m := &mirror{}
	if err := m.configure(context.Background(), sdk.Setup{Has: func(plugins.Capability) bool { return false }}); err == nil || !strings.Contains(err.Error(), "grant the capability network") {
		t.Errorf("without the network: %v", err)
	}
}

// A key may be anything but what ends a line or a header, and is in no error.
func FuzzCredentials(f *testing.F) {
	for _, text := range []string{"[default]\naws_access_key_id = a\naws_secret_access_key = b\n", "# x\naws_session_token=c", "x", "=\n", "[a"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		values, err := parseCredentials(text)
		if err != nil {
			return
		}
		again, err := parseCredentials([]byte(fmt.Sprintf("%s=%s\n%s=%s\n", idKey, values[idKey], secretKey, values[secretKey])))
		if err != nil || again[idKey] != values[idKey] || again[secretKey] != values[secretKey] {
			t.Errorf("%q: %v, %v", values, again, err)
		}
	})
}
