package httpmirror

import (
	"context"
	"encoding/base32"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

// Handler is blobs as an http.Handler, read-only. Nothing but blobs can be had
// from it. It may be called from many goroutines at once.
type Handler struct {
	cfg    HandlerConfig
	memory *memory
}

// NewHandler returns a handler of a store's blobs.
func NewHandler(cfg HandlerConfig) (*Handler, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Handler{cfg: cfg, memory: newMemory(cfg.MaxMemory)}, nil
}

// memoryWait is how long a request waits for memory before it gets 503, or for
// what its visitor wasted before it gets 429.
const memoryWait = 5 * time.Second

// ServeHTTP answers GET and HEAD of /blobs/<hex> and /ipfs/<cid>?format=raw.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	head.Set("Referrer-Policy", "no-referrer")
	if status, why := h.visitor(head, r); status != 0 {
		fail(w, status, why)
		return
	}
	rest, isBlob := strings.CutPrefix(r.URL.Path, "/blobs/")
	cid, isCID := strings.CutPrefix(r.URL.Path, "/ipfs/")
	if !isBlob && !isCID {
		fail(w, http.StatusNotFound, "only /blobs/<hex id> and /ipfs/<cid>?format=raw are here")
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		head.Set("Allow", "GET, HEAD")
		fail(w, http.StatusMethodNotAllowed, "blobs are read by GET and HEAD, and cannot be written here")
		return
	}
	var id blobnet.ID
	var err error
	if isBlob {
		id, err = blobnet.ParseID(rest)
	} else {
		id, err = parseCID(cid)
		if err == nil && r.URL.Query().Get("format") != "raw" && !strings.Contains(r.Header.Get("Accept"), rawType) {
			err = errors.New("only raw blocks are here: ask with ?format=raw")
		}
	}
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	h.blob(w, r, id, isCID)
}

const rawType = "application/vnd.ipld.raw"

// blob answers with a blob or a part of it.
func (h *Handler) blob(w http.ResponseWriter, r *http.Request, id blobnet.ID, ipfs bool) {
	ctx := r.Context()
	has, err := h.cfg.Store.Has(ctx, id)
	if err != nil || !has[0] {
		h.missing(w, err)
		return
	}
	head := w.Header()
	head.Set("Cache-Control", "public, max-age=31536000, immutable")
	etag := `"` + id.String() + `"`
	if ipfs {
		etag = `"` + id.CID() + `.raw"`
	}
	head.Set("ETag", etag)
	if r.Header.Get("If-Match") == "" && names(r.Header.Get("If-None-Match"), etag) {
		w.WriteHeader(http.StatusNotModified) // without a look at the blob
		return
	}
	if ipfs {
		head.Set("Content-Type", rawType)
		head.Set("Content-Disposition", `attachment; filename="`+id.CID()+`.bin"`)
	} else {
		head.Set("Content-Type", "application/octet-stream")
	}
	h.send(w, r, id)
}

// names reports whether a list of ETags has etag.
func names(list, etag string) bool {
	for x := range strings.SplitSeq(list, ",") {
		if x = strings.TrimSpace(x); x == "*" || strings.TrimPrefix(x, "W/") == etag {
			return true
		}
	}
	return false
}

// missing answers that a blob cannot be had here.
func (h *Handler) missing(w http.ResponseWriter, err error) {
	w.Header().Del("Cache-Control") // of the blob
	if err == nil || errors.Is(err, blobnet.ErrNotFound) || errors.Is(err, blobnet.ErrCorrupt) {
		// It may be there soon.
		w.Header().Set("Cache-Control", "public, max-age=10")
		fail(w, http.StatusNotFound, "no such blob here")
		return
	}
	fail(w, http.StatusInternalServerError, "reading the blob did not succeed")
}

// fail answers with a status and a line of text. What is not a blob is cached
// only where that was allowed before.
func fail(w http.ResponseWriter, status int, why string) {
	w.Header().Del("ETag")
	w.Header().Del("Content-Disposition")
	if w.Header().Get("Cache-Control") == "" {
		w.Header().Set("Cache-Control", "no-store")
	}
	http.Error(w, why, status)
}

var cidEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// parseCID reads the CIDs that blobs have: version 1, raw codec, sha2-256, in
// base32. One blob has one name here, too.
func parseCID(s string) (blobnet.ID, error) {
	var id blobnet.ID
	if len(s) == 59 && s[0] == 'b' {
		raw, err := cidEncoding.DecodeString(s[1:])
		if err == nil && len(raw) == 4+len(id) {
			copy(id[:], raw[4:])
			if id.CID() == s {
				return id, nil
			}
		}
	}
	return blobnet.ID{}, fmt.Errorf("a blob's CID is version 1, raw, sha2-256, in base32: bafkrei and 52 characters")
}

// pacer sends a body in pieces, each of which waits for the Limiter and has to
// be taken in time.
type pacer struct {
	http.ResponseWriter
	h       *Handler
	ctx     context.Context
	control *http.ResponseController
	peer    string
	begun   time.Time
	sent    int
	failed  int
	err     error
}

func (p *pacer) Write(b []byte) (n int, err error) {
	for n < len(b) && p.err == nil {
		part := b[n:min(n+piece, len(b))]
		if p.h.cfg.Upload != nil {
			from := time.Now()
			if p.err = p.h.cfg.Upload.Wait(p.ctx, p.peer, len(part)); p.err != nil {
				break
			}
			p.begun = p.begun.Add(time.Since(from))
		}
		if slow(p.begun, p.sent, p.h.cfg.StallTimeout, p.h.cfg.LeastRate) {
			p.err = ErrStalled
			break
		}
		p.control.SetWriteDeadline(time.Now().Add(p.h.cfg.StallTimeout))
		var m int
		m, p.err = p.ResponseWriter.Write(part)
		n += m
		p.sent += m
	}
	if p.err != nil {
		p.failed++
		return n, p.err
	}
	return n, nil
}

// slow reports whether bytes are too few for a transfer that began at begun, at
// a least rate in bytes per second.
func slow(begun time.Time, bytes int, stall time.Duration, rate int) bool {
	return time.Since(begun) > stall+time.Duration(bytes)*time.Second/time.Duration(rate)
}
