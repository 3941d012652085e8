package webhook

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/plugins"
	"github.com/anonymous-media-library/aml/plugins/sdk"
)

const secret = "a secret of sixteen and more"

func configured(t *testing.T, url, events string) (*webhook, *[]time.Duration) {
	t.Helper()
	w := &webhook{now: func() time.Time { return time.Unix(1e9, 0) }, client: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	pauses := &[]time.Duration{}
	w.wait = func(ctx context.Context, d time.Duration) error {
		*pauses = append(*pauses, d)
		return ctx.Err()
	}
	err := w.configure(context.Background(), sdk.Setup{Config: map[string]string{"url": url, "secret": secret, "events": events}, Has: func(plugins.Capability) bool { return true }})
	if err != nil {
		t.Fatal(err)
	}
	return w, pauses
}

func TestEventsArePostedInOrderSignedAndAgainUntilTheyAreTaken(t *testing.T) {
	var got []string
	answers := []int{500, 503, 200, 429, 204, 404, 302, 200}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if want := sign([]byte(secret), 1e9, body); r.Header.Get(headerSignature) != want {
			t.Errorf("signature %q, want %q", r.Header.Get(headerSignature), want)
		}
		var p post
		if err := json.Unmarshal(body, &p); err != nil || p.Event != r.Header.Get(headerEvent) || string(p.Data) != `{"a":1}` {
			t.Errorf("%s: %v", body, err)
		}
		got = append(got, r.Header.Get(headerDelivery))
		w.Header().Set("Retry-After", "7")
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(answers[0])
		answers = answers[1:]
	}))
	defer s.Close()
	w, pauses := configured(t, s.URL, "manifest, file")
	for i, name := range []string{"manifest", "file", "ignored", "file", "manifest", "file"} {
		if err := w.observe(context.Background(), &sdk.Event{Cursor: uint64(i), Event: name, Json: `{"a":1}`}); err != nil {
			t.Fatal(err)
		}
	}
	// 404 and a redirect are given up.
	if !slices.Equal(got, []string{"0", "0", "0", "1", "1", "3", "4", "5"}) {
		t.Errorf("posted were %v", got)
	}
	if !slices.Equal(*pauses, []time.Duration{7 * time.Second, 7 * time.Second, 7 * time.Second}) {
		t.Errorf("waited was %v", *pauses)
	}
}

func TestAReceiverThatIsAwayIsWaitedForUntilTheEnd(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	w, pauses := configured(t, s.URL+"/?token=hidden", "")
	ctx, cancel := context.WithCancel(context.Background())
	was := w.wait
	w.wait = func(ctx context.Context, d time.Duration) error {
		if err := was(ctx, d); err != nil {
			return err
		}
		if len(*pauses) == 12 {
			cancel()
		}
		return ctx.Err()
	}
	if err := w.observe(ctx, &sdk.Event{Cursor: 1, Event: "x", Json: "not json"}); err == nil {
		t.Error("it was taken by nobody")
	}
	if (*pauses)[0] != firstPause || (*pauses)[11] != lastPause {
		t.Errorf("waited was %v", *pauses)
	}
	if _, err := w.send(context.Background(), &sdk.Event{}, nil); err == nil || strings.Contains(err.Error(), "hidden") {
		t.Errorf("the error tells the URL: %v", err)
	}
}

func TestAWrongConfigurationIsRefused(t *testing.T) {
	for _, c := range [][2]string{{"", secret}, {"ftp://x/", secret}, {"http://u:p@x/", secret}, {"http://x/", "short"}} {
		err := (&webhook{}).configure(context.Background(), sdk.Setup{Config: map[string]string{"url": c[0], "secret": c[1]}, Has: func(plugins.Capability) bool { return true }})
		if err == nil || strings.Contains(err.Error(), c[1]) {
			t.Errorf("%v: %v", c, err)
		}
	}
	err := (&webhook{}).configure(context.Background(), sdk.Setup{Config: map[string]string{"url": "http://x/", "secret": secret}, Has: func(plugins.Capability) bool { return false }})
	if err == nil || !strings.Contains(err.Error(), "network") {
		t.Errorf("without the network: %v", err)
	}
}
