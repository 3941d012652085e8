package httpmirror

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

// PeerConfig says which server a Peer asks.
type PeerConfig struct {
	// URL is the folder that holds blobs/, or the blobs themselves. User and
	// query go with every request to the server and are told to nobody else.
	// Required.
	URL string
	// OnEvent, if not nil, is told what happens, as in HandlerConfig.
	OnEvent func(Event)
	// Parallel is how many blobs are asked for at once; the others wait. If
	// zero, 8.
	Parallel int
	Link
}

// Peer is the blobs of a server that knows nothing of aml: a static web server,
// a CDN, a bucket. It needs no closing. All methods may be called from many
// goroutines at once.
type Peer struct {
	c       *caller
	tell    func(Event)
	came    atomic.Int64
	slots   chan struct{}
	probing chan struct{} // has a token while the layout is being learnt

	mu     sync.Mutex // guards what follows; never held across I/O
	known  layout     // nil before a blob was got
	misses int        // blobs that no layout had, before that
	probed time.Time  // when all layouts were last tried
}

var _ blobnet.Source = (*Peer)(nil)

// layout is how a server names the file of a blob.
type layout func(hex string) string

// layouts are the ones that are tried, the most probable first.
var layouts = [...]layout{
	func(x string) string { return "blobs/" + x },
	func(x string) string { return x },
	func(x string) string { return "blobs/" + x[:2] + "/" + x[2:4] + "/" + x },
	func(x string) string { return x[:2] + "/" + x[2:4] + "/" + x },
	func(x string) string { return "blobs/" + x[:2] + "/" + x },
	func(x string) string { return x[:2] + "/" + x },
}

const (
	// After probes blobs that no layout has, only the first layout is tried,
	// but for all of them once in probeAgain.
	probes     = 4
	probeAgain = time.Minute
	// maxResumes is how often a transfer that breaks is taken up again.
	maxResumes = 5
)

// NewPeer returns a peer that connects to nothing yet.
func NewPeer(cfg PeerConfig) (*Peer, error) {
	if cfg.Parallel < 0 {
		return nil, errors.New("httpmirror: config has a negative limit")
	}
	if cfg.Parallel == 0 {
		cfg.Parallel = 8
	}
	c, err := newCaller(cfg.URL, cfg.Link, cfg.Parallel)
	if err != nil {
		return nil, err
	}
	return &Peer{c: c, tell: cfg.OnEvent, slots: make(chan struct{}, cfg.Parallel), probing: make(chan struct{}, 1)}, nil
}

// Name returns the URL without user and query.
func (p *Peer) Name() string { return p.c.name() }

// Came is how many bytes the server has sent in answer, as they come, wanted or
// not.
func (p *Peer) Came() int64 { return p.came.Load() }

// Close lets idle connections go; they would end by themselves in 30 seconds.
func (p *Peer) Close() error { p.c.close(); return nil }

// Get asks the server for a blob, as blobnet.Source says. A transfer that breaks
// is taken up where it broke. Beside the errors of blobnet it gives BusyError,
// ErrStalled, ErrLost, ErrRefused, MisbehaviourError or what connecting gave.
func (p *Peer) Get(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return dst, fmt.Errorf("getting blob %s from %s: %w", id.Short(), p.Name(), ctx.Err())
	}
	defer func() { <-p.slots }()
	out, err := p.get(ctx, id, dst)
	if err != nil {
		var mis *MisbehaviourError
		if errors.As(err, &mis) {
			p.event(Event{Kind: KindMisbehaviour, Peer: p.Name(), ID: id, Bytes: mis.Bytes, Err: mis})
		}
		return dst, fmt.Errorf("getting blob %s from %s: %w", id.Short(), p.Name(), err)
	}
	p.event(Event{Kind: KindDownload, Peer: p.Name(), ID: id, Bytes: int64(len(out) - len(dst))})
	return out, nil
}

// get asks by the layout that is known, or by each until one is.
func (p *Peer) get(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
	if l := p.layout(); l != nil {
		return p.transfer(ctx, id, l, dst)
	}
	select {
	case p.probing <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-p.probing }()
	if l := p.layout(); l != nil { // it was learnt meanwhile
		return p.transfer(ctx, id, l, dst)
	}
	for _, l := range p.candidates() {
		out, err := p.transfer(ctx, id, l, dst)
		if err == nil {
			p.mu.Lock()
			p.known = l
			p.mu.Unlock()
		}
		if !errors.Is(err, blobnet.ErrNotFound) {
			return out, err
		}
	}
	return nil, blobnet.ErrNotFound
}

func (p *Peer) layout() layout {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known
}

func (p *Peer) candidates() []layout {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.misses++
	if p.misses > probes && time.Since(p.probed) < probeAgain {
		return layouts[:1]
	}
	p.probed = time.Now()
	return layouts[:]
}

// transfer is one blob on its way.
type transfer struct {
	rel     string
	base    int    // length of what stood in out before
	out     []byte // and the blob's bytes so far
	etag    string // of the first part, if it is a strong one
	came    int64  // bytes that came, also those that were dropped
	sure    bool   // the last part's end was marked by the server
	resumed bool
	page    bool // a web page came
}

