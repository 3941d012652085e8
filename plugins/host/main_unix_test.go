//go:build unix

package host

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/plugins"
	"github.com/anonymous-media-library/aml/plugins/confine"
	"github.com/anonymous-media-library/aml/plugins/sdk"
	"github.com/anonymous-media-library/aml/plugins/shelf"
)

// TestMain is the launcher and every plugin of these tests too.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == confine.Verb {
		fmt.Fprintln(os.Stderr, confine.Main())
		os.Exit(1)
	}
	if len(os.Args) > 2 && os.Args[1] == "host" {
		beHost(os.Args[2])
	}
	if len(os.Args) > 2 && os.Args[1] == "be" {
		be(os.Args[2])
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// kind is a plugin that the test binary can be.
type kind struct {
	hooks  []plugins.Hook
	caps   []plugins.Capability
	memory string
	run    func()
}

func serve(change func(*sdk.Plugin)) func() {
	return func() {
		p := sdk.Plugin{ID: "tested", Version: "1.0.0"}
		change(&p)
		sdk.Serve(p)
	}
}

// filtering serves FilterManifest with fn.
func filtering(fn func(context.Context, *sdk.Release) (*sdk.Verdict, error)) kind {
	return kind{hooks: []plugins.Hook{plugins.FilterManifest}, run: serve(func(p *sdk.Plugin) { p.FilterManifest = fn })}
}

// kinds are the good, and then the hostile.
func kinds() map[string]kind {
	allow := func(context.Context, *sdk.Release) (*sdk.Verdict, error) { return sdk.Allow(), nil }
	all := map[string]kind{
		"good": filtering(func(_ context.Context, r *sdk.Release) (*sdk.Verdict, error) {
			switch r.Title {
			case "cats":
				return sdk.Deny("about cats"), nil
			case "later":
				return sdk.Quarantine("not now"), nil
			case "mask":
				return sdk.Mask("b.txt", "unknown"), nil
			case "error":
				return nil, errors.New("I cannot say")
			case "key":
				if len(r.Entries[0].Key) > 0 {
					return sdk.Deny("I have the key"), nil
				}
			}
			v := sdk.Allow()
			v.Labels = map[string]string{"seen": r.Title}
			return v, nil
		}),
		"lies": {hooks: lies, caps: []plugins.Capability{plugins.Publish}, run: lie},
		"a scanner that ends": {
			hooks: []plugins.Hook{plugins.ScanContent}, caps: []plugins.Capability{plugins.Plaintext}, run: func() { os.Exit(0) },
		},
		"acting": {
			hooks: []plugins.Hook{plugins.PlanFetch, plugins.ScanContent, plugins.BeforePublish, plugins.Source, plugins.Mirror, plugins.Render, plugins.Sign, plugins.Observe},
			caps:  []plugins.Capability{plugins.Plaintext, plugins.Publish},
			run:   serve(acting),
		},
		"exits at start": {run: func() {
			os.Stdout.Close() // which is seen before its end
			fmt.Fprint(os.Stderr, "there is a stack\nno module named x")
			os.Exit(7)
		}},
		"panics at start":        {run: func() { panic("oh no") }},
		"closes stdout at start": {run: func() { os.Stdout.Close(); select {} }},
		"exits well at start":    {run: func() { os.Exit(0) }},
		"says nothing":           {run: func() { select {} }},
		"a word on stdout":       {run: func() { fmt.Println("hello"); select {} }},
		"garbage on stdout":      {run: func() { fmt.Println("hello\x1b[2J, world|1|2|3"); select {} }},
		"endless stdout":         {run: func() { endless(os.Stdout) }},
		"endless stderr":         {run: func() { go endless(os.Stderr); serve(func(p *sdk.Plugin) { p.FilterManifest = allow })() }},
		"wrong core protocol":    {run: func() { fmt.Println("9|1|unix|/tmp/x|grpc|"); select {} }},
		"wrong protocol":         {run: func() { fmt.Println("1|99|unix|/tmp/x|grpc|"); select {} }},
		"netrpc":                 {run: func() { fmt.Println("1|1|unix|/tmp/x|netrpc|"); select {} }},
		"another's socket":       {run: func() { fmt.Println("1|1|unix|/run/docker.sock|grpc|"); select {} }},
		"a TCP address":          {run: func() { fmt.Println("1|1|tcp|127.0.0.1:80|grpc|"); select {} }},
		"no TLS behind":          {run: plainServer},
		"garbage behind":         {run: garbageServer},
		"silence behind":         {run: silentServer},
		"exits in mid-call":      filtering(func(context.Context, *sdk.Release) (*sdk.Verdict, error) { os.Exit(3); return nil, nil }),
		"panics in mid-call":     filtering(func(context.Context, *sdk.Release) (*sdk.Verdict, error) { panic("oh") }),
		"hangs in mid-call":      filtering(func(context.Context, *sdk.Release) (*sdk.Verdict, error) { select {} }),
		"spins in mid-call": filtering(func(context.Context, *sdk.Release) (*sdk.Verdict, error) {
			for n := uint64(1); n != 0; n += 2 { // for some centuries
			}
			return nil, nil
		}),
		"a huge reply":       filtering(hugeReply),
		"another decision":   filtering(func(context.Context, *sdk.Release) (*sdk.Verdict, error) { return &sdk.Verdict{Decision: 77}, nil }),
		"no decision":        filtering(func(context.Context, *sdk.Release) (*sdk.Verdict, error) { return &sdk.Verdict{}, nil }),
		"an escape sequence": filtering(func(context.Context, *sdk.Release) (*sdk.Verdict, error) { return sdk.Deny("\x1b[2J"), nil }),
		"a long reason": filtering(func(context.Context, *sdk.Release) (*sdk.Verdict, error) {
			return sdk.Deny(strings.Repeat("x", 1<<20)), nil
		}),
		"huge headers": filtering(func(ctx context.Context, _ *sdk.Release) (*sdk.Verdict, error) {
			_ = grpc.SetHeader(ctx, metadata.Pairs("x", strings.Repeat("x", 1<<20)))
			return sdk.Allow(), nil
		}),
		"eats memory":     filtering(func(context.Context, *sdk.Release) (*sdk.Verdict, error) { return eat() }),
		"a fork bomb":     filtering(func(context.Context, *sdk.Release) (*sdk.Verdict, error) { return bomb() }),
		"another id":      {run: func() { sdk.Serve(sdk.Plugin{ID: "other", Version: "1.0.0", FilterManifest: allow}) }},
		"another version": {run: func() { sdk.Serve(sdk.Plugin{ID: "tested", Version: "2.0.0", FilterManifest: allow}) }},
		"other hooks":     {run: func() { sdk.Serve(sdk.Plugin{ID: "tested", Version: "1.0.0", ScanContent: scanAll}) }},
		"refuses its config": {run: serve(func(p *sdk.Plugin) {
			p.FilterManifest = allow
			p.Configure = func(context.Context, sdk.Setup) error { return errors.New("no list") }
		})},
		"opens what it may not": filtering(snoop),
	}
	maps.Copy(all, systemKinds())
	maps.Copy(all, hostileInHooks())
	mem := all["eats memory"]
	mem.memory = "768MiB" // under the race detector it takes more than 256 MiB to start
	all["eats memory"] = mem
	for name, k := range all {
		if k.hooks == nil {
			k.hooks = []plugins.Hook{plugins.FilterManifest}
		}
		all[name] = k
	}
	return all
}

func be(name string) {
	k, ok := kinds()[name]
	if !ok {
		panic(name)
	}
	k.run()
}

func endless(w io.Writer) {
	junk := []byte(strings.Repeat("junk ", 1000))
	for {
		if _, err := w.Write(junk); err != nil {
			select {}
		}
	}
}

func scanAll(_ context.Context, _ *sdk.ScanStart, r io.Reader) (*sdk.Verdict, error) {
	_, err := io.Copy(io.Discard, r)
	return sdk.Allow(), err
}

func hugeReply(context.Context, *sdk.Release) (*sdk.Verdict, error) {
	v := sdk.Allow()
	for range 64 {
		v.Mask = append(v.Mask, strings.Repeat("x", 1<<20))
	}
	return v, nil
}

func eat() (*sdk.Verdict, error) {
	var kept [][]byte
	for range 64 {
		b := make([]byte, 16<<20)
		for i := range b {
			b[i] = 1
		}
		kept = append(kept, b)
	}
	runtime.KeepAlive(kept)
	return sdk.Deny("there is more memory"), nil
}

func bomb() (*sdk.Verdict, error) {
	for range 1000 {
		cmd := exec.Command("/proc/self/exe", "be", "says nothing")
		if err := cmd.Start(); err != nil {
			return sdk.Quarantine("it cannot fork"), nil
		}
	}
	return sdk.Deny("it forked"), nil
}

// snoop tries what was not granted, and says what it could.
func snoop(context.Context, *sdk.Release) (*sdk.Verdict, error) {
	var could []string
	if _, err := os.ReadDir("/root"); err == nil {
		could = append(could, "home")
	}
	if _, err := os.ReadFile("/etc/passwd"); err == nil {
		could = append(could, "passwd")
	}
	if _, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
		could = append(could, "listen")
	}
	if err := syscall.Kill(os.Getppid(), 0); err == nil && os.Getppid() > 1 {
		could = append(could, "signal")
	}
	for _, kv := range os.Environ() {
		switch name, _, _ := strings.Cut(kv, "="); name {
		case "PATH", "LANG", "HOME", "TMPDIR", "GOMEMLIMIT", "PWD", plugins.CookieKey:
		default:
			if !strings.HasPrefix(name, "PLUGIN_") && strings.Contains(kv, "=") {
				could = append(could, "variable "+name)
			}
		}
	}
	return sdk.Deny("could: " + strings.Join(could, ", ")), nil
}

