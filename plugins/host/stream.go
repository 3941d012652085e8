package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"

	"google.golang.org/grpc"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/plugins"
	pluginv1 "github.com/anonymous-media-library/aml/plugins/proto/aml/plugin/v1"
)

// How much streams may bring.
const (
	maxCursor   = 4 << 10
	maxHandle   = 4 << 10
	maxItemID   = 64 << 10
	maxItem     = 4096 // files
	maxEmpty    = 128  // messages in a row
	maxDocument = 64 << 20
	maxHas      = 1024
)

// progress is how many bytes make a stream one that moves.
const progress = 16 << 10

// ErrTooLarge: a file is larger than the host takes. The plugin has done nothing
// wrong.
var ErrTooLarge = errors.New("file is larger than it may be")

// Poll asks the source id for what is new in from after cursor, and calls each for
// every item, or nil, with the cursor after it. An error of each ends it. A message
// with neither item nor another cursor only says that the plugin is still at it.
func (h *Host) Poll(ctx context.Context, id, from string, cursor []byte, each func(item *pluginv1.SourceItem, cursor []byte) error) error {
	m, err := h.find(ctx, id, plugins.Source)
	if err != nil {
		return err
	}
	var own error
	err = m.call(ctx, plugins.Source, 0, func(ctx context.Context, conn grpc.ClientConnInterface) error {
		ctx, touch, hold, stop := m.idling(ctx, plugins.Source)
		defer stop()
		stream, err := pluginv1.NewSourceClient(conn).Poll(ctx, &pluginv1.PollRequest{From: from, Cursor: cursor})
		for last, empty := cursor, 0; err == nil; {
			var res *pluginv1.PollResponse
			if res, err = stream.Recv(); err != nil {
				break
			}
			if ctx.Err() != nil { // what has come by then would go on for long
				err = context.Cause(ctx)
				break
			}
			if err := checkPolled(res); err != nil {
				return err
			}
			empty++
			if res.Item != nil || !bytes.Equal(res.Cursor, last) {
				last, empty = res.Cursor, 0
			}
			if empty > maxEmpty {
				return fmt.Errorf("%w: %d messages in a row with neither an item nor another cursor", plugins.ErrFailed, empty)
			}
			hold() // publishing may take its time
			if own = each(res.Item, res.Cursor); own != nil {
				return nil
			}
			touch()
		}
		return streamEnd(ctx, err)
	})
	return errors.Join(own, err)
}

// checkPolled checks a message of Poll.
func checkPolled(res *pluginv1.PollResponse) error {
	switch item := res.Item; {
	case len(res.Cursor) > maxCursor:
		return fmt.Errorf("%w: a cursor of %d bytes, at most %d are allowed", plugins.ErrFailed, len(res.Cursor), maxCursor)
	case item == nil:
		return nil
	case item.Id == "":
		return fmt.Errorf("%w: an item without id", plugins.ErrFailed)
	case len(item.Id) > maxItemID:
		return fmt.Errorf("%w: an item's id of %d bytes, at most %d are allowed", plugins.ErrFailed, len(item.Id), maxItemID)
	case len(item.Files) > maxItem:
		return fmt.Errorf("%w: item %.80q has %d files, at most %d are allowed", plugins.ErrFailed, item.Id, len(item.Files), maxItem)
	}
	return nil
}

// streamEnd says how a stream ended: nil for well, and that it stood still.
func streamEnd(ctx context.Context, err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	if context.Cause(ctx) == errLate {
		return errLate
	}
	return err
}

// Open writes the bytes of a file of an item to w, at most limit of them: one that
// has more gives ErrTooLarge.
func (h *Host) Open(ctx context.Context, id, handle string, offset uint64, limit int64, w io.Writer) error {
	m, err := h.find(ctx, id, plugins.Source)
	if err != nil {
		return err
	}
	if len(handle) > maxHandle {
		return fmt.Errorf("plugin %s: %w: a handle of %d bytes", id, plugins.ErrFailed, len(handle))
	}
	to := &within{w: w, limit: limit, left: limit}
	err = m.call(ctx, plugins.Source, 0, func(ctx context.Context, conn grpc.ClientConnInterface) error {
		ctx, touch, stop := m.idle(ctx, plugins.Source)
		defer stop()
		stream, err := pluginv1.NewSourceClient(conn).Open(ctx, &pluginv1.OpenRequest{Handle: handle, Offset: offset})
		if err != nil {
			return err
		}
		err = drain(ctx, to, math.MaxInt64, touch, func() ([]byte, error) {
			res, err := stream.Recv()
			return res.GetData(), err
		})
		if to.err != nil {
			return nil // not the plugin's
		}
		return err
	})
	return errors.Join(to.err, err)
}

