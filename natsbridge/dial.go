package natsbridge

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/anonymous-media-library/aml/internal/secretfile"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	dialTimeout = 10 * time.Second
	callTimeout = 5 * time.Second // of one call of JetStream's API
	ackTimeout  = 5 * time.Second // of a message that was put there
	firstPause  = 500 * time.Millisecond
	longest     = 30 * time.Second // between two attempts to connect
	maxSecret   = 64 << 10         // file of credentials
)

// Conn is a connection to NATS with JetStream. Close closes it.
type Conn struct {
	nc    *nats.Conn
	js    jetstream.JetStream
	names names
	wrong *refusals
}

// Close ends the connection.
func (c *Conn) Close() { c.nc.Close() }

// Flush returns when the server has what was sent so far, or after a second.
func (c *Conn) Flush() { _ = c.nc.FlushTimeout(time.Second) }

// Connected reports whether there is a connection now; one that broke is mended by
// itself.
func (c *Conn) Connected() bool { return c.nc.IsConnected() }

// Backoff is the pause after so many failures in a row: from half a second to 30 s,
// less up to half of it.
func Backoff(attempts int) time.Duration { return backoff(firstPause, attempts, longest) }

// Dial connects once, and checks that there is JetStream. Errors wrap ErrConfig,
// ErrCredentials or ErrNoJetStream where trying again unchanged cannot help.
func Dial(ctx context.Context, s Server, network string) (*Conn, error) {
	if err := ValidNetwork(network); err != nil {
		return nil, err
	}
	return dial(ctx, s, network, true, func(Event) {})
}

func dial(ctx context.Context, s Server, network string, streams bool, tell func(Event)) (*Conn, error) {
	wrong := &refusals{}
	opts, err := s.options(wrong.heard(tell))
	if err != nil {
		return nil, err
	}
	url := strings.Join(s.URLs, ",")
	nc, err := nats.Connect(url, opts...)
	if err != nil {
		return nil, explain(fmt.Errorf("connecting to NATS at %s: %w", s.shown(), err))
	}
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(2*window), jetstream.WithPublishAsyncTimeout(ackTimeout))
	if err == nil && streams {
		err = hasJetStream(ctx, js)
	}
	if err != nil {
		nc.Close()
		return nil, explain(fmt.Errorf("NATS at %s: %w", s.shown(), err))
	}
	return &Conn{nc: nc, js: js, names: newNames(network), wrong: wrong}, nil
}

// shown is what people are told of the server.
func (s Server) shown() string {
	if len(s.URLs) == 0 {
		return "the built-in server"
	}
	return strings.Join(s.URLs, ", ")
}

// hasJetStream asks for what the account has. A user that may not ask is not
// refused for it: its first stream tells.
func hasJetStream(ctx context.Context, js jetstream.JetStream) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout/3)
	defer cancel()
	_, err := js.AccountInfo(ctx)
	if errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount) || errors.Is(err, nats.ErrNoResponders) {
		return err
	}
	return nil
}

func (s Server) options(tell func(Event)) ([]nats.Option, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	opts := []nats.Option{
		nats.Name("aml"), nats.Timeout(dialTimeout), nats.MaxReconnects(-1), nats.ReconnectBufSize(-1),
		nats.IgnoreAuthErrorAbort(), nats.NoEcho(), nats.PingInterval(20 * time.Second), nats.MaxPingsOutstanding(2),
		nats.CustomReconnectDelay(func(attempts int) time.Duration { return backoff(firstPause, attempts-1, longest) }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil { // else it was closed from here
				tell(Event{Kind: EventDisconnected, Server: s.shown(), Err: err})
			}
		}),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) {
			if errors.Is(explain(err), ErrCredentials) { // that a server is away was said once
				tell(Event{Kind: EventFailed, Server: s.shown(), Err: explain(err)})
			}
		}),
		nats.ErrorHandler(s.onError(tell)),
	}
	if s.Inbox != "" {
		opts = append(opts, nats.CustomInboxPrefix(s.Inbox))
	}
	if s.Local != nil {
		user, password := s.Local.Login()
		return append(opts, nats.InProcessServer(s.Local), nats.UserInfo(user, password)), nil
	}
	if s.CA != "" {
		text, err := os.ReadFile(s.CA)
		if err != nil {
			return nil, fmt.Errorf("certificates of the NATS server: %w", err)
		}
		if !x509.NewCertPool().AppendCertsFromPEM(text) {
			return nil, wrong("%s holds no certificate, in PEM", s.CA)
		}
		opts = append(opts, nats.RootCAs(s.CA))
	}
	secret, err := s.secret()
	return append(opts, secret...), err
}

