package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/anonymous-media-library/aml/node"
)

// maxRequest bounds a request's body: a manifest.json of 4,096 entries is
// well below it.
const maxRequest = 32 << 20

// writeTimeout bounds how long a client may leave an answer unread: it may be a
// terminal that somebody paused.
const writeTimeout = 10 * time.Minute

// Server answers the API for one node. Make it with NewServer; it starts
// nothing until Serve.
type Server struct {
	mux http.Handler
	log *slog.Logger
}

// NewServer lays out the API of n: every verb of the package comment.
func NewServer(n *node.Node, log *slog.Logger) *Server {
	mux := http.NewServeMux()
	handle(mux, "status", n.Status)
	handle(mux, "listening", n.Listening)
	handle(mux, "watch", n.Watch)
	handle(mux, "ingest", n.Ingest)
	handle(mux, "blob-seed", n.Seed)
	handle(mux, "blob-fetch", n.Fetch)
	handle(mux, "blob-status", n.BlobStatus)
	handle(mux, "blob-list", n.BlobList)
	handle(mux, "blob-gc", n.GC)
	handle(mux, "blob-scrub", n.Scrub)
	handle(mux, "blob-export", n.Export)
	handle(mux, "blob-import", n.Import)
	handle(mux, "blob-push-http", n.PushHTTP)
	handle(mux, "blob-pin", n.Pin)
	handle(mux, "blob-unpin", n.Unpin)
	handle(mux, "channel-create", n.Create)
	handle(mux, "channel-publish", n.Publish)
	handle(mux, "channel-retract", n.Retract)
	handle(mux, "channel-retain", n.Retain)
	handle(mux, "channel-subscribe", n.Subscribe)
	handle(mux, "channel-unsubscribe", n.Unsubscribe)
	handle(mux, "channel-root-change", n.ChangeRoot)
	handle(mux, "channel-root-publish", n.PublishRoot)
	handle(mux, "channel-list", n.List)
	handle(mux, "channel-show", n.Show)
	handle(mux, "channel-status", n.Copies)
	handle(mux, "channel-wait-copies", n.WaitCopies)
	handle(mux, "channel-set", n.Set)
	handle(mux, "channel-trust", n.Trust)
	handle(mux, "channel-export", n.ExportList)
	handle(mux, "channel-import", n.ImportList)
	handle(mux, "channel-members", n.SetMembers)
	handle(mux, "channel-member-list", n.Members)
	handle(mux, "key-member", n.MemberKey)
	handle(mux, "channel-browse", n.Browse)
	handle(mux, "search", n.Search)
	handle(mux, "plugin-install", n.PluginInstall)
	handle(mux, "plugin-list", n.PluginList)
	handle(mux, "plugin-enable", n.PluginEnable)
	handle(mux, "plugin-disable", n.PluginDisable)
	handle(mux, "plugin-config", n.PluginConfig)
	handle(mux, "plugin-remove", n.PluginRemove)
	handle(mux, "plugin-verify", n.PluginVerify)
	handle(mux, "update-check", n.UpdateCheck)
	handle(mux, "update-installation", n.Installation)
	handle(mux, "plugin-logs", n.PluginLogs)
	handle(mux, "plugin-key", n.PluginKey)
	handle(mux, "blob-copy-plugin", n.MirrorCopy)
	handle(mux, "source-add", n.SourceAdd)
	handle(mux, "source-list", n.SourceList)
	handle(mux, "source-remove", n.SourceRemove)
	handle(mux, "source-poll", n.SourcePoll)
	handle(mux, "document-add", n.DocumentAdd)
	handle(mux, "document-list", n.DocumentList)
	handle(mux, "document-remove", n.DocumentRemove)
	handle(mux, "document-render", n.DocumentRender)
	handle(mux, "bridge-nats", n.BridgeNATS)
	handle(mux, "bridge-nats-dead", n.DeadLetters)
	handle(mux, "mirror", n.Mirror)
	handle(mux, "mirror-status", n.MirrorStatus)
	handle(mux, "mirror-add", n.MirrorAdd)
	handle(mux, "mirror-list", n.MirrorList)
	handle(mux, "mirror-push", n.MirrorPush)
	handle(mux, "mirror-remove", n.MirrorRemove)
	return &Server{mux: mux, log: log}
}

// Serve answers requests from l until ctx ends, then lets the running ones see
// their context end, waits for them, and closes l. It returns nil after an end
// by ctx.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	srv := &http.Server{
		Handler:           s.mux,
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	done := make(chan error, 1)
	go func() {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		err := srv.Shutdown(grace)
		if err != nil {
			err = errors.Join(err, srv.Close())
		}
		done <- err
	}()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving the local API: %w", err)
	}
	if err := <-done; err != nil {
		return fmt.Errorf("stopping the local API: %w", err)
	}
	return nil
}

// handle mounts one verb: it decodes the request, streams what do emits as one
// line each, and ends with the result's or the error's line.
func handle[Req, Res any](mux *http.ServeMux, verb string, do func(context.Context, Req, func(any)) (Res, error)) {
	mux.HandleFunc("POST /v1/"+verb, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-ndjson")
		out := &lines{w: w, rc: http.NewResponseController(w)}
		req, err := decode[Req](r)
		if err != nil {
			out.emit(end{Error: &Error{Code: CodeUsage, Message: err.Error()}})
			return
		}
		res, err := do(r.Context(), req, out.emit)
		if err != nil {
			out.emit(end{Error: toError(err)})
			return
		}
		raw, err := json.Marshal(res)
		if err != nil {
			out.emit(end{Error: toError(fmt.Errorf("encoding the answer: %w", err))})
			return
		}
		out.emit(end{Result: raw})
	})
}

func decode[Req any](r *http.Request) (Req, error) {
	var req Req
	d := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxRequest))
	d.DisallowUnknownFields()
	if err := d.Decode(&req); err != nil && !errors.Is(err, io.EOF) {
		return req, fmt.Errorf("reading the request: %w", err)
	}
	return req, nil
}

// end is the last line of an answer; it has no "event".
type end struct {
	Result json.RawMessage `json:"result,omitempty"`
	Error  *Error          `json:"error,omitempty"`
}

// lines writes one JSON value a line. Events come from several goroutines.
type lines struct {
	mu sync.Mutex // one line at a time; held over the write, which has a deadline
	w  io.Writer
	rc *http.ResponseController
}

func (l *lines) emit(v any) {
	raw, err := json.Marshal(v)
	if err != nil {
		raw, _ = json.Marshal(end{Error: &Error{Code: CodeFailure, Message: "encoding an event: " + err.Error()}})
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	// A client that is gone ends the request's context; nothing is owed to it.
	_ = l.rc.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, _ = l.w.Write(append(raw, '\n'))
	_ = l.rc.Flush()
}