// within writes at most limit bytes, and keeps the error.
type within struct {
	w           io.Writer
	limit, left int64
	err         error
}

func (t *within) Write(data []byte) (n int, err error) {
	if t.left -= int64(len(data)); t.left < 0 {
		t.err = fmt.Errorf("%w: it has more than %d bytes", ErrTooLarge, t.limit)
		return 0, t.err
	}
	n, t.err = t.w.Write(data)
	return n, t.err
}

// drain writes what a stream brings, at most limit bytes. A few bytes now and then
// are no progress, and none at all neither.
func drain(ctx context.Context, w io.Writer, limit int64, touch func(), next func() ([]byte, error)) error {
	for got := 0; ; {
		data, err := next()
		if err != nil {
			return streamEnd(ctx, err)
		}
		if ctx.Err() != nil { // a flood of empty messages hides its end
			return streamEnd(ctx, context.Cause(ctx))
		}
		if got += len(data); got >= progress {
			got = 0
			touch()
		}
		if limit -= int64(len(data)); limit < 0 {
			return fmt.Errorf("%w: it sends more than it may", plugins.ErrFailed)
		}
		if _, err := w.Write(data); err != nil {
			return err
		}
	}
}

// Put gives a sealed blob to the mirror id.
func (h *Host) Put(ctx context.Context, id string, blob blobnet.ID, data []byte) error {
	m, err := h.find(ctx, id, plugins.Mirror)
	if err != nil {
		return err
	}
	return m.call(ctx, plugins.Mirror, 0, func(ctx context.Context, conn grpc.ClientConnInterface) error {
		ctx, touch, stop := m.idle(ctx, plugins.Mirror)
		defer stop()
		stream, err := pluginv1.NewMirrorClient(conn).Put(ctx)
		if err != nil {
			return err
		}
		msg := &pluginv1.PutRequest{Id: blob[:], Size: uint64(len(data))}
		for first := true; first || len(data) > 0; first = false {
			n := min(len(data), scanChunk)
			msg.Data, data = data[:n], data[n:]
			if stream.Send(msg) != nil {
				break // CloseAndRecv says why
			}
			touch()
			msg = &pluginv1.PutRequest{}
		}
		_, err = stream.CloseAndRecv()
		return streamEnd(ctx, err)
	})
}

// HasBlobs asks the mirror id which of at most 1,024 blobs it has.
func (h *Host) HasBlobs(ctx context.Context, id string, blobs []blobnet.ID) ([]bool, error) {
	m, err := h.find(ctx, id, plugins.Mirror)
	if err != nil {
		return nil, err
	}
	if len(blobs) > maxHas {
		return nil, fmt.Errorf("asking a mirror: %d blobs at once, at most %d are allowed", len(blobs), maxHas)
	}
	req := &pluginv1.HasRequest{}
	for _, b := range blobs {
		req.Ids = append(req.Ids, b[:])
	}
	var out []bool
	err = m.call(ctx, plugins.Mirror, 0, func(ctx context.Context, conn grpc.ClientConnInterface) error {
		ctx, _, stop := m.idle(ctx, plugins.Mirror)
		defer stop()
		res, err := pluginv1.NewMirrorClient(conn).Has(ctx, req)
		if err != nil {
			return streamEnd(ctx, err)
		}
		if out = res.Has; len(out) != len(blobs) {
			return fmt.Errorf("%w: %d answers on %d blobs", plugins.ErrFailed, len(out), len(blobs))
		}
		return nil
	})
	return out, err
}

