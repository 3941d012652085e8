package httpmirror

import (
	"context"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/memstore"
)

// some returns a store with n blobs, and their ids.
func some(t *testing.T, n int) (*memstore.Store, []blobnet.ID) {
	t.Helper()
	store := newStore()
	var ids []blobnet.ID
	for i := range n {
		b := randomBlob(1000+i, uint64(i))
		ids = append(ids, blobnet.Sum(b))
		if err := store.Put(t.Context(), blobnet.Sum(b), b); err != nil {
			t.Fatal(err)
		}
	}
	return store, ids
}

func each(ids []blobnet.ID) iter.Seq2[blobnet.ID, error] {
	return func(yield func(blobnet.ID, error) bool) {
		for _, id := range ids {
			if !yield(id, nil) {
				return
			}
		}
	}
}

// fetched fails unless all ids can be got from url.
func fetched(t *testing.T, url string, link Link, store blobnet.Store, ids []blobnet.ID) {
	t.Helper()
	p := peerOf(t, PeerConfig{URL: url, Link: link})
	for _, id := range ids {
		got, err := p.Get(t.Context(), id, nil)
		if want, _ := store.Get(t.Context(), id, nil); err != nil || string(got) != string(want) {
			t.Fatalf("%d bytes of %d, %v", len(got), len(want), err)
		}
	}
}

func TestFolderThatWasFilledIsServedByAnyServer(t *testing.T) {
	store, ids := some(t, 150)
	dir := filepath.Join(t.TempDir(), "deep", "mirror")
	var last PushResult
	cfg := PushConfig{Target: dir, Source: store, IDs: each(ids), OnProgress: func(r PushResult) { last = r }}
	r, err := Push(t.Context(), cfg)
	if err != nil || r.Sent != 150 || r.Skipped+r.Failed != 0 || last.Sent != 150 || last.SentBytes != r.SentBytes {
		t.Fatalf("%+v, %v", r, err)
	}
	srv := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer srv.Close()
	fetched(t, srv.URL, Link{}, store, ids)

	// What is there is left alone; what has another size is written again, and
	// with Verify what has other bytes.
	at := func(i int) string { return filepath.Join(dir, "blobs", ids[i].String()) }
	os.WriteFile(at(0), []byte("short"), 0o644)
	wrong := make([]byte, 1001)
	os.WriteFile(at(1), wrong, 0o644)
	for _, verify := range []bool{false, true} {
		cfg.Verify = verify
		if r, err := Push(t.Context(), cfg); err != nil || r.Sent != 1 || r.Skipped != 149 {
			t.Errorf("%+v, %v", r, err)
		}
	}
	fetched(t, srv.URL, Link{}, store, ids)
	if names, _ := os.ReadDir(filepath.Join(dir, "blobs")); len(names) != 150 {
		t.Errorf("%d files", len(names))
	}
	if i, err := os.Stat(at(0)); err != nil || i.Mode().Perm() != 0o644 {
		t.Errorf("%v %v", i, err)
	}
}

func TestOnlyOldRestsOfAKilledPushAreRemoved(t *testing.T) {
	dir := t.TempDir()
	os.Mkdir(filepath.Join(dir, "blobs"), 0o755)
	old, young := filepath.Join(dir, "blobs", tempPrefix+"1"), filepath.Join(dir, "blobs", tempPrefix+"2")
	for _, name := range []string{old, young} {
		os.WriteFile(name, []byte("half"), 0o600)
	}
	past := time.Now().Add(-2 * time.Hour)
	os.Chtimes(old, past, past)
	if _, err := Push(t.Context(), PushConfig{Target: dir, Source: newStore(), IDs: each(nil)}); err != nil {
		t.Fatal(err)
	}
	_, errOld := os.Stat(old)
	_, errYoung := os.Stat(young)
	if !os.IsNotExist(errOld) || errYoung != nil {
		t.Errorf("%v, %v", errOld, errYoung)
	}
}

// dav is a server that takes PUT, as WebDAV servers and buckets do.
type dav struct {
	mu     sync.Mutex
	files  map[string][]byte
	folder bool // MKCOL was made
	puts   int

	needFolder, noCondition, auth bool
	fail                          func(put int) int // the status of the n-th PUT, 0 to take it
}