// wrong is what came in a blob's place.
func (t *transfer) wrong() error {
	if t.page {
		return fmt.Errorf("%w: it is a web page", blobnet.ErrCorrupt)
	}
	return blobnet.ErrCorrupt
}

var (
	errBroken = errors.New("the transfer broke")
	errAgain  = errors.New("the transfer has to begin anew")
)

// transfer gets a blob by its path, in as many parts as needed.
func (p *Peer) transfer(ctx context.Context, id blobnet.ID, l layout, dst []byte) ([]byte, error) {
	t := &transfer{rel: l(id.String()), base: len(dst), out: dst}
	for resumes := 0; ; resumes++ {
		had := len(t.out)
		err := p.part(ctx, t)
		switch {
		case err == nil && blobnet.Sum(t.out[t.base:]) == id:
			return t.out, nil
		case err == nil && !t.resumed && !t.sure:
			return nil, fmt.Errorf("%w: where it ended is not marked, and it is not all", ErrLost)
		case err == nil && !t.resumed:
			return nil, &MisbehaviourError{Peer: p.Name(), Bytes: t.came, Err: t.wrong()}
		case errors.Is(err, blobnet.ErrCorrupt):
			return nil, &MisbehaviourError{Peer: p.Name(), Bytes: t.came, Err: err}
		case err == nil, errors.Is(err, errAgain):
			// The parts are of different files, or cannot be had.
			t.out, t.etag, t.resumed = t.out[:t.base], "", false
		case errors.Is(err, errBroken) && len(t.out) > had:
			t.resumed = true
		case errors.Is(err, errBroken):
			return nil, fmt.Errorf("%w: %v", ErrLost, err)
		default:
			return nil, err
		}
		if resumes == maxResumes {
			return nil, ErrLost
		}
	}
}

// part gets what is missing of t, or as much of it as comes.
func (p *Peer) part(ctx context.Context, t *transfer) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stall := p.c.link.StallTimeout
	timer := time.AfterFunc(stall, func() { cancel(ErrStalled) })
	defer timer.Stop()
	have := len(t.out) - t.base
	header := http.Header{"Accept-Encoding": {"identity"}}
	if have > 0 {
		header.Set("Range", fmt.Sprintf("bytes=%d-", have))
		if t.etag != "" {
			header.Set("If-Range", t.etag)
		}
	}
	resp, err := p.c.do(ctx, http.MethodGet, t.rel, header, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusOK:
		t.out = t.out[:t.base] // all of it comes
		t.etag = strong(resp.Header.Get("ETag"))
	case resp.StatusCode == http.StatusPartialContent && have > 0:
		if !strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", have)) {
			return errAgain
		}
	case resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && have > 0:
		return errAgain
	case resp.StatusCode == http.StatusForbidden && p.layout() != nil:
		return blobnet.ErrNotFound // buckets say so of what is not there, if they may not be listed
	default:
		err := statusError(resp)
		io.CopyN(io.Discard, resp.Body, 4<<10) // so that the connection can be used again
		return err
	}
	if e := resp.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return fmt.Errorf("%w: it encodes what was asked for as it is", ErrRefused)
	}
	left := blobnet.MaxBlobSize - (len(t.out) - t.base)
	if resp.ContentLength > int64(left) {
		return fmt.Errorf("%w: %w", blobnet.ErrCorrupt, blobnet.ErrTooLarge)
	}
	t.page = strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html")
	t.sure = resp.ContentLength >= 0 || len(resp.TransferEncoding) > 0 || resp.ProtoMajor > 1
	if resp.ContentLength > 0 {
		t.out = slices.Grow(t.out, int(resp.ContentLength)+1)
	}
	return p.body(ctx, t, resp.Body, timer)
}

// body appends what comes to t.out.
func (p *Peer) body(ctx context.Context, t *transfer, r io.Reader, timer *time.Timer) error {
	link := &p.c.link
	begun, from := time.Now(), len(t.out)
	for {
		if len(t.out) == cap(t.out) {
			t.out = slices.Grow(t.out, min(max(len(t.out)-t.base, 4*piece), blobnet.MaxBlobSize+1))
		}
		n, err := r.Read(t.out[len(t.out):min(cap(t.out), len(t.out)+piece, t.base+blobnet.MaxBlobSize+1)])
		t.out = t.out[:len(t.out)+n]
		t.came += int64(n)
		p.came.Add(int64(n))
		if n > 0 {
			timer.Reset(link.StallTimeout)
		}
		switch {
		case len(t.out)-t.base > blobnet.MaxBlobSize:
			return fmt.Errorf("%w: %w", blobnet.ErrCorrupt, blobnet.ErrTooLarge)
		case err == io.EOF:
			return nil
		case err != nil:
			if cause := context.Cause(ctx); cause != nil {
				return cause
			}
			return errBroken
		case slow(begun, len(t.out)-from, link.StallTimeout, link.LeastRate):
			return ErrStalled
		}
	}
}

// strong returns an ETag if parts of a file can be told by it.
func strong(etag string) string {
	if len(etag) > 256 || !strings.HasPrefix(etag, `"`) {
		return ""
	}
	return etag
}

func (p *Peer) event(e Event) {
	if p.tell != nil {
		p.tell(e)
	}
}
