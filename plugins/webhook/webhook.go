// Package webhook is a bundled plugin that posts the node's events to a web
// service of the operator's: one after another, each until it was taken, so that
// none is lost while the service is away; the host keeps how far it is.
//
// The receiver knows by an HMAC that a post is genuine and how old it is. It must
// never follow a redirect, which would hand the event to somebody else, nor write
// the secret down.
package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	_ "embed" // plugin.yaml
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/anonymous-media-library/aml/plugins"
	"github.com/anonymous-media-library/aml/plugins/sdk"
)

//go:embed plugin.yaml
var manifest []byte

// Manifest is its plugin.yaml.
func Manifest() []byte { return manifest }

// New returns the plugin.
func New() sdk.Plugin {
	w := &webhook{
		now: time.Now, wait: wait,
		client: &http.Client{
			Timeout:       30 * time.Second,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport:     &http.Transport{TLSHandshakeTimeout: 10 * time.Second, MaxResponseHeaderBytes: 64 << 10, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true},
		},
	}
	return sdk.Plugin{ID: "webhook", Version: "1.0.0", Configure: w.configure, Observe: w.observe}
}

// Headers of a post.
const (
	headerEvent     = "X-AML-Event"
	headerDelivery  = "X-AML-Delivery"  // the event's number: one that comes again has the same
	headerSignature = "X-AML-Signature" // t=SECONDS,v1=HEX
)

// Pauses between tries.
const (
	firstPause = time.Second
	lastPause  = 5 * time.Minute
)

type webhook struct {
	now    func() time.Time
	wait   func(context.Context, time.Duration) error
	client *http.Client
	url    string
	secret []byte
	events map[string]bool // nil: all
}

func (w *webhook) configure(_ context.Context, s sdk.Setup) error {
	u, err := url.Parse(s.Config["url"])
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return errors.New("url: want http:// or https://, and no name and password in it")
	}
	w.url, w.secret = s.Config["url"], []byte(s.Config["secret"])
	if len(w.secret) < 16 {
		return errors.New("secret: want 16 characters at least")
	}
	for name := range strings.SplitSeq(s.Config["events"], ",") {
		if name = strings.TrimSpace(name); name != "" {
			if w.events == nil {
				w.events = map[string]bool{}
			}
			w.events[name] = true
		}
	}
	if !s.Has(plugins.Network) {
		return errors.New("it posts: grant the capability network")
	}
	return nil
}

// post is what is posted.
type post struct {
	Delivery uint64          `json:"delivery"`
	Time     int64           `json:"time"` // seconds since 1970
	Event    string          `json:"event"`
	Missed   uint64          `json:"missed,omitempty"` // events before it that were dropped
	Data     json.RawMessage `json:"data"`
}

// errRefused: the receiver will not take it, however often it is posted.
var errRefused = errors.New("refused for good")

func (w *webhook) observe(ctx context.Context, e *sdk.Event) error {
	if w.events != nil && !w.events[e.Event] {
		return nil
	}
	data := json.RawMessage(e.Json)
	if !json.Valid(data) {
		data = json.RawMessage("null")
	}
	body, err := json.Marshal(post{e.Cursor, e.Time, e.Event, e.Missed, data})
	if err != nil {
		return err
	}
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		after, err := w.send(ctx, e, body)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, errRefused):
			log.Printf("event %d (%s) is given up: %v", e.Cursor, e.Event, err)
			return nil
		}
		log.Printf("event %d (%s) is tried again: %v", e.Cursor, e.Event, err)
		if err := w.wait(ctx, max(pause, min(after, lastPause))); err != nil {
			return err
		}
	}
}

// send posts once. after is how long the receiver wants to be left alone.
func (w *webhook) send(ctx context.Context, e *sdk.Event, body []byte) (after time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errRefused, err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "aml-webhook/1.0")
	req.Header.Set(headerEvent, e.Event)
	req.Header.Set(headerDelivery, strconv.FormatUint(e.Cursor, 10))
	req.Header.Set(headerSignature, sign(w.secret, w.now().Unix(), body))
	res, err := w.client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) { // the URL may have a secret in it
			err = u.Err
		}
		return 0, err
	}
	defer res.Body.Close()
	_, _ = io.CopyN(io.Discard, res.Body, 64<<10) // so that the connection is used again
	switch code := res.StatusCode; {
	case code/100 == 2:
		return 0, nil
	case code == http.StatusRequestTimeout, code == http.StatusTooEarly, code == http.StatusTooManyRequests, code >= 500:
		if n, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && n > 0 && n < 1<<20 {
			after = time.Duration(n) * time.Second
		}
		return after, fmt.Errorf("the receiver says %.40s", res.Status)
	}
	return 0, fmt.Errorf("%w: the receiver says %.40s", errRefused, res.Status)
}

// sign is the signature header: HMAC-SHA-256 over the seconds, a full stop, and
// the body.
func sign(secret []byte, at int64, body []byte) string {
	t := strconv.FormatInt(at, 10)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(t + "."))
	mac.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