func (d *dav) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if user, pass, _ := r.BasicAuth(); d.auth && (user != "me" || pass != "secret") && r.Header.Get("Authorization") != "Bearer token" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	old, there := d.files[r.URL.Path]
	switch r.Method {
	case "GET", "HEAD":
		if !there {
			http.NotFound(w, r)
			return
		}
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(old)))
	case "MKCOL":
		d.folder = r.URL.Path == "/blobs/"
		w.WriteHeader(http.StatusCreated)
	case "PUT":
		d.puts++
		switch {
		case d.needFolder && !d.folder:
			w.WriteHeader(http.StatusConflict)
			return
		case d.noCondition && r.Header.Get("If-None-Match") != "":
			w.WriteHeader(http.StatusNotImplemented)
			return
		case there && r.Header.Get("If-None-Match") == "*":
			w.WriteHeader(http.StatusPreconditionFailed)
			return
		}
		if d.fail != nil {
			if status := d.fail(d.puts); status != 0 {
				w.WriteHeader(status)
				return
			}
		}
		b, err := io.ReadAll(r.Body)
		if err != nil || int64(len(b)) != r.ContentLength {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		d.files[r.URL.Path] = b
		w.WriteHeader(http.StatusCreated)
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

func TestServersThatTakePUTAreFilled(t *testing.T) {
	for name, d := range map[string]*dav{
		"plain": {}, "wants the folder": {needFolder: true}, "knows no condition": {noCondition: true}, "wants a password": {auth: true},
		"fails at times": {fail: func(n int) int {
			if n%7 == 0 {
				return []int{500, 503, 429, 502}[n/7%4]
			}
			return 0
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d.files = map[string][]byte{}
			srv := httptest.NewServer(d)
			t.Cleanup(srv.Close)
			store, ids := some(t, 30)
			url := strings.Replace(srv.URL, "http://", "http://me:secret@", 1)
			cfg := PushConfig{Target: url, Source: store, IDs: each(ids)}
			if r, err := Push(t.Context(), cfg); err != nil || r.Sent != 30 {
				t.Fatalf("%+v, %v", r, err)
			}
			fetched(t, url, Link{}, store, ids)
			if r, err := Push(t.Context(), cfg); err != nil || r.Skipped != 30 {
				t.Errorf("%+v, %v", r, err)
			}
			d.mu.Lock()
			d.files["/blobs/"+ids[0].String()] = []byte("short")
			d.files["/blobs/"+ids[1].String()] = make([]byte, 1001)
			d.mu.Unlock()
			for _, verify := range []bool{false, true} {
				cfg.Verify = verify
				if r, err := Push(t.Context(), cfg); err != nil || r.Sent != 1 || r.Skipped != 29 {
					t.Errorf("%+v, %v", r, err)
				}
			}
			fetched(t, url, Link{}, store, ids)
		})
	}
}

func TestHeaderOpensAServerAsWell(t *testing.T) {
	d := &dav{files: map[string][]byte{}, auth: true}
	srv := httptest.NewServer(d)
	defer srv.Close()
	store, ids := some(t, 3)
	link := Link{Header: http.Header{"Authorization": {"Bearer token"}}}
	if r, err := Push(t.Context(), PushConfig{Target: srv.URL, Source: store, IDs: each(ids), Link: link}); err != nil || r.Sent != 3 {
		t.Errorf("%+v, %v", r, err)
	}
	fetched(t, srv.URL, link, store, ids)
}

func TestPushTellsWhatFailedAndGoesOn(t *testing.T) {
	store, ids := some(t, 20)
	bad := "/blobs/" + ids[5].String()
	inner := &dav{files: map[string][]byte{}}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "PUT" && r.URL.Path == bad {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	defer srv.Close()
	ids = append(ids, blobnet.ID{9}) // which the source has not
	r, err := Push(t.Context(), PushConfig{Target: strings.Replace(srv.URL, "//", "//me:secret@", 1) + "?token=hidden", Source: store, IDs: each(ids)})
	if !errors.Is(err, ErrIncomplete) || r.Sent != 19 || r.Failed != 2 || len(r.Failures) != 2 || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "hidden") {
		t.Errorf("%+v, %v", r, err)
	}
	for _, f := range r.Failures {
		if f.ID != ids[5] && !errors.Is(f.Err, blobnet.ErrNotFound) || f.ID == ids[5] && !errors.Is(f.Err, ErrRefused) {
			t.Errorf("%v", f)
		}
	}
}

func TestPushToAServerThatTakesNothingEndsSoon(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusMethodNotAllowed) }))
	defer srv.Close()
	store, ids := some(t, 300)
	r, err := Push(t.Context(), PushConfig{Target: srv.URL, Source: store, IDs: each(ids)})
	if !errors.Is(err, ErrIncomplete) || r.Failed > maxFailures+4 {
		t.Errorf("%d failed, %v", r.Failed, err)
	}
}

func TestPushEndsWithItsContextAndItsList(t *testing.T) {
	store, ids := some(t, 3)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Push(ctx, PushConfig{Target: t.TempDir(), Source: store, IDs: each(ids)}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	broken := errors.New("broken")
	list := func(yield func(blobnet.ID, error) bool) {
		_ = yield(ids[0], nil) && yield(blobnet.ID{}, broken)
	}
	if r, err := Push(t.Context(), PushConfig{Target: t.TempDir(), Source: store, IDs: list}); !errors.Is(err, broken) || r.Sent != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	for _, cfg := range []PushConfig{{}, {Target: "ftp://me:secret@h/", Source: store, IDs: each(nil)}, {Target: "http://me:secret%zz@h", Source: store, IDs: each(nil)}} {
		if _, err := Push(t.Context(), cfg); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: %v", cfg.Target, err)
		}
	}
}
