package httpmirror

import (
	"context"
	"errors"
	"net"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestPushToAServerThatCannotBeReachedEndsSoonAndSaysWhy(t *testing.T) {
	refused := errors.New("connection refused")
	for name, dial := range map[string]func(context.Context) error{
		"refuses": func(context.Context) error { return refused },
		"is silent": func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, ids := some(t, 300)
				var dials, told atomic.Int32
				link := Link{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
					dials.Add(1)
					return nil, dial(ctx)
				}}
				const workers = 4
				begun := time.Now()
				r, err := Push(t.Context(), PushConfig{
					Target: "https://me:secret@mirror.example/x?token=hidden", Source: store, IDs: each(ids), Link: link, Workers: workers,
					OnProgress: func(r PushResult) {
						if told.Add(1) == 1 && (r.Trouble == nil || dials.Load() > workers) {
							t.Errorf("told first of %+v after %d connections", r, dials.Load())
						}
					},
				})
				if !errors.Is(err, ErrIncomplete) || !strings.Contains(err.Error(), "https://mirror.example/x") ||
					strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "hidden") {
					t.Errorf("got %v", err)
				}
				if trouble := r.Trouble.Error(); !strings.Contains(trouble, "https://mirror.example/x") || strings.Contains(trouble, "secret") || strings.Contains(trouble, "hidden") {
					t.Errorf("told first: %s", trouble)
				}
				if name == "refuses" && !errors.Is(err, refused) {
					t.Errorf("it is not said why: %v", err)
				}
				if r.Failed != 1 || len(r.Failures) != 1 || r.Sent+r.Skipped != 0 || dials.Load() > maxSilent+workers {
					t.Errorf("%+v after %d connections", r, dials.Load())
				}
				if took := time.Since(begun); took > 2*time.Minute { // of the test's clock
					t.Errorf("it took %v", took)
				}
				if told.Load() == 0 {
					t.Error("nobody was told before the end")
				}
			})
		})
	}
}

func TestPushGoesOnWhenAServerIsThereAMomentLater(t *testing.T) {
	d := &dav{files: map[string][]byte{}}
	srv := httptest.NewServer(d)
	defer srv.Close()
	store, ids := some(t, 10)
	var dials atomic.Int32
	link := Link{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		if dials.Add(1) <= 2 {
			return nil, errors.New("connection refused")
		}
		var d net.Dialer
		return d.DialContext(ctx, network, addr)
	}}
	r, err := Push(t.Context(), PushConfig{Target: srv.URL, Source: store, IDs: each(ids), Link: link})
	if err != nil || r.Sent != 10 || r.Failed != 0 || r.Trouble == nil {
		t.Errorf("%+v, %v", r, err)
	}
}