// ownSocket listens where go-plugin would.
func ownSocket() (net.Listener, string) {
	path := filepath.Join(os.Getenv("PLUGIN_UNIX_SOCKET_DIR"), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		panic(err)
	}
	return l, path
}

func plainServer() {
	l, path := ownSocket()
	fmt.Printf("1|1|unix|%s|grpc|\n", path)
	_ = grpc.NewServer().Serve(l)
}

func garbageServer() {
	l, path := ownSocket()
	fmt.Printf("1|1|unix|%s|grpc|%s\n", path, strings.Repeat("A", 80))
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go endless(c)
	}
}

func silentServer() {
	l, path := ownSocket()
	fmt.Printf("1|1|unix|%s|grpc|\n", path)
	for {
		if _, err := l.Accept(); err != nil {
			return
		}
	}
}

// acting has all hooks but the filter.
func acting(p *sdk.Plugin) {
	var state string
	p.Configure = func(_ context.Context, s sdk.Setup) error {
		state = s.State
		if s.Has(plugins.Network) || !s.Has(plugins.Publish) {
			return errors.New("it was granted something else")
		}
		return nil
	}
	p.PlanFetch = func(_ context.Context, plan *sdk.Plan) ([]*sdk.PlanChange, error) {
		switch plan.Subscription {
		case "keys":
			return []*sdk.PlanChange{{Name: "a.txt", Skip: hasKey(plan.Release.Entries...)}}, nil
		case "far":
			return []*sdk.PlanChange{{Name: "a.txt", Priority: maxPriority + 1}}, nil
		case "deep":
			return []*sdk.PlanChange{{Name: "a.txt", Priority: -maxPriority - 1}}, nil
		case "long":
			return []*sdk.PlanChange{{Name: "a.txt", Path: strings.Repeat("x", channel.MaxName+1)}}, nil
		case "said":
			return []*sdk.PlanChange{{Name: "a.txt", Skip: true, Reason: "\x1b[2J"}}, nil
		}
		return []*sdk.PlanChange{{Name: "a.txt", Skip: true, Reason: "not a"}, {Name: "b.txt", Priority: 5, Path: "else/b.txt"}, {Name: "unknown", Skip: true}}, nil
	}
	p.ScanContent = func(_ context.Context, s *sdk.ScanStart, r io.Reader) (*sdk.Verdict, error) {
		head := make([]byte, 5)
		if _, err := io.ReadFull(r, head); err == nil && string(head) == "virus" {
			return sdk.Deny("a virus"), nil // before it has read everything
		}
		if string(head) == "error" {
			return nil, status.Error(codes.Internal, "I cannot say")
		}
		if string(head) == "exit!" {
			os.Exit(4)
		}
		if hasKey(s.Entry) {
			return sdk.Deny("I have the key"), nil
		}
		h := sha256.New()
		h.Write(head)
		if _, err := io.Copy(h, r); err != nil {
			return nil, err
		}
		if string(h.Sum(nil)) != string(s.Entry.Sha256) {
			return sdk.Deny("other bytes"), nil
		}
		return sdk.Allow(), nil
	}
	p.BeforePublish = func(_ context.Context, _ string, d *sdk.Draft) error {
		switch d.Title {
		case "bad":
			return sdk.Denied("no notes")
		case "swap":
			d.Files[0].Sha256[0] ^= 1
		case "add":
			d.Files = append(d.Files, &sdk.DraftFile{Name: "more"})
		case "quota":
			return status.Error(codes.ResourceExhausted, strings.Repeat("my quota ", 10_000))
		default:
			d.Title += ", checked"
			d.Files = d.Files[:1]
			d.Files[0].Attrs = map[string]string{"checked": "yes"}
		}
		return nil
	}
	p.Source, p.Mirror, p.Signer = source{}, &mirror{blobs: map[[32]byte][]byte{}}, signer{}
	p.Render = func(_ context.Context, s *sdk.RenderStart, releases iter.Seq2[*sdk.Release, error], w io.Writer) (string, error) {
		fmt.Fprintf(w, "%s as %s\n", s.Title, s.Format)
		for r, err := range releases {
			if err != nil {
				return "", err
			}
			if fmt.Fprintln(w, r.Title); hasKey(r.Entries...) {
				fmt.Fprintln(w, "I have the key")
			}
		}
		return "text/plain", nil
	}
	var again atomic.Bool
	p.Observe = func(_ context.Context, e *sdk.Event) error {
		if strings.Contains(e.Json, "later") && !again.Swap(true) {
			return status.Error(codes.Internal, "not now")
		}
		f, err := os.OpenFile(filepath.Join(state, "events"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		fmt.Fprintln(f, e.Event, e.Json)
		if err := f.Close(); err != nil {
			return err
		}
		if strings.Contains(e.Json, "die") {
			os.Exit(9) // before it says that it has dealt with it
		}
		return nil
	}
}

func hasKey(entries ...*sdk.Entry) bool {
	return slices.ContainsFunc(entries, func(e *sdk.Entry) bool { return len(e.Key) > 0 })
}

type source struct{}

func (source) Poll(ctx context.Context, from string, cursor []byte, yield func(*sdk.Item, []byte) error) error {
	switch from {
	case "stuck":
		<-ctx.Done()
		return ctx.Err()
	case "quota":
		return status.Error(codes.ResourceExhausted, "my quota")
	case "empty for ever":
		for {
			if err := yield(nil, cursor); err != nil {
				return err
			}
		}
	case "cursors for ever":
		for n := 0; ; n++ {
			if err := yield(nil, fmt.Append(nil, n)); err != nil {
				return err
			}
		}
	case "still at it":
		for range 2 * maxEmpty / 3 {
			if err := yield(nil, cursor); err != nil {
				return err
			}
		}
	case "no id":
		return yield(&sdk.Item{}, nil)
	case "a long id":
		return yield(&sdk.Item{Id: strings.Repeat("x", maxItemID+1)}, nil)
	case "a long cursor":
		return yield(nil, make([]byte, maxCursor+1))
	case "many files":
		return yield(&sdk.Item{Id: "many", Files: make([]*sdk.ItemFile, maxItem+1)}, nil)
	}
	ids := []string{"one", "two", "three"}
	for _, id := range ids[slices.Index(ids, string(cursor))+1:] {
		if err := yield(&sdk.Item{Id: id, Title: id}, []byte(id)); err != nil {
			return err
		}
	}
	return nil
}

func (source) Open(ctx context.Context, handle string, offset int64) (io.ReadCloser, error) {
	if handle == "stuck" {
		<-ctx.Done()
	}
	return io.NopCloser(strings.NewReader(strings.Repeat(handle, 200_000)[offset:])), nil
}

type mirror struct{ blobs map[[32]byte][]byte }

func (m *mirror) Put(_ context.Context, id [32]byte, _ int64, r io.Reader) (err error) {
	m.blobs[id], err = io.ReadAll(r)
	return err
}
func (m *mirror) Has(_ context.Context, id [32]byte) (bool, error) { return m.blobs[id] != nil, nil }
func (m *mirror) Get(_ context.Context, id [32]byte) (io.ReadCloser, error) {
	b, ok := m.blobs[id]
	if !ok {
		return nil, os.ErrNotExist
	}
	if strings.HasPrefix(string(b), "rot") {
		b = []byte("other bytes")
	}
	return io.NopCloser(strings.NewReader(string(b))), nil
}
func (m *mirror) Delete(_ context.Context, id [32]byte) error { delete(m.blobs, id); return nil }

type signer struct{}

var signKey = ed25519.NewKeyFromSeed(make([]byte, 32))

func (signer) PublicKeys(context.Context) ([][]byte, error) {
	return [][]byte{signKey.Public().(ed25519.PublicKey)}, nil
}
func (signer) Sign(_ context.Context, _, message []byte) ([]byte, error) {
	if string(message) == "other" {
		message = []byte("else")
	}
	return ed25519.Sign(signKey, message), nil
}

// tested is a host with one plugin, and all that could leak.
type tested struct {
	*Host
	shelf   *shelf.Shelf
	dir     string
	sockets string
	journal *Journal
	stop    func()
}

type options struct {
	kind    string
	granted []plugins.Capability // nil: all that it declares
	host    func(*Config)
	lock    func(*plugins.Installed)
}

// run installs and runs the test binary as a plugin.
func run(t testing.TB, o options) *tested {
	t.Helper()
	dir := t.TempDir()
	x := &tested{dir: dir, sockets: filepath.Join(dir, "s")}
	if len(x.sockets) > 60 { // a socket's path has to be short
		short, err := os.MkdirTemp("", "aml")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(short) })
		x.sockets = short
	}
	if err := os.MkdirAll(x.sockets, 0o700); err != nil {
		t.Fatal(err)
	}
	var err error
	if x.shelf, err = shelf.Open(filepath.Join(dir, "plugins"), nil); err != nil {
		t.Fatal(err)
	}
	x.install(t, o)
	if x.journal, err = OpenJournal(context.Background(), filepath.Join(dir, "events.db")); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		Shelf: x.shelf, Launcher: []string{self, confine.Verb}, Sockets: x.sockets, Journal: x.journal, Version: "test", Log: slog.New(slog.DiscardHandler),
		Backoff: []time.Duration{time.Millisecond, time.Millisecond}, StopTimeout: 500 * time.Millisecond, StartTimeout: time.Minute,
		// On a busy machine a good plugin may be slow.
		Deadline: func(r plugins.Rule) time.Duration { return max(r.Deadline, 20*time.Second) },
	}
	if o.host != nil {
		o.host(&cfg)
	}
	if x.Host, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{}, 2)
	go func() { x.journal.Run(ctx); ended <- struct{}{} }()
	go func() { x.Run(ctx); ended <- struct{}{} }()
	stopped := false
	x.stop = func() {
		if !stopped {
			stopped = true
			cancel()
			<-ended
			<-ended
			x.journal.Close()
		}
	}
	t.Cleanup(x.stop)
	for x.running() == nil { // until Run has looked
		runtime.Gosched()
	}
	return x
}

