package httpmirror

import (
	"bytes"
	"context"
	"encoding/base32"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/internal/crowd"
)

// Handler is blobs as an http.Handler, read-only. Nothing but blobs can be had
// from it. It may be called from many goroutines at once.
type Handler struct {
	cfg    HandlerConfig
	memory *semaphore.Weighted // of blobs
}

// NewHandler returns a handler of a store's blobs.
func NewHandler(cfg HandlerConfig) (*Handler, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Handler{cfg: cfg, memory: semaphore.NewWeighted(int64(cfg.MaxMemory / blobnet.MaxBlobSize))}, nil
}

// memoryWait is how long a request waits for memory before it gets 503.
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
	wait, cancel := context.WithTimeout(ctx, memoryWait)
	err = h.memory.Acquire(wait, 1)
	cancel()
	if err != nil {
		w.Header().Set("Retry-After", "2")
		fail(w, http.StatusServiceUnavailable, "busy")
		return
	}
	defer h.memory.Release(1)
	blob, err := h.cfg.Store.Get(ctx, id, nil)
	if err != nil {
		h.missing(w, err)
		return
	}
	head := w.Header()
	head.Set("Cache-Control", "public, max-age=31536000, immutable")
	if ipfs {
		head.Set("Content-Type", rawType)
		head.Set("ETag", `"`+id.CID()+`.raw"`)
		head.Set("Content-Disposition", `attachment; filename="`+id.CID()+`.bin"`)
	} else {
		head.Set("Content-Type", "application/octet-stream")
		head.Set("ETag", `"`+id.String()+`"`)
	}
	p := &pacer{ResponseWriter: w, h: h, ctx: ctx, control: http.NewResponseController(w), peer: visitorKey(r), begun: time.Now()}
	http.ServeContent(p, r, "", time.Time{}, bytes.NewReader(blob))
	if r.Method == http.MethodGet && p.sent+p.failed > 0 {
		h.event(Event{Kind: KindUpload, Peer: r.RemoteAddr, ID: id, Bytes: int64(p.sent), Err: p.err})
	}
}

// missing answers that a blob cannot be had here.
func (h *Handler) missing(w http.ResponseWriter, err error) {
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
	if w.Header().Get("Cache-Control") == "" {
		w.Header().Set("Cache-Control", "no-store")
	}
	http.Error(w, why, status)
}

// visitor decides whether a web page asks that may not; a status of 0 is yes.
func (h *Handler) visitor(head http.Header, r *http.Request) (status int, why string) {
	any := slices.Contains(h.cfg.Origins, "*")
	if origin := r.Header.Get("Origin"); origin != "" && (any || slices.Contains(h.cfg.Origins, origin)) {
		head.Set("Access-Control-Allow-Origin", origin)
		head.Set("Access-Control-Expose-Headers", "Content-Length, Content-Range, ETag")
		head.Set("Cross-Origin-Resource-Policy", "cross-origin")
		head.Add("Vary", "Origin")
		return 0, ""
	}
	if any {
		head.Set("Cross-Origin-Resource-Policy", "cross-origin")
		return 0, ""
	}
	head.Set("Cross-Origin-Resource-Policy", "same-origin")
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return http.StatusForbidden, "other sites may not ask here"
	}
	// A page whose name resolves to this machine is of the same origin; by its
	// name one knows it.
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && isLoopback(local) && !h.knownHost(r.Host) {
		return http.StatusMisdirectedRequest, "this is not the host that was asked for"
	}
	return 0, ""
}

func isLoopback(a net.Addr) bool {
	ap, err := netip.ParseAddrPort(a.String())
	return err == nil && ap.Addr().Unmap().IsLoopback()
}

// knownHost reports whether a Host header names this machine: by an address, as
// localhost, or as the configuration says.
func (h *Handler) knownHost(host string) bool {
	name := host
	if n, _, err := net.SplitHostPort(host); err == nil {
		name = n
	}
	name = strings.ToLower(strings.Trim(name, "[]"))
	if _, err := netip.ParseAddr(name); err == nil || name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	return slices.Contains(h.cfg.Hosts, name) || slices.Contains(h.cfg.Hosts, "*")
}

func visitorKey(r *http.Request) string {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return crowd.Key(net.TCPAddrFromAddrPort(ap))
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