// Get has a blob from the mirror id. What comes is checked against its id; one
// that is not there gives blobnet.ErrNotFound.
func (h *Host) Get(ctx context.Context, id string, blob blobnet.ID) ([]byte, error) {
	m, err := h.find(ctx, id, plugins.Mirror)
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	err = m.call(ctx, plugins.Mirror, 0, func(ctx context.Context, conn grpc.ClientConnInterface) error {
		ctx, touch, stop := m.idle(ctx, plugins.Mirror)
		defer stop()
		stream, err := pluginv1.NewMirrorClient(conn).Get(ctx, &pluginv1.GetRequest{Id: blob[:]})
		if err != nil {
			return err
		}
		err = drain(ctx, &buf, blobnet.MaxBlobSize, touch, func() ([]byte, error) {
			res, err := stream.Recv()
			return res.GetData(), err
		})
		if err == nil && buf.Len() > 0 && blobnet.Sum(buf.Bytes()) != blob {
			err = fmt.Errorf("%w: it sends other bytes than those of blob %s", plugins.ErrFailed, blob)
		}
		return err
	})
	if err == nil && buf.Len() == 0 {
		err = fmt.Errorf("mirror %s: blob %s: %w", id, blob, blobnet.ErrNotFound)
	}
	return buf.Bytes(), err
}

// Delete lets the mirror id forget blobs.
func (h *Host) Delete(ctx context.Context, id string, blobs []blobnet.ID) error {
	m, err := h.find(ctx, id, plugins.Mirror)
	if err != nil {
		return err
	}
	req := &pluginv1.DeleteRequest{}
	for _, b := range blobs {
		req.Ids = append(req.Ids, b[:])
	}
	return m.call(ctx, plugins.Mirror, 0, func(ctx context.Context, conn grpc.ClientConnInterface) error {
		ctx, _, stop := m.idle(ctx, plugins.Mirror)
		defer stop()
		_, err := pluginv1.NewMirrorClient(conn).Delete(ctx, req)
		return streamEnd(ctx, err)
	})
}

// View is a channel of which a document is made.
type View struct {
	Channel  channel.ID
	Title    string
	Kind     channel.Kind
	Format   string
	BaseURL  string
	Releases iter.Seq2[Release, error] // newest first
}

// Render has the plugin id make a document of a channel. Whoever keeps documents
// keeps the last good one when it fails.
func (h *Host) Render(ctx context.Context, id string, v View) (mediaType string, document []byte, err error) {
	m, err := h.find(ctx, id, plugins.Render)
	if err != nil {
		return "", nil, err
	}
	var buf bytes.Buffer
	err = m.call(ctx, plugins.Render, 0, func(ctx context.Context, conn grpc.ClientConnInterface) error {
		stream, err := pluginv1.NewRendererClient(conn).Render(ctx)
		if err != nil {
			return err
		}
		if err := m.show(stream, v); err != nil {
			return err
		}
		return drain(ctx, &buf, maxDocument, func() {}, func() ([]byte, error) {
			res, err := stream.Recv()
			if err == nil && mediaType == "" {
				mediaType = res.MediaType
			}
			return res.GetData(), err
		})
	})
	if err == nil && (plugins.CheckSaid(mediaType, nil) != nil || buf.Len() == 0) {
		err = fmt.Errorf("plugin %s, Render: %w: an empty document, or one of no media type", id, plugins.ErrFailed)
	}
	return mediaType, buf.Bytes(), err
}

// show sends a channel, as long as the plugin wants to see more.
func (m *member) show(stream grpc.BidiStreamingClient[pluginv1.RenderRequest, pluginv1.RenderResponse], v View) error {
	start := &pluginv1.RenderStart{Channel: v.Channel.String(), Title: v.Title, Kind: kindOf(v.Kind), Format: v.Format, BaseUrl: v.BaseURL}
	msg := &pluginv1.RenderRequest{Part: &pluginv1.RenderRequest_Start{Start: start}}
	if stream.Send(msg) != nil {
		return nil // Recv says why
	}
	for r, err := range v.Releases {
		if err != nil {
			return err
		}
		msg := &pluginv1.RenderRequest{Part: &pluginv1.RenderRequest_Release{Release: r.proto(m.plugin.Has(plugins.Keys))}}
		if stream.Send(msg) != nil {
			return nil
		}
	}
	_ = stream.CloseSend() // fails only with the stream, of which Recv says more
	return nil
}