func (x *tested) running() context.Context {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.ctx == nil || len(x.members) == 0 {
		return nil
	}
	return x.ctx
}

func (x *tested) install(t testing.TB, o options) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	k, from := kinds()[o.kind], t.TempDir()
	binary := filepath.Join(from, "plugin")
	if err := os.Link(self, binary); err != nil { // the shelf makes its copy
		data, err := os.ReadFile(self)
		if err == nil {
			err = os.WriteFile(binary, data, 0o700)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	text := fmt.Sprintf("format: 1\nid: tested\nversion: 1.0.0\nhooks: [%s]\ncapabilities: [%s]\nbinaries: {any: plugin}\nargs: [be, %q]\nmemory: %s\n",
		join(k.hooks), join(k.caps), o.kind, orElse(k.memory, "1GiB"))
	if err := os.WriteFile(filepath.Join(from, plugins.ManifestFile), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	st, err := x.shelf.Stage(context.Background(), from)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if _, err := st.Install(from, func(p *plugins.Installed) error {
		p.Enabled, p.Granted = true, o.granted
		if o.granted == nil {
			p.Granted = k.caps
		}
		if o.lock != nil {
			o.lock(p)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func join[T ~string](list []T) string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = string(s)
	}
	return strings.Join(out, ", ")
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// eventually waits until something is so that no channel tells.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(2 * time.Minute)
	defer end.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-end.C:
			t.Fatalf("in vain: %s", what)
		}
	}
}
