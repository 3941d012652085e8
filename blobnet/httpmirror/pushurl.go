package httpmirror

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

const (
	// maxTries is how often a request is made that fails in a way that may
	// pass, with pauses of firstPause and then twice as long each time.
	maxTries   = 5
	firstPause = 500 * time.Millisecond
	maxPause   = time.Minute // that a server may ask for
)

// urlTarget is a server that takes PUT.
type urlTarget struct {
	c      *caller
	verify bool
	failed func(id blobnet.ID, err error, answered bool) // told of tries that failed and may pass

	answered atomic.Bool // the server did, to whatever

	folder sync.Once // makes blobs/, where a server wants that
}

// errPass marks a failure that may pass.
type errPass struct {
	err   error
	after time.Duration // 0: as the client likes
}

func (e *errPass) Error() string { return e.err.Error() }
func (e *errPass) Unwrap() error { return e.err }

func (t *urlTarget) put(ctx context.Context, id blobnet.ID, blob []byte) (bool, error) {
	pause := firstPause
	for try := 1; ; try++ {
		put, err := t.once(ctx, id, blob)
		var pass *errPass
		if err == nil || !errors.As(err, &pass) || ctx.Err() != nil {
			return put, err
		}
		t.failed(id, err, t.answered.Load())
		if try == maxTries {
			return put, err
		}
		wait := time.NewTimer(max(pause, min(pass.after, maxPause)))
		pause *= 2
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return false, ctx.Err()
		}
	}
}

// once looks whether the blob is there, and puts it if it is not.
func (t *urlTarget) once(ctx context.Context, id blobnet.ID, blob []byte) (bool, error) {
	rel := "blobs/" + id.String()
	there, right, err := t.there(ctx, rel, id, blob)
	if err != nil || there && right {
		return false, err
	}
	header := http.Header{"Content-Type": {"application/octet-stream"}, "Cache-Control": {"public, max-age=31536000, immutable"}}
	if !there {
		header.Set("If-None-Match", "*")
	}
	status, err := t.send(ctx, http.MethodPut, rel, header, blob)
	if err == nil && (status == http.StatusConflict || status == http.StatusNotFound) {
		// WebDAV wants the folder first.
		t.folder.Do(func() { t.send(ctx, "MKCOL", "blobs/", nil, nil) })
		status, err = t.send(ctx, http.MethodPut, rel, header, blob)
	}
	if err == nil && status == http.StatusNotImplemented && !there {
		header.Del("If-None-Match") // some buckets do not know it
		status, err = t.send(ctx, http.MethodPut, rel, header, blob)
	}
	switch {
	case err != nil:
		return false, err
	case status == http.StatusPreconditionFailed && !there:
		return false, nil // somebody else was faster
	case status/100 == 2:
		return true, nil
	}
	return false, refused(status, http.MethodPut)
}

// there asks by HEAD, or by GET to verify.
func (t *urlTarget) there(ctx context.Context, rel string, id blobnet.ID, blob []byte) (there, right bool, err error) {
	method := http.MethodHead
	if t.verify {
		method = http.MethodGet
	}
	ctx, w := t.watch(ctx)
	defer w.end()
	resp, err := t.c.do(ctx, method, rel, http.Header{"Accept-Encoding": {"identity"}}, nil)
	if err != nil {
		return false, false, broken(ctx, err)
	}
	t.answered.Store(true)
	defer discard(resp)
	switch {
	case resp.StatusCode == http.StatusOK && !t.verify:
		return true, resp.ContentLength < 0 || resp.ContentLength == int64(len(blob)), nil
	case resp.StatusCode == http.StatusOK:
		w.reset(len(blob))
		b, err := io.ReadAll(io.LimitReader(resp.Body, blobnet.MaxBlobSize+1))
		if err != nil {
			return false, false, broken(ctx, err)
		}
		return true, blobnet.Sum(b) == id, nil
	case passing(resp.StatusCode):
		return false, false, passed(resp)
	case resp.StatusCode == http.StatusUnauthorized:
		return false, false, refused(resp.StatusCode, method)
	}
	// Not there; or the server tells nobody what is there, and PUT shows.
	return false, false, nil
}

// send makes a request whose answer is its status.
func (t *urlTarget) send(ctx context.Context, method, rel string, header http.Header, body []byte) (int, error) {
	ctx, w := t.watch(ctx)
	defer w.end()
	w.reset(len(body))
	resp, err := t.c.do(ctx, method, rel, header, body)
	if err != nil {
		return 0, broken(ctx, err)
	}
	defer discard(resp)
	if passing(resp.StatusCode) {
		return 0, passed(resp)
	}
	return resp.StatusCode, nil
}

// passing reports whether a status may be another one soon.
func passing(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status >= 500 && status != http.StatusNotImplemented && status != http.StatusInsufficientStorage
}

func passed(resp *http.Response) error {
	e := &errPass{err: fmt.Errorf("%w: HTTP %d", ErrRefused, resp.StatusCode)}
	if _, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil {
		e.after = retryAfter(resp.Header)
	}
	return e
}

// broken says why there was no answer.
func broken(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, ErrStalled) {
		return cause
	} else if cause != nil {
		err = cause
	}
	if errors.Is(err, ErrRefused) {
		return err
	}
	return &errPass{err: fmt.Errorf("%w: %w", ErrLost, err)}
}

// watched bounds one request: the stall timeout, and what its body takes at
// the least rate.
type watched struct {
	t      *urlTarget
	timer  *time.Timer
	cancel context.CancelCauseFunc
}

func (t *urlTarget) watch(ctx context.Context) (context.Context, *watched) {
	ctx, cancel := context.WithCancelCause(ctx)
	return ctx, &watched{t, time.AfterFunc(t.c.link.StallTimeout, func() { cancel(ErrStalled) }), cancel}
}

func (w *watched) reset(bytes int) {
	w.timer.Reset(w.t.c.link.StallTimeout + time.Duration(bytes)*time.Second/time.Duration(w.t.c.link.LeastRate))
}

func (w *watched) end() {
	w.timer.Stop()
	w.cancel(nil)
}

// settle has nothing to do: what a server has accepted it has.
func (t *urlTarget) settle() error { return nil }
