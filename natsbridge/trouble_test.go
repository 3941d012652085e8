package natsbridge

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"github.com/anonymous-media-library/aml/internal/channeltest"
	"github.com/anonymous-media-library/aml/internal/secretfile"
)

// runs runs a bridge that must end by itself.
func runs(t testing.TB, cfg Config) error {
	t.Helper()
	b, err := New(cfg)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err = b.Run(ctx)
	if ctx.Err() != nil {
		t.Fatal("the bridge does not end")
	}
	return err
}

func TestWhatCannotWorkEndsTheBridgeAtItsStart(t *testing.T) {
	t.Parallel()
	c := channeltest.NewChannel(t, "c")
	at := newSite(t, "at", c.ID)
	without := startServer(t, "", nil)
	user, seed := newUser(t)
	_, strangersSeed := newUser(t)
	locked := startServer(t, t.TempDir(), func(o *server.Options) { o.Nkeys = []*server.NkeyUser{{Nkey: user}} })
	other := startServer(t, t.TempDir(), nil)
	_, js := client(t, other.ClientURL())
	n := newNames(DefaultNetwork)
	loose := n.manifests(1)
	loose.DiscardNewPerSubject, loose.MaxMsgsPerSubject = false, -1
	if _, err := js.CreateStream(t.Context(), loose); err != nil {
		t.Fatal(err)
	}
	open := filepath.Join(t.TempDir(), "open")
	if err := os.WriteFile(open, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	none := file(t, "nothing of the kind")
	for what, c := range map[string]struct {
		server Server
		is     error
		says   string
	}{
		"no server":             {Server{}, ErrConfig, "no NATS server"},
		"no URL":                {Server{URLs: []string{"::"}}, ErrConfig, "NATS URL"},
		"another protocol":      {Server{URLs: []string{"http://127.0.0.1:1"}}, ErrConfig, "nats://"},
		"a port that is none":   {Server{URLs: []string{"nats://127.0.0.1:99999"}}, ErrConfig, "1 to 65535"},
		"port 0":                {Server{URLs: []string{"nats://127.0.0.1:0"}}, ErrConfig, "1 to 65535"},
		"no port after a colon": {Server{URLs: []string{"nats://127.0.0.1:"}}, ErrConfig, "1 to 65535"},
		"a path":                {Server{URLs: []string{"nats://127.0.0.1:4222/path"}}, ErrConfig, "HOST:PORT"},
		"a password in the URL": {Server{URLs: []string{"nats://me:hidden@127.0.0.1:1"}}, ErrConfig, "--creds"},
		"two credentials":       {Server{URLs: []string{without.ClientURL()}, Creds: "a", NKey: "b"}, ErrConfig, "one of them"},
		"without JetStream":     {Server{URLs: urls(without)}, ErrNoJetStream, "jetstream {}"},
		"without credentials":   {Server{URLs: urls(locked)}, ErrCredentials, "--creds"},
		"wrong credentials":     {Server{URLs: urls(locked), NKey: file(t, strangersSeed)}, ErrCredentials, "--nkey"},
		"no seed":               {Server{URLs: urls(locked), NKey: none}, ErrConfig, "seed"},
		"no credentials there":  {Server{URLs: urls(locked), Creds: none}, ErrConfig, "nsc generate creds"},
		"no such file":          {Server{URLs: urls(locked), Creds: none + "x"}, os.ErrNotExist, none + "x"},
		"others may read it":    {Server{URLs: urls(locked), Creds: open}, secretfile.ErrExposed, "chmod 600"},
		"no certificates":       {Server{URLs: urls(locked), CA: none + "x"}, os.ErrNotExist, "certificates"},
		"another stream":        {Server{URLs: urls(other)}, ErrStream, "nats stream rm aml_main_MANIFESTS"},
	} {
		cfg := at.config()
		cfg.Server = c.server
		err := runs(t, cfg)
		if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: %v", what, err)
		}
	}
	cfg := at.config()
	cfg.Server = Server{URLs: urls(locked), NKey: file(t, seed)}
	at.bridge(cfg)
	at.connected() // the right ones
}

func newUser(t testing.TB) (public, seed string) {
	t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err = pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	s, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	return public, string(s)
}

// file writes a secret.
func file(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAServerThatIsNotThereYetIsWaitedFor(t *testing.T) {
	t.Parallel()
	c := channeltest.NewChannel(t, "c")
	at := newSite(t, "at", c.ID)
	port := freePorts(t, 1)[0]
	at.bridge(at.config(fmt.Sprintf("nats://127.0.0.1:%d", port)))
	until(t, "it says that nobody is there", func() bool { return len(at.saw(EventFailed)) > 0 })
	startServer(t, t.TempDir(), func(o *server.Options) { o.Port = port })
	at.connected()
}

func TestAFullServerLosesNothing(t *testing.T) {
	t.Parallel()
	s := startServer(t, t.TempDir(), nil)
	_, js := client(t, s.ClientURL())
	n := newNames(DefaultNetwork)
	cfg := n.manifests(1)
	cfg.MaxBytes = 20 << 10
	if _, err := js.CreateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	c := channeltest.NewChannel(t, "c")
	left, right := newSite(t, "left", c.ID), newSite(t, "right", c.ID)
	left.append(c.Envelope)
	want := releases(c, 60)
	left.append(want...)
	left.bridge(left.config(s.ClientURL()))
	right.bridge(right.config(s.ClientURL()))
	until(t, "it says that the server is full, and what to do", func() bool {
		for _, e := range left.saw(EventFailed) {
			if errors.Is(e.Err, ErrFull) && strings.Contains(e.Err.Error(), "nothing is lost") {
				return true
			}
		}
		return false
	})
	cfg.MaxBytes = -1
	if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	right.has(c)
	right.whole(c, want)
}

func TestAMessageThatIsTooLargeForTheServerKeepsNoOtherBack(t *testing.T) {
	t.Parallel()
	s := startServer(t, t.TempDir(), func(o *server.Options) { o.MaxPayload = 16 << 10 })
	c, big := channeltest.NewChannel(t, "c"), channeltest.NewChannel(t, "big")
	left, right := newSite(t, "left", big.ID, c.ID), newSite(t, "right", big.ID, c.ID)
	var names []string
	for i := range 60 {
		names = append(names, strings.Repeat("x", 200)+string(rune('a'+i%26))+string(rune('a'+i/26)))
	}
	left.append(big.Envelope)
	left.append(big.Files(names...))
	left.append(c.Envelope)
	left.append(releases(c, 2)...)
	left.bridge(left.config(s.ClientURL()))
	right.bridge(right.config(s.ClientURL()))
	right.has(c)
	until(t, "it says which is too large", func() bool {
		for _, e := range left.saw(EventFailed) {
			if errors.Is(e.Err, ErrTooLarge) && strings.Contains(e.Err.Error(), "max_payload") {
				return true
			}
		}
		return false
	})
}

func TestBackoffIsBoundedAndVaries(t *testing.T) {
	t.Parallel()
	seen := map[time.Duration]bool{}
	for attempts := range 100 {
		d := backoff(250*time.Millisecond, attempts, longest)
		if d <= 0 || d > longest {
			t.Errorf("pause %d is %v", attempts, d)
		}
		seen[d] = true
	}
	if len(seen) < 50 {
		t.Errorf("of 100 pauses %d are different", len(seen))
	}
}
