package httpmirror

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/anonymous-media-library/aml/blobnet"
)

// small is how long a part is, at most, that is copied out of its blob before it
// is sent, so that the blob need not stay in memory.
const small = 4 * piece

// memory is what a Handler has for answers.
type memory struct {
	bodies  *slots              // of a blob each, until the answer was sent
	parts   *slots              // of small bytes each, the same
	readers *semaphore.Weighted // blobs that are read for a part of them, or for their length
	sizes   sizes
	waste   budgets
}

// newMemory divides bytes: an eighth for parts, one for what parts are taken
// out of, the rest for whole blobs.
func newMemory(bytes int) *memory {
	blobs := bytes / blobnet.MaxBlobSize
	share := max(1, blobs/8)
	return &memory{
		bodies:  newSlots(blobs - 2*share),
		parts:   newSlots(share * blobnet.MaxBlobSize / small),
		readers: semaphore.NewWeighted(int64(share)),
	}
}

// send answers with a blob that is here, or a part of it. The header is complete
// but for what depends on the blob's length.
func (h *Handler) send(w http.ResponseWriter, r *http.Request, id blobnet.ID) {
	m, visitor := h.memory, visitorKey(r)
	if strings.Contains(r.Header.Get("Range"), ",") {
		r = r.Clone(r.Context())
		r.Header.Del("Range") // many small parts of a blob are an answer larger than the blob
	}
	size, known := m.sizes.find(id)
	if r.Method == http.MethodHead && known {
		http.ServeContent(w, r, "", time.Time{}, io.NewSectionReader(nothing{}, 0, int64(size)))
		return
	}
	if !known {
		size = blobnet.MaxBlobSize
	}
	wait, cancel := context.WithTimeout(r.Context(), memoryWait)
	defer cancel()
	if r.Method == http.MethodHead && m.waste.take(visitor, size) > 0 {
		w.WriteHeader(http.StatusOK) // the length may be left out
		return
	} else if r.Method == http.MethodGet {
		if more := m.waste.await(wait, visitor, size); more > 0 {
			busy(w, http.StatusTooManyRequests, "more was asked for than taken", more)
			return
		}
	}
	answer := h.whole
	if r.Method == http.MethodHead || known && size <= small || asksForLittle(r, w.Header().Get("ETag")) {
		answer = h.part
	}
	read, sent := answer(wait, w, r, id, visitor)
	m.waste.give(visitor, size-read+sent)
}

// whole keeps the blob in memory until it was sent. It returns how much was read
// and sent.
func (h *Handler) whole(wait context.Context, w http.ResponseWriter, r *http.Request, id blobnet.ID, visitor string) (read, sent int) {
	if h.memory.bodies.acquire(wait, visitor) != nil {
		busy(w, http.StatusServiceUnavailable, "busy", 2*time.Second)
		return 0, 0
	}
	defer h.memory.bodies.release(visitor)
	blob, err := h.read(r.Context(), id)
	if err != nil {
		h.missing(w, err)
		return 0, 0
	}
	p := h.pacer(w, r, visitor)
	http.ServeContent(p, r, "", time.Time{}, bytes.NewReader(blob))
	h.sent(r, id, p)
	return len(blob), p.sent
}

// part lets go of the blob before it sends the little that it answers with.
func (h *Handler) part(wait context.Context, w http.ResponseWriter, r *http.Request, id blobnet.ID, visitor string) (read, sent int) {
	err := h.memory.parts.acquire(wait, visitor)
	if err == nil {
		defer h.memory.parts.release(visitor)
		err = h.memory.readers.Acquire(wait, 1)
	}
	if err != nil {
		busy(w, http.StatusServiceUnavailable, "busy", 2*time.Second)
		return 0, 0
	}
	blob, err := h.read(r.Context(), id)
	read = len(blob)
	held := &answer{ResponseWriter: w, status: http.StatusOK}
	if err == nil {
		http.ServeContent(held, r, "", time.Time{}, bytes.NewReader(blob))
	}
	blob = nil
	h.memory.readers.Release(1)
	if err != nil {
		h.missing(w, err)
		return 0, 0
	}
	w.WriteHeader(held.status)
	p := h.pacer(w, r, visitor)
	_, _ = p.Write(held.body.Bytes()) // p knows what became of it
	h.sent(r, id, p)
	return read, p.sent
}

// read reads a blob to be sent: whoever gets it can check it against its id, as
// every reader of aml does. See GetToSend of the stores.
func (h *Handler) read(ctx context.Context, id blobnet.ID) ([]byte, error) {
	get := h.cfg.Store.Get
	if s, ok := h.cfg.Store.(interface {
		GetToSend(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error)
	}); ok {
		get = s.GetToSend
	}
	blob, err := get(ctx, id, nil)
	if err == nil && len(blob) > blobnet.MaxBlobSize {
		err = errors.New("the store gives a blob that is too long")
	}
	if err != nil {
		return nil, err
	}
	h.memory.sizes.note(id, len(blob))
	return blob, nil
}

func (h *Handler) pacer(w http.ResponseWriter, r *http.Request, visitor string) *pacer {
	return &pacer{ResponseWriter: w, h: h, ctx: r.Context(), control: http.NewResponseController(w), peer: visitor, begun: time.Now()}
}

// sent tells of an upload.
func (h *Handler) sent(r *http.Request, id blobnet.ID, p *pacer) {
	if r.Method == http.MethodGet && p.sent+p.failed > 0 {
		h.event(Event{Kind: KindUpload, Peer: r.RemoteAddr, ID: id, Bytes: int64(p.sent), Err: p.err})
	}
}

// busy answers that something may be asked for again after a while.
func busy(w http.ResponseWriter, status int, why string, after time.Duration) {
	w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(after.Seconds()))))
	w.Header().Set("Cache-Control", "no-store")
	fail(w, status, why)
}

// asksForLittle reports whether a request wants a part of at most small bytes.
func asksForLittle(r *http.Request, etag string) bool {
	spec, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes=")
	if x := r.Header.Get("If-Range"); !ok || x != "" && x != etag {
		return false
	}
	from, to, ok := strings.Cut(spec, "-")
	last, err := strconv.ParseUint(to, 10, 32)
	if !ok || err != nil {
		return false
	}
	if from == "" {
		return last <= small
	}
	first, err := strconv.ParseUint(from, 10, 32)
	return err == nil && first <= last && last-first < small
}

// answer holds what http.ServeContent says until the blob is let go.
type answer struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (a *answer) WriteHeader(status int) { a.status = status }

func (a *answer) Write(b []byte) (int, error) { return a.body.Write(b) }

// nothing stands for a body of which only the length matters.
type nothing struct{}

func (nothing) ReadAt([]byte, int64) (int, error) { return 0, io.EOF }

// sizes are the lengths of blobs that were read.
type sizes struct {
	mu  sync.Mutex // guards all
	all map[blobnet.ID]int
}

const maxSizes = 1 << 16

func (s *sizes) find(id blobnet.ID) (int, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, ok := s.all[id]
	return n, ok
}

func (s *sizes) note(id blobnet.ID, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = make(map[blobnet.ID]int)
	}
	s.all[id] = n
	for other := range s.all { // any: it is learnt again
		if len(s.all) <= maxSizes {
			break
		}
		delete(s.all, other)
	}
}