// secret reads the file of credentials, which nobody else may.
func (s Server) secret() ([]nats.Option, error) {
	switch {
	case s.Creds != "":
		data, err := secretfile.Read(s.Creds, maxSecret)
		if err != nil {
			return nil, fmt.Errorf("NATS credentials %s: %w", s.Creds, err)
		}
		if !strings.Contains(string(data), "BEGIN NATS USER JWT") || !strings.Contains(string(data), "BEGIN USER NKEY SEED") {
			return nil, wrong("%s holds no NATS user credentials (a JWT and a seed, as `nsc generate creds` writes); a seed alone goes with --nkey", s.Creds)
		}
		return []nats.Option{nats.UserCredentialBytes(data)}, nil
	case s.NKey != "":
		if _, err := secretfile.Read(s.NKey, maxSecret); err != nil {
			return nil, fmt.Errorf("NATS nkey %s: %w", s.NKey, err)
		}
		opt, err := nats.NkeyOptionFromSeed(s.NKey)
		if err != nil {
			return nil, wrong("%s holds no seed of a NATS user (SU...)", s.NKey)
		}
		return []nats.Option{opt}, nil
	}
	return nil, nil
}

// onError tells of what the server reports by itself: most of all a subject that
// the account may not use, which calls would only see as silence.
func (s Server) onError(tell func(Event)) nats.ErrHandler {
	told := newRecent[string, bool](64)
	return func(_ *nats.Conn, _ *nats.Subscription, err error) {
		if errors.Is(err, nats.ErrSlowConsumer) {
			return // what is dropped of untrusted input its sender sends again
		}
		text := err.Error()
		text = withoutPort(text)
		if _, again := told.get(text); again {
			return
		}
		told.put(text, true)
		tell(Event{Kind: EventFailed, Server: s.shown(), Err: explain(err)})
	}
}

// reason is an error whose text is shown with what is to be done about it.
type reason struct {
	error
	is error
}

func (r reason) Error() string        { return fmt.Sprintf("%v: %v", r.error, r.is) }
func (r reason) Is(target error) bool { return target == r.is }
func (r reason) Unwrap() error        { return r.error }

// explain adds the remedy to an error of nats.go.
func explain(err error) error {
	if r := (reason{}); err == nil || errors.Is(err, ErrConfig) || errors.As(err, &r) {
		return err
	}
	text := strings.ToLower(err.Error())
	if errors.Is(err, nats.ErrPermissionViolation) || strings.Contains(text, "permissions violation") {
		if strings.Contains(text, "subscription to \"_inbox") {
			return reason{err, ErrInbox}
		}
		return reason{err, ErrRights}
	}
	for _, auth := range []error{nats.ErrAuthorization, nats.ErrAuthExpired, nats.ErrAuthRevoked, nats.ErrAccountAuthExpired, nats.ErrNkeysNotSupported} {
		if errors.Is(err, auth) {
			return reason{err, ErrCredentials}
		}
	}
	if strings.Contains(text, "authorization violation") || strings.Contains(text, "nkeys not supported") {
		return reason{err, ErrCredentials}
	}
	if errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount) || errors.Is(err, nats.ErrNoResponders) {
		return reason{err, ErrNoJetStream}
	}
	for _, full := range []string{"insufficient resources", "insufficient storage", "maximum bytes exceeded", "maximum messages exceeded", "resource limits exceeded", "resources exceeded", "no space left", "storage resources"} {
		if strings.Contains(text, full) {
			return reason{err, ErrFull}
		}
	}
	if strange := (x509.UnknownAuthorityError{}); errors.Is(err, nats.ErrSecureConnWanted) || errors.As(err, &strange) {
		return reason{err, ErrTLS}
	}
	if errors.Is(err, nats.ErrMaxPayload) || strings.Contains(text, "message size exceeds maximum") {
		return reason{err, ErrTooLarge}
	}
	if errors.Is(err, jetstream.ErrAsyncPublishTimeout) || errors.Is(err, nats.ErrTimeout) || errors.Is(err, context.DeadlineExceeded) {
		return reason{err, ErrSilent}
	}
	return err
}

// Hopeless reports whether an error of Dial, or of what a Conn opens, stays when it is
// tried again unchanged.
func Hopeless(err error) bool {
	for _, is := range []error{ErrConfig, ErrCredentials, ErrRights, ErrInbox, ErrNoJetStream, ErrTLS, ErrStream, secretfile.ErrExposed, secretfile.ErrUnusable, os.ErrNotExist, os.ErrPermission} {
		if errors.Is(err, is) {
			return true
		}
	}
	return false
}

// backoff is a pause after so many failures in a row: it doubles from first on up
// to most, and is half of that to all of it, so that many who lost one server do
// not come back at once.
func backoff(first time.Duration, attempts int, most time.Duration) time.Duration {
	d := first
	for range min(attempts, 16) {
		if d *= 2; d >= most {
			d = most
			break
		}
	}
	return d/2 + rand.N(d/2+1)
}

// rest waits, or until ctx ends.
func rest(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
