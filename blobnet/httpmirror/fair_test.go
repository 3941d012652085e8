package httpmirror

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

// narrow is an upload limit that lets nothing through to some.
type narrow struct{ shut map[string]bool }

func (l narrow) Wait(ctx context.Context, peer string, n int) error {
	if l.shut[peer] {
		<-ctx.Done()
	}
	return ctx.Err()
}

// reading is a store that counts what is read from it.
type reading struct {
	blobnet.Store
	bytes atomic.Int64
}

func (s *reading) Get(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
	out, err := s.Store.Get(ctx, id, dst)
	s.bytes.Add(int64(len(out) - len(dst)))
	return out, err
}

func handlerOf(t *testing.T, cfg HandlerConfig) *Handler {
	t.Helper()
	h, err := NewHandler(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// from makes a request of somebody at an address.
func from(ctx context.Context, h *Handler, addr, method string, id blobnet.ID, header ...string) *http.Response {
	r := httptest.NewRequestWithContext(ctx, method, "/blobs/"+id.String(), nil)
	r.RemoteAddr = addr + ":1000"
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

// TestVisitorsWhoTakeAllTheyGetShutNobodyOut: what they ask for waits for the
// node's own upload limit.
func TestVisitorsWhoTakeAllTheyGetShutNobodyOut(t *testing.T) {
	blob := randomBlob(blobnet.MaxBlobSize, 1)
	id := blobnet.Sum(blob)
	for _, header := range [][]string{nil, {"Range", "bytes=0-65535"}} {
		synctest.Test(t, func(t *testing.T) {
			shut := map[string]bool{}
			h := handlerOf(t, HandlerConfig{Store: newStore(blob), Upload: narrow{shut}})
			ctx, cancel := context.WithCancel(t.Context())
			var greedy sync.WaitGroup
			defer greedy.Wait()
			defer cancel()
			for i := range 8 {
				shut[fmt.Sprintf("192.0.2.%d", i)] = true
			}
			for addr := range shut {
				for range 16 {
					greedy.Go(func() { from(ctx, h, addr, "GET", id, header...) })
				}
			}
			synctest.Wait()
			for range 2 { // the second time those that wait have given up
				begun := time.Now()
				for _, tt := range []struct {
					method string
					header []string
					status int
				}{
					{"GET", nil, 200}, {"GET", []string{"Range", "bytes=5-5"}, 206}, {"HEAD", nil, 200},
					{"GET", []string{"If-None-Match", `"` + id.String() + `"`}, 304},
				} {
					if resp := from(ctx, h, "198.51.100.7", tt.method, id, tt.header...); resp.StatusCode != tt.status {
						t.Errorf("%s %q: %d", tt.method, tt.header, resp.StatusCode)
					}
				}
				if took := time.Since(begun); took > 0 {
					t.Errorf("they waited %v", took)
				}
				<-time.After(time.Minute)
			}
		})
	}
}

// TestWhatIsReadAndNotTakenIsBounded: a byte of a blob costs the node the blob.
func TestWhatIsReadAndNotTakenIsBounded(t *testing.T) {
	blob := randomBlob(blobnet.MaxBlobSize, 1)
	id := blobnet.Sum(blob)
	for _, tt := range []struct {
		method string
		header []string
	}{
		{"HEAD", nil}, {"GET", []string{"If-None-Match", `"` + id.String() + `"`}}, {"GET", []string{"Range", "bytes=0-0"}},
		{"GET", []string{"Range", "bytes=0-0,5-5"}}, {"GET", []string{"If-Match", `"other"`}}, {"HEAD", []string{"Range", "bytes=9999999-"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			store := &reading{Store: newStore(blob)}
			h := handlerOf(t, HandlerConfig{Store: store})
			begun, taken := time.Now(), 0
			for range 60 {
				resp := from(t.Context(), h, "192.0.2.1", tt.method, id, tt.header...)
				n, _ := strconv.Atoi(resp.Header.Get("Content-Length"))
				if taken += n; resp.StatusCode == 503 || resp.StatusCode == 429 {
					t.Fatalf("%s %q: %d, and nothing else was asked for", tt.method, tt.header, resp.StatusCode)
				}
			}
			most := int64(wasteBurst+blobnet.MaxBlobSize) + int64(time.Since(begun).Seconds()*wasteRate)
			if tt.method == "GET" {
				most += int64(taken)
			}
			if read := store.bytes.Load(); read > most {
				t.Errorf("%s %q: %d bytes were read in %v, want at most %d", tt.method, tt.header, read, time.Since(begun), most)
			}
			now := time.Now()
			if resp := from(t.Context(), h, "192.0.2.2", "GET", id, "Range", "bytes=0-0"); resp.StatusCode != 206 || time.Since(now) > 0 {
				t.Errorf("another visitor: %d after %v", resp.StatusCode, time.Since(now))
			}
		})
	}
}

// TestManyWhoWasteAtOnceAreToldToWait: sixteen connections do as one does.
func TestManyWhoWasteAtOnceAreToldToWait(t *testing.T) {
	blob := randomBlob(blobnet.MaxBlobSize, 1)
	synctest.Test(t, func(t *testing.T) {
		store := &reading{Store: newStore(blob)}
		h := handlerOf(t, HandlerConfig{Store: store})
		var all sync.WaitGroup
		var busy atomic.Int64
		for range 150 {
			all.Go(func() {
				resp := from(t.Context(), h, "192.0.2.1", "GET", blobnet.Sum(blob), "Range", "bytes=0-0")
				if resp.StatusCode == http.StatusTooManyRequests && resp.Header.Get("Retry-After") != "" {
					busy.Add(1)
				} else if resp.StatusCode != http.StatusPartialContent {
					t.Errorf("%d", resp.StatusCode)
				}
			})
		}
		all.Wait()
		// Those under way when the bounds were reached have read as well.
		if read := store.bytes.Load(); busy.Load() == 0 || read > wasteBurst+10*wasteRate {
			t.Errorf("%d were told to wait, %d bytes were read", busy.Load(), read)
		}
	})
}

// failing is a store whose disk does.
type failing struct {
	blobnet.Store
	err error
}

func (s failing) Get(context.Context, blobnet.ID, []byte) ([]byte, error) { return nil, s.err }

func TestWhatIsNotABlobIsNotCachedAsOne(t *testing.T) {
	for err, want := range map[error]string{errors.New("disk"): "500 no-store", blobnet.ErrCorrupt: "404 public, max-age=10"} {
		h := handlerOf(t, HandlerConfig{Store: failing{newStore([]byte("hello world")), err}})
		for _, header := range [][]string{nil, {"Range", "bytes=0-0"}} {
			resp := from(t.Context(), h, "192.0.2.1", "GET", hello, header...)
			if got := fmt.Sprint(resp.StatusCode, " ", resp.Header.Get("Cache-Control")); got != want || resp.Header.Get("ETag") != "" {
				t.Errorf("%v: %s, ETag %q", err, got, resp.Header.Get("ETag"))
			}
		}
	}
}

// sending is a store that tells a Get from one to send.
type sending struct{ blobnet.Store }

func (s sending) GetToSend(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
	return s.Store.Get(ctx, id, dst)
}

func (sending) Get(context.Context, blobnet.ID, []byte) ([]byte, error) {
	return nil, errors.New("the blob was hashed")
}

func TestWhatIsSentIsNotHashedAgain(t *testing.T) {
	h := handlerOf(t, HandlerConfig{Store: sending{newStore([]byte("hello world"))}})
	if resp := from(t.Context(), h, "192.0.2.1", "GET", hello); resp.StatusCode != 200 {
		t.Errorf("%d", resp.StatusCode)
	}
}

// TestBudgetsOfManyAddressesAreBounded: beyond so many they share one.
func TestBudgetsOfManyAddressesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b budgets
		for i := range 3 * maxBudgets {
			b.take(fmt.Sprint(i), 2*wasteBurst)
		}
		if len(b.all) > maxBudgets+1 || b.take("another", 1) == 0 {
			t.Errorf("%d are kept", len(b.all))
		}
		<-time.After(time.Hour)
		if b.take("another", 1) > 0 || len(b.all) > maxBudgets+1 {
			t.Errorf("after an hour %d are kept", len(b.all))
		}
	})
}
